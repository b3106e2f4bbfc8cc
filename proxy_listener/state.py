"""The state directory: its lock, which one process holds, and how a private file is written.

A second instance is refused and told the process id of the first. The lock ends with the process.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy_listener.model.errors import ProxyListenerError

LOCK = "service.lock"


@contextmanager
def single_instance(state: Path) -> Iterator[None]:
    """Hold the state directory, which is made (0700) where it is missing. ProxyListenerError where another holds it."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Never through a link: who may write into the directory could have us empty any file of ours.
        file = os.open(state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ProxyListenerError(f"the state directory {state} cannot be used: {error.strerror}") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 32).decode(errors="replace").strip()
            who = f"process {holder}" if holder.isdecimal() else "another process"
            raise ProxyListenerError(f"{who} already runs with the state directory {state}") from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


def write_private(path: Path, text: str) -> None:
    """Replace the file at ``path`` in one step, readable by its owner only; on disk when this returns. OSError."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    beside.replace(path)
