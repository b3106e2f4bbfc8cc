"""A disk that is full, without filling one."""

import resource
from contextlib import contextmanager


@contextmanager
def full_disk(path, room):
    """No file of this process may grow further than the journal's files are now, and ``room`` bytes more."""
    files = [file for file in path.parent.iterdir() if file.name.startswith(path.name) and file.suffix != ".db-shm"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(file.stat().st_size for file in files) + room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
