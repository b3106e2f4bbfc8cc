"""A beacon that goes on with an event."""

from proxy_listener.engine.beacon import Beacon
from proxy_listener.model.reading import Event

PRESS = ({"battery": 100}, (Event("button", "press"),))
DOUBLE = ({"battery": 100}, (Event("button", "double_press"),))


def fired(*presses):
    beacon = Beacon()
    return [beacon.fires(*found, heard) for found, heard in presses]


def test_an_event_that_comes_at_one_pace_is_the_beacon_s():
    """The second could be a person's; from the third on, at the same pause, none fires, also where some are lost."""
    paces = (0.0, 8.1, 16.1, 24.2, 40.3, 48.2)
    assert fired(*((PRESS, heard) for heard in paces)) == [True, True, False, False, False, False]


def test_presses_of_a_person_fire():
    """Fast ones, uneven ones, and others than the last."""
    assert fired(*((PRESS, heard) for heard in (0.0, 1.0, 2.0, 3.0, 4.0))) == [True] * 5
    assert fired(*((PRESS, heard) for heard in (0.0, 7.0, 17.0, 22.0, 31.0))) == [True] * 5
    assert fired((PRESS, 0.0), (DOUBLE, 8.0), (PRESS, 16.0), (DOUBLE, 24.0)) == [True] * 4
    assert fired(*((PRESS, heard) for heard in (0.0, 300.0, 600.0, 900.0))) == [True] * 4


def test_a_press_between_two_beacons_fires():
    """It is off the beat."""
    assert fired(*((PRESS, heard) for heard in (0.0, 8.0, 16.0, 19.5))) == [True, True, False, True]
