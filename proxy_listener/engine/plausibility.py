"""What makes frames of a device doubtful although they decode: failed tags, implausible jumps, values that its model
also sends wrongly, a second sender.

What comes in: of one device, what its frames claim and when they were heard (monotonic seconds). What goes out: whether
a frame is tried, which values are not believed yet, whether two senders use the address. Each check bounds what it
remembers, because anyone can send in a device's name.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from proxy_listener.model.rate import TokenBucket
from proxy_listener.model.reading import Value
from proxy_listener.model.timing import NEVER

RATE, BURST = 10.0, 50.0
"""Failed tags a second, and at once, per device and proxy. A tag of 32 bits is guessed within 12 h at the rate that one
proxy could push, and within 13 years at this one: docs/protocol/threats.md#r6."""

REPORT_AGAIN = 600.0
"""Seconds between two reports about one device, however often a flood comes and goes: docs/protocol/threats.md#r9."""

PROXIES = 128
"""Proxies that are told apart; beyond it the one that failed longest ago is forgotten. Nodes can be renamed without
end."""


class FailedTags:
    """Rate limit of one device's frames with a wrong tag, by proxy: what one proxy uses up costs the others nothing."""

    __slots__ = ("_buckets", "_reported")

    def __init__(self) -> None:
        self._buckets: dict[str, TokenBucket] = {}
        self._reported = NEVER

    def exhausted(self, proxy: str, heard: float) -> bool:
        """Whether this proxy brought more failed tags than bit errors explain: its frames are not tried."""
        bucket = self._buckets.get(proxy)
        return bucket is not None and not bucket.available(heard)

    def count(self, proxy: str, heard: float) -> None:
        """The tag of a frame of this proxy failed."""
        bucket = self._buckets.get(proxy)
        if bucket is None:
            if len(self._buckets) >= PROXIES:
                del self._buckets[min(self._buckets, key=lambda name: self._buckets[name].filled)]
            bucket = self._buckets[proxy] = TokenBucket(RATE, BURST, heard)
        bucket.spend()

    def report_due(self, heard: float) -> bool:
        """Whether a person is told of the flood now."""
        if heard - self._reported < REPORT_AGAIN:
            return False
        self._reported = heard
        return True


class Limit(NamedTuple):
    """How far a quantity can move: ``jump`` at once, and ``slope`` more for every second since."""

    jump: float
    slope: float


LIMITS: Mapping[str, Limit] = {
    "temperature": Limit(10.0, 0.2),  # °C: a sensor in its case needs minutes from the freezer to the room
    "humidity": Limit(20.0, 1.0),  # %: breath reaches a sensor in seconds
}
"""Only quantities with inertia: soil is watered, batteries are replaced, lights are switched, people differ in
weight."""

_Point: TypeAlias = tuple[float, float]
"""A value, and when it was heard."""

NOTHING: frozenset[str] = frozenset()


class JumpFilter:
    """Outlier filter: an implausible jump in an unauthenticated frame is ignored until a second frame confirms it.

    Damaged frames with a good checksum exist: docs/protocol/threats.md#r13. The reading goes to history like any other;
    only the live state does not move.
    """

    __slots__ = ("_believed", "_jumped")

    def __init__(self) -> None:
        self._believed: dict[str, _Point] = {}
        self._jumped: dict[str, _Point] = {}

    def jumped(self, values: Mapping[str, Value], heard: float) -> frozenset[str]:
        """Which of these values, heard now, are not to be believed yet."""
        jumped = NOTHING
        for name, value in values.items():
            limit = LIMITS.get(name)
            if limit and isinstance(value, int | float) and not self._believe(name, limit, value, heard):
                jumped |= {name}
        return jumped

    def _believe(self, name: str, limit: Limit, value: float, heard: float) -> bool:
        before, point = self._believed.get(name), (value, heard)
        if before is None or _near(before, point, limit) or _near(self._jumped.get(name), point, limit):
            self._believed[name] = point
            if self._jumped:
                self._jumped.pop(name, None)
            return True
        self._jumped[name] = point
        return False


def _near(before: _Point | None, now: _Point, limit: Limit) -> bool:
    if before is None:
        return False
    (value_before, heard_before), (value, heard) = before, now
    return abs(value - value_before) <= limit.jump + limit.slope * (heard - heard_before)


class SentTwice:
    """Believes a value of a quantity that its model also sends wrongly (``Model.unsure``) when it is sent twice in a
    row, or is the one that is believed already.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[str, Value] = {}

    def believed(
        self, values: Mapping[str, Value], unsure: frozenset[str], live: Mapping[str, tuple[Value, float]]
    ) -> dict[str, Value]:
        """The values without those that wait for a second frame. ``live``: the live state, each value with its time."""
        found = dict(values)
        for name in unsure & values.keys():
            value, last, now = values[name], self._last.get(name), live.get(name)
            self._last[name] = value
            if value != last and (now is None or value != now[0]):
                del found[name]
        return found


NEAR = 16
"""Counters between two frames of one sequence, at most: fewer frames are lost between two rooms."""

APART = 5.0
"""Seconds between two alternations that count: a stalled proxy delivers its backlog in one burst."""

ALTERNATIONS = 3
AT_ONCE = 60.0
"""Seconds after which a sequence that was left is over: a restarted device leaves its old sequence for good."""

CONFLICT_AGAIN = 3600.0


class TwoSenders:
    """Detects two senders under one address by the 8-bit counters of its claimed frames, in order of arrival.

    A device counts upward. A second sender has a counter of its own, and the two are heard in alternation::

        10  200  11  201  12  202
    """

    __slots__ = ("_alternated", "_alternations", "_here", "_left", "_left_heard", "_reported")

    def __init__(self) -> None:
        self._here = -1
        self._left = -1
        self._left_heard = self._alternated = self._reported = NEVER
        self._alternations = 0

    def detected(self, counter: int, heard: float) -> bool:
        """Note a new frame. True where it reveals a second sender; once an hour at most."""
        if self._here < 0 or _follows(self._here, counter):
            self._here = counter
            return False
        back = self._left >= 0 and heard - self._left_heard <= AT_ONCE and _follows(self._left, counter)
        if not back:
            self._alternations = 0
        elif heard - self._alternated >= APART:
            self._alternations, self._alternated = self._alternations + 1, heard
        self._here, self._left, self._left_heard = counter, self._here, heard
        if self._alternations < ALTERNATIONS or heard - self._reported < CONFLICT_AGAIN:
            return False
        self._reported = heard
        return True


def _follows(counter: int, following: int) -> bool:
    ahead = (following - counter) % 256
    return ahead <= NEAR or ahead >= 256 - NEAR
