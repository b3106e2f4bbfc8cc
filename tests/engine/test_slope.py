"""Values that leap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.engine.slope import LIMITS, Slopes
from proxy_listener.model.quantities import QUANTITIES


def played(*points: tuple[float, float], name: str = "temperature") -> list[bool]:
    """Whether each value, ``(seconds, value)``, leapt."""
    slopes = Slopes()
    return [bool(slopes.leaping({name: value}, heard)) for heard, value in points]


@pytest.mark.parametrize(
    ("points", "leapt"),
    [
        ([(0, 21.5), (2, 21.6), (4, 22.0)], [False, False, False]),
        ([(0, 21.5), (2, 85.3), (4, 21.6)], [False, True, False]),
        ([(0, 21.5), (2, 85.3), (4, 84.9), (6, 85.0)], [False, True, False, False]),
        ([(0, 21.5), (2, 85.3), (4, -30.0), (6, 21.6)], [False, True, True, False]),
        ([(0, 21.5), (2, 85.3), (4, 21.6), (6, 85.3)], [False, True, False, True]),
        ([(0, -18.0), (600, 21.5)], [False, False]),
    ],
    ids=["a room", "one damaged frame", "a second agrees", "two that disagree", "agreement ends", "time allows it"],
)
def test_a_value_that_leapt_waits_for_a_second_one(points, leapt):
    assert played(*points) == leapt


def test_what_may_leap_is_not_judged():
    """A lamp is switched, a plant watered, a cell replaced."""
    for name, low, high in [("illuminance", 0, 90_000), ("moisture", 3, 80), ("battery", 4, 100)]:
        assert played((0, low), (1, high), name=name) == [False, False]


def test_limits_are_of_quantities_and_wide_enough_for_their_own_range():
    for name, limit in LIMITS.items():
        assert 0 < limit.leap < QUANTITIES[name].high - QUANTITIES[name].low


@given(st.lists(st.floats(-60, 130), min_size=1, max_size=20))
def test_a_value_said_twice_is_believed_at_the_second_at_the_latest(values):
    doubled = [(float(at), value) for at, value in enumerate(value for value in values for _ in range(2))]
    assert not any(played(*doubled)[1::2])
