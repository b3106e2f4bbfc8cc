"""What the service tells systemd: datagrams of the notify protocol, sd_notify(3), to ``$NOTIFY_SOCKET``.

Without a service manager nothing is sent.
"""

import os
import socket
import time

HUNG = 60.0
"""Seconds for which the disk may leave a commit without an answer before the watchdog restarts the service. Until then
sinks without a backlog still work, and a restart would lose the readings that are not stored.
"""


class ServiceManager:
    """systemd, where it started the service and wants notifications. ``interval``: seconds between the watchdog's
    notifications that it asks for, None where it asks for none.
    """

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self.interval = _watchdog_interval()

    @property
    def listens(self) -> bool:
        """Whether notifications are sent."""
        return bool(self._address)

    def notify(self, *assignments: str) -> None:
        """Send assignments such as ``READY=1``, ``STATUS=...``, ``WATCHDOG=1``; never waits."""
        if not self._address:
            return
        text = "\n".join(" ".join(assignment.splitlines()) for assignment in assignments)
        try:
            kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            with socket.socket(socket.AF_UNIX, kind) as datagrams:
                datagrams.sendto(text.encode(), self._address)
        except OSError:
            # A service manager that does not read must not stop the service.
            return

    def notify_reloading(self) -> None:
        """A reload begins; READY=1 ends it. Type=notify-reload requires the time of CLOCK_MONOTONIC."""
        self.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def _watchdog_interval() -> float | None:
    """Half of the time that sd_watchdog_enabled(3) gives, as its manual advises."""
    microseconds, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not (microseconds.isascii() and microseconds.isdecimal()) or process not in {"", str(os.getpid())}:
        return None
    return int(microseconds) / 2e6 or None


class Watchdog:
    """Decides whether the service is healthy, so that systemd's watchdog is fed."""

    def __init__(self) -> None:
        self._hung_since: float | None = None

    def healthy(self, now: float, *, running: bool, hung: bool) -> bool:
        """``running``: the parts that readings pass through run. ``hung``: the disk does not answer. A disk that
        answers with an error is no reason to restart.
        """
        if not hung:
            self._hung_since = None
        elif self._hung_since is None:
            self._hung_since = now
        return running and (self._hung_since is None or now - self._hung_since < HUNG)
