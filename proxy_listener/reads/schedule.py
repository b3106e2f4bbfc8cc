"""When a device is read next, and how many connections it has left today.

What comes in: what happened (a connection, a success, a failure), each with its monotonic time; after a restart the
note that the last run left. What goes out: how long a read is overdue, and whether one more connection is allowed.

The rule of this file: no more connections a day than the limit, whoever asks; a cell is emptied in weeks by reading
every ten minutes (facts: miflora), and a day is any 24 hours, so midnight and a restart give nothing away.
"""

import json
from typing import Any

import attrs

from proxy_listener.model.timing import DAY

HOUR = 3_600.0
APART = HOUR
"""Between two automatic attempts, at least (threats, R15: a clone with a strong signal must not drain the sensor)."""

FIRST_WITHIN = 300.0
"""A device that was never read is read within this, so that many do not come at once after the first start."""

SPREAD = 1 / 24
"""The part of the interval over which reads are spread, so that many devices drift apart."""

JUST_HEARD = 15.0
"""Seconds: a sensor that advertised this recently is awake and in range. MiFlora sends every few seconds."""

GOOD_SIGNAL = -85.0
"""dBm, smoothed: weaker links are lost between two packets too often."""

ANY_SIGNAL_AFTER = 6 * HOUR
"""Overdue by this much, a weak signal is better than none."""


@attrs.define
class Plan:
    """One device's reads. ``interval`` seconds, None for never by itself; ``jitter`` 0..1, drawn anew for each read.

    ``waiting``: since when a read that is due, and whose moment it was, has found no free route.
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
        """A connection was asked for; it counts whatever comes of it."""
        self.connections = [*(at for at in self.connections if now - at < DAY), now]
        self.tried, self.waiting = now, None

    def succeeded(self, now: float, jitter: float) -> None:
        """The device was read."""
        self.read, self.misses, self.jitter = now, 0, jitter

    def failed(self) -> None:
        """No route got an answer: ask again after an hour, then two, then four, then once a day."""
        self.misses += 1

    def allowed(self, now: float) -> int:
        """How many connections are left of this day's."""
        return max(0, self.limit - sum(now - at < DAY for at in self.connections))

    def due_at(self) -> float | None:
        """When the device is to be read next by itself; None for never."""
        if self.interval is None:
            return None
        if self.read is None:
            due = self.born + self.jitter * FIRST_WITHIN
        else:
            due = self.read + self.interval * (1 + self.jitter * SPREAD)
        if self.tried is not None:
            due = max(due, self.tried + max(APART, self._backoff()))
        return due

    def _backoff(self) -> float:
        return min(DAY, HOUR * 2.0 ** min(self.misses - 1, 10)) if self.misses else 0.0

    def wants(self, now: float, age: float | None, rssi: float | None) -> bool:
        """Is this the moment? ``age`` and ``rssi`` are those of the best route now."""
        due = self.due_at()
        if due is None or now < due or age is None or rssi is None or not self.allowed(now):
            return False
        return age <= JUST_HEARD and (rssi >= GOOD_SIGNAL or now - due >= ANY_SIGNAL_AFTER)

    def wait(self, now: float) -> float:
        """It is the moment. Seconds since it first was, without a connection."""
        if self.waiting is None:
            self.waiting = now
        return now - self.waiting

    def note(self, now: float, wall: float) -> str:
        """What a restart must not forget, as text, in wall time."""
        shift = wall - now
        return json.dumps(
            {
                "connections": [at + shift for at in self.connections if now - at < DAY],
                "read": None if self.read is None else self.read + shift,
                "tried": None if self.tried is None else self.tried + shift,
                "misses": self.misses,
            }
        )

    def recall(self, text: str, now: float, wall: float) -> None:
        """Continue from a note. A time that lies in the future, because the clock was set, counts as now."""
        try:
            noted = json.loads(text)
            connections = [_recalled(at, now, wall) for at in noted["connections"]]
            read, tried = (
                None if noted[key] is None else _recalled(noted[key], now, wall) for key in ("read", "tried")
            )
            misses = int(noted["misses"])
        except (ValueError, TypeError, KeyError):
            return
        self.connections, self.read, self.tried, self.misses = connections, read, tried, misses


def _recalled(at: Any, now: float, wall: float) -> float:
    return now - max(0.0, wall - float(at))
