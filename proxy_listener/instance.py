"""One service per state directory, and what it tells the service manager.

What comes in: the state directory; ``$NOTIFY_SOCKET`` from systemd. What goes out: a lock that dies with the process,
and datagrams of systemd's notify protocol (sd_notify(3)). The rule of this file: a missing service manager is normal,
a second instance is refused and told who the first is.
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy_listener.errors import ProxyListenerError

LOCK = "service.lock"

HUNG = 60.0
"""Seconds that the disk may leave a commit without an answer before a new start is the better hope: till then live
sinks go on, and what waits for the disk would be lost."""


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
    """systemd, where it started us and wants to know. ``interval``: seconds between the signs of life that it asks for,
    None where it asks for none.
    """

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self.interval = _watchdog()

    @property
    def listens(self) -> bool:
        """Whether there is one to tell."""
        return bool(self._address)

    def tell(self, *assignments: str) -> None:
        """Send assignments such as ``READY=1``, ``STATUS=...``, ``WATCHDOG=1``; never waits."""
        if not self._address:
            return
        text = "\n".join(" ".join(assignment.splitlines()) for assignment in assignments)
        try:
            kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            with socket.socket(socket.AF_UNIX, kind) as datagrams:
                datagrams.sendto(text.encode(), self._address)
        except OSError:
            # A manager that does not listen is no reason to stop listening.
            return

    def tell_reloading(self) -> None:
        """A reload begins; READY=1 ends it. Type=notify-reload wants to know when, by the clock that it has too."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def _watchdog() -> float | None:
    """Half of what sd_watchdog_enabled(3) gives, as it advises."""
    microseconds, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not (microseconds.isascii() and microseconds.isdecimal()) or process not in {"", str(os.getpid())}:
        return None
    return int(microseconds) / 2e6 or None


class Pulse:
    """Whether readings can flow: what the watchdog is fed for."""

    def __init__(self) -> None:
        self._hung: float | None = None

    def beats(self, now: float, *, at_work: bool, hung: bool) -> bool:
        """``at_work``: the parts that readings flow through run. ``hung``: the disk does not answer; one that answers
        with an error is no reason to start anew.
        """
        if not hung:
            self._hung = None
        elif self._hung is None:
            self._hung = now
        return at_work and (self._hung is None or now - self._hung < HUNG)
