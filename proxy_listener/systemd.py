"""What the service tells systemd: datagrams of the notify protocol, sd_notify(3), to ``$NOTIFY_SOCKET``.

Without a service manager nothing is sent.
"""

import os
import socket
import time

HUNG = 60.0
"""Seconds that the disk may leave a commit without an answer before a new start is the better hope: till then live
sinks go on, and what waits for the disk would be lost."""


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
