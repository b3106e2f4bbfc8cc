"""When a device is read next, and how many connections it has left today.

What comes in: what happened (a connection, a success, a failure) with its monotonic time, and the note of the last run.
What goes out: when a read is due, and whether one more connection is allowed. Invariant: in any 24 hours there are no
more connections than the limit, also over a restart: reading every ten minutes empties a plant sensor's cell in weeks
(docs/protocol/miflora.md#read-intervals).
"""

import json
from collections.abc import Iterable
from typing import Any

import attrs

from proxy_listener.model.timing import DAY

HOUR = 3_600.0
APART = HOUR
"""Seconds between two scheduled attempts, at least. A clone with a strong signal must not drain the battery of a sensor
(docs/protocol/threats.md#r15)."""

FIRST_WITHIN = 300.0
"""Seconds over which the first reads of devices are spread."""

SPREAD = 1 / 24
"""The part of the interval over which further reads are spread, so that devices are not read at the same time."""

JUST_HEARD = 15.0
"""Seconds. A device that advertised this recently is awake and in range; MiFlora sends every few seconds."""

GOOD_SIGNAL = -85.0
"""dBm, smoothed. Links with a weaker signal are lost too often."""

ANY_SIGNAL_AFTER = 6 * HOUR
"""Seconds. A read that is overdue by this much accepts a weaker signal."""

GAP_HOURS = 3
"""Hours without a reading that make a gap."""


@attrs.define
class Plan:
    """The reads of one device.

    ``interval``: seconds between scheduled reads, None for none. ``jitter``: 0..1, drawn for each read. ``waiting``:
    since when a read that could begin has found no free proxy.
    """

    interval: float | None
    limit: int
    born: float
    jitter: float = 0.0
    connections: list[float] = attrs.field(factory=list)
    read: float | None = None
    tried: float | None = None
    misses: int = 0
    waiting: float | None = None

    def connected(self, now: float) -> None:
        """Count a connection. It counts also if it fails."""
        self.connections = [*(at for at in self.connections if now - at < DAY), now]
        self.tried, self.waiting = now, None

    def succeeded(self, now: float, jitter: float) -> None:
        """The device was read."""
        self.read, self.misses, self.jitter = now, 0, jitter

    def failed(self) -> None:
        """No proxy got an answer. Retry after an hour, then two, then four, at most once a day."""
        self.misses += 1

    def allowed(self, now: float) -> int:
        """How many connections are left of the limit."""
        return max(0, self.limit - sum(now - at < DAY for at in self.connections))

    def due_at(self) -> float | None:
        """When the next scheduled read is due; None for never."""
        if self.interval is None:
            return None
        if self.read is None:
            due = self.born + self.jitter * FIRST_WITHIN
        else:
            due = self.read + self.interval * (1 + self.jitter * SPREAD)
        if self.tried is not None:
            due = max(due, self.tried + max(APART, self._backoff()))
        return due

    def next_at(self, now: float) -> float | None:
        """When the next scheduled read may begin: when it is due, and the limit allows it."""
        due = self.due_at()
        if due is None or self.allowed(now):
            return due
        return max(due, sorted(self.connections)[-self.limit] + DAY) if self.limit else None

    def _backoff(self) -> float:
        return min(DAY, HOUR * 2.0 ** min(self.misses - 1, 10)) if self.misses else 0.0

    def wants(self, now: float, age: float | None, rssi: float | None) -> bool:
        """Whether a read is due and can begin. ``age`` and ``rssi``: how the best proxy hears the device now."""
        due = self.due_at()
        if due is None or now < due or age is None or rssi is None or not self.allowed(now):
            return False
        return age <= JUST_HEARD and (rssi >= GOOD_SIGNAL or now - due >= ANY_SIGNAL_AFTER)

    def wait(self, now: float) -> float:
        """How long the read that could begin has been waiting for a free proxy, in seconds."""
        if self.waiting is None:
            self.waiting = now
        return now - self.waiting

    def note(self, now: float, wall: float) -> str:
        """The state to keep over a restart, as text, in wall time."""
        shift = wall - now
        return json.dumps(
            {
                "connections": [at + shift for at in self.connections if now - at < DAY],
                "read": None if self.read is None else self.read + shift,
                "tried": None if self.tried is None else self.tried + shift,
                "misses": self.misses,
            }
        )

    def restore(self, text: str, now: float, wall: float) -> None:
        """Continue from a note. A time in the future, because the clock was set, counts as now."""
        try:
            noted = json.loads(text)
            connections = [_restored(at, now, wall) for at in noted["connections"]]
            read, tried = (
                None if noted[key] is None else _restored(noted[key], now, wall) for key in ("read", "tried")
            )
            misses = int(noted["misses"])
        except (ValueError, TypeError, KeyError):
            return
        self.connections, self.read, self.tried, self.misses = connections, read, tried, misses


def _restored(at: Any, now: float, wall: float) -> float:
    return now - max(0.0, wall - float(at))


def gap_start(hours: Iterable[int], since: float, now: float) -> float | None:
    """When the first gap began, in seconds since 1970. ``hours`` (time // 3600) are those that have a reading."""
    have = set(hours)
    missing = 0
    for hour in range(int(since // HOUR) + 1, int(now // HOUR) + 1):
        missing = 0 if hour in have else missing + 1
        if missing == GAP_HOURS:
            return (hour - GAP_HOURS + 1) * HOUR
    return None
