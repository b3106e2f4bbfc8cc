"""One service per state directory, and what it tells the service manager.

What comes in: the state directory; ``$NOTIFY_SOCKET`` from systemd. What goes out: a lock that dies with the process,
and datagrams of systemd's notify protocol (sd_notify(3)). The rule of this file: a missing service manager is normal,
a second instance is refused and told who the first is.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy_listener.errors import ProxyListenerError

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


class ServiceManager:
    """systemd, where it started us and wants to know."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]

    def tell(self, *assignments: str) -> None:
        """Send assignments such as ``READY=1``, ``STATUS=...``, ``WATCHDOG=1``."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as datagrams:
                datagrams.sendto("\n".join(assignments).encode(), self._address)
        except OSError:
            # A manager that does not listen is no reason to stop listening.
            return
