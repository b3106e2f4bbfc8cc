"""Lifetimes: by the way in which a value comes."""

import pytest
from support.made_status import device

from proxy_listener.model.quantities import BATTERY, DOOR, TEMPERATURE
from proxy_listener.model.timing import DAY
from proxy_listener.sinks.mqtt.freshness import intervals_of, lifetime


@pytest.mark.parametrize(
    ("intervals", "seconds"),
    [((900.0, None), 2_700), ((None, DAY), 259_200), ((900.0, DAY), 2_700), ((None, None), None), ((), None)],
)
def test_a_value_lasts_three_intervals_of_the_fastest_way(
    intervals: tuple[float | None, ...], seconds: int | None
) -> None:
    """Advertised every quarter of an hour, or read once a day; without an interval it stays."""
    assert lifetime(TEMPERATURE, intervals) == seconds


def test_what_nothing_repeats_stays() -> None:
    """A door that was opened yesterday is open, and a battery does not fill up in silence."""
    assert lifetime(BATTERY, [900.0]) is None
    assert lifetime(DOOR, [900.0]) is None


def test_the_ways_of_a_device() -> None:
    """Where one with a reader was never heard to advertise a value, only reads count; a sleepy one has no interval."""
    plant = {"readable": True, "read_interval": DAY, "interval": 900.0}
    assert intervals_of(device(**plant, advertises=False)) == (None, DAY)
    assert intervals_of(device(**plant)) == (900.0, DAY)
    assert intervals_of(device(interval=3600.0, advertises=False)) == (3600.0, None)
    assert intervals_of(device(sleepy=True)) == (None, None)
    assert intervals_of(device(model="", product=None, interval=0.0)) == (None, None)
