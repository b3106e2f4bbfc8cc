"""What makes frames of a device doubtful although they decode: failed tags, implausible jumps, values that its model
also sends wrongly, a second sender.

What comes in: of one device, what its frames claim and when they were heard (monotonic seconds). What goes out: whether
a frame is tried, which values are not believed yet, whether two senders use the address. Each check bounds what it
remembers, because anyone can send in a device's name.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from proxy_listener.engine.dedup import EVENT_RESTART, STRICT_RESTART, USUAL_RESTART, Restart
from proxy_listener.formats.layout import Found
from proxy_listener.model.models import Model
from proxy_listener.model.reading import Value
from proxy_listener.model.timing import NEVER

GUARDS = frozenset(
    {
        *("antilock", "armed", "childlock", "device_forcibly_removed", "door", "door_left_open", "door_stuck"),
        *(
            "dull_bolt",
            "error",
            "fingerprint",
            "key_id",
            "knock_on_the_door",
            "latch",
            "lock",
            "lock_method",
            "opening",
        ),
        *("pry_the_door", "square_bolt", "bottom_submersion", "gas", "moisture", "smoke", "top_splash"),
    }
)
"""Quantities and kinds of events of locks, doors, and sensors of leaks, smoke and gas."""

_GUARD_KIND = re.compile(r"\b(lock|door|safe|leak|flood|smoke|gas)\b", re.IGNORECASE)
"""Of a model whose quantities are not known beforehand, its kind says it."""


def restart_of(model: Model, found: Found) -> Restart:
    """How readily the duplicate rule takes a lower counter of such a device as a restart."""
    values, fired, _ = found
    events = [event.event for event in fired] + [kind.name for kind in model.events]
    names = {*events, *values, *(quantity.name for quantity in model.quantities)}
    if not names.isdisjoint(GUARDS) or _GUARD_KIND.search(model.kind):
        restart = STRICT_RESTART
    else:
        restart = EVENT_RESTART if model.buttons is not None or events else USUAL_RESTART
    return restart._replace(wraps=True) if model.wraps else restart


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
NONE_JUMPED: Mapping[str, _Point] = {}


class JumpFilter:
    """Outlier filter: an implausible jump in an unauthenticated frame is ignored until a second frame confirms it.

    Damaged frames with a good checksum exist: docs/protocol/threats.md#r13. The reading goes to history like any other;
    only the live state does not move.
    """

    __slots__ = ("_believed", "_jumped")

    def __init__(self) -> None:
        self._believed: dict[str, _Point] = {}
        self._jumped: Mapping[str, _Point] = NONE_JUMPED

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
            if name in self._jumped:
                self._jumped = {other: jump for other, jump in self._jumped.items() if other != name}
            return True
        self._jumped = {**self._jumped, name: point}
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
"""Seconds between two returns that count: a stalled proxy delivers its backlog in one burst."""

RETURNS = 3
RETURNS_WITHIN = 3600.0
"""So many returns within an hour are a second sender; a damaged frame with a good checksum is one of them."""

AT_ONCE = 300.0
"""Seconds after which a sequence that was left is over: a restarted device leaves its old sequence for good."""

CONFLICT_AGAIN = 3600.0


class TwoSenders:
    """Detects two senders under one address by the 8-bit counters of its claimed frames, in order of arrival.

    A device counts upward. A second sender has a counter of its own, and the device returns to its sequence again and
    again::

        10  200  11  201  12  202     both have a sequence
        10  11  90  12  13  130  14   single frames: returns from a higher counter

    A single frame with a lower counter may come from a stalled proxy, and says nothing.
    """

    __slots__ = ("_backlog", "_here", "_left", "_left_heard", "_reported", "_returned", "_returns")

    def __init__(self) -> None:
        self._here = -1
        self._left = -1
        self._left_heard = self._returned = self._reported = NEVER
        self._returns = 0
        self._backlog = False

    def detected(self, counter: int, heard: float) -> bool:
        """Note a new frame. True where it reveals a second sender; once an hour at most."""
        if self._here < 0 or _follows(self._here, counter):
            self._here = counter
            return False
        back = self._left >= 0 and heard - self._left_heard <= AT_ONCE and _follows(self._left, counter)
        if back and not self._backlog and heard - self._returned >= APART:
            self._returns = self._returns + 1 if heard - self._returned <= RETURNS_WITHIN else 1
            self._returned = heard
        self._backlog = not back and (counter - self._here) % 256 >= 128
        self._here, self._left, self._left_heard = counter, self._here, heard
        if self._returns < RETURNS or heard - self._reported < CONFLICT_AGAIN:
            return False
        self._reported = heard
        return True


def _follows(counter: int, following: int) -> bool:
    ahead = (following - counter) % 256
    return ahead <= NEAR or ahead >= 256 - NEAR
