"""Values that leap: of claimed frames, what no air can do is not believed before a second frame says it too.

What comes in: one device's claimed values, each with its monotonic time. What goes out: the names of those that leapt.
Damaged frames with a good checksum exist (facts: threats-and-faults, R13), and a range lets through what is merely far
from a moment ago.

The rule of this file: a value that leapt is a reading like any other and goes to history, because what was heard is
never lost; it only does not move the live state. The second one that agrees with it does. Authenticated values are not
judged: their tag says that they are whole.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from proxy_listener.model.reading import Value


class Limit(NamedTuple):
    """How far a quantity gets: ``leap`` at once, and ``slope`` more for every second since."""

    leap: float
    slope: float


LIMITS: Mapping[str, Limit] = {
    "temperature": Limit(10.0, 0.2),  # °C: a sensor in its case needs minutes from the freezer to the room
    "humidity": Limit(20.0, 1.0),  # %: breath reaches a sensor in seconds
}
"""Only what has inertia: soil is watered, cells are replaced, lights are switched, and people differ in weight."""


_Point: TypeAlias = tuple[float, float]
"""A value, and when it was heard."""

NOTHING: frozenset[str] = frozenset()


class Slopes:
    """The last believed value of each limited quantity of one device, and one that leapt and waits for a second."""

    __slots__ = ("_believed", "_leapt")

    def __init__(self) -> None:
        self._believed: dict[str, _Point] = {}
        self._leapt: dict[str, _Point] = {}

    def leaping(self, values: Mapping[str, Value], heard: float) -> frozenset[str]:
        """Which of these values, heard now, are not to be believed yet."""
        leapt = NOTHING
        for name, value in values.items():
            limit = LIMITS.get(name)
            if limit and isinstance(value, int | float) and not self._believe(name, limit, value, heard):
                leapt |= {name}
        return leapt

    def _believe(self, name: str, limit: Limit, value: float, heard: float) -> bool:
        before, point = self._believed.get(name), (value, heard)
        if before is None or _near(before, point, limit) or _near(self._leapt.get(name), point, limit):
            self._believed[name] = point
            if self._leapt:
                self._leapt.pop(name, None)
            return True
        self._leapt[name] = point
        return False


def _near(before: _Point | None, now: _Point, limit: Limit) -> bool:
    if before is None:
        return False
    (value_before, heard_before), (value, heard) = before, now
    return abs(value - value_before) <= limit.leap + limit.slope * (heard - heard_before)
