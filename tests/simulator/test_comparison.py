"""Readings compared with the ground truth."""

from itertools import count

import attrs
import pytest

from proxy_listener.model.reading import Event, Reading
from proxy_listener.simulator.comparison import compare
from proxy_listener.simulator.ground_truth import GroundTruth, Origin, SentFrame

MAC = 0xA4C1380283F4


def truth(*frames):
    """A ground truth in which the hall heard these frames, one a second."""
    made = GroundTruth()
    for time, frame in zip(count(1.0), frames, strict=False):
        made.on_air(frame, time)
        frame.record("hall", time)
    return made


def frame(counter=1, temperature=21.5, **more):
    return SentFrame(MAC, 0.0, counter, {"temperature": temperature}, more.pop("events", ()), b"", **more)


def reading(time=1.0, counter=1, temperature=21.5, **more):
    fields = {
        "mac": MAC, "name": "hall", "model": "LYWSD03MMC", "time": time, "source": "advertisement", "proxy": "hall",
        "room": "Hall", "rssi": -60, "counter": counter, "trust": "authenticated", "late": False,
        "values": {"temperature": temperature},
    }  # fmt: skip
    return Reading(**(fields | more))


def test_each_frame_with_one_reading_is_perfect():
    """A reading may have more values than its frame: device state is added to it."""
    result = compare(
        truth(frame(1), frame(2)), [reading(1.0, 1, values={"temperature": 21.5, "battery": 9}), reading(2.0, 2)]
    )
    assert result.perfect
    assert (result.frames, result.heard, result.readings) == (2, 2, 2)


def test_a_frame_without_a_reading_is_lost():
    """It is named; a frame that no room heard is not expected, and neither is one without content."""
    heard, unheard, empty = frame(1), frame(2), attrs.evolve(frame(3), values={}, origin=Origin.SIGN_OF_LIFE)
    made = truth(heard)
    made.on_air(unheard, 2.0)
    made.on_air(empty, 3.0)
    empty.record("hall", 3.0)
    result = compare(made, [])
    assert result.lost == (heard,)
    assert (result.frames, result.heard) == (2, 1)


def test_a_second_reading_of_a_frame_is_twice():
    """The first one matches, the second is reported."""
    first, second = reading(1.0), reading(1.2)
    result = compare(truth(frame(1)), [first, second])
    assert (result.lost, result.twice, result.false) == ((), (second,), ())


@pytest.mark.parametrize(
    "wrong",
    [{"counter": 2}, {"temperature": 30.0}, {"mac": MAC + 1}, {"events": (Event("button", "press"),)}],
    ids=["counter", "values", "device", "events"],
)
def test_a_reading_that_matches_no_frame_is_false(wrong):
    """Counter, values, device and events must all agree."""
    result = compare(truth(frame(1)), [reading(**wrong)])
    assert (len(result.lost), result.twice, len(result.false)) == (1, (), 1)


def test_of_frames_with_one_counter_the_nearest_in_time_matches():
    """A plain counter wraps: the reading of the second frame leaves the first one lost."""
    early, late = frame(7), frame(7)
    made = truth(early)
    made.on_air(late, 500.0)
    late.record("hall", 500.0)
    assert compare(made, [reading(499.0, 7)]).lost == (early,)


def test_reads_and_unreadable_devices_are_ignored():
    """A reading of an active read matches nothing and is not false; of a device without key nothing is expected."""
    assert compare(truth(), [reading(source="read", counter=None)]).perfect
    result = compare(truth(frame(1)), [], unreadable={MAC})
    assert (result.perfect, result.frames) == (True, 0)
