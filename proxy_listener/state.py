"""The state directory: its lock, which one process holds.

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
