"""Which unlisted devices are admitted, and what a flood of invented addresses can do."""

import tracemalloc

import attrs
import pytest

from proxy_listener.engine.newcomers import APART, BUCKET, KEPT, MOMENTS, RESERVED, WHILE, Newcomers, Sign
from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.model.models import HOUR
from proxy_listener.model.timing import DAY

KNOWN = Sign(model_of(0x055B), True, "hall", -70)
UNKNOWN = KNOWN._replace(model=attrs.evolve(KNOWN.model, known=False))
REAL = 0xA4C1380283F4


def speak(newcomers: Newcomers, addresses, times, sign: Sign = KNOWN) -> dict[int, float]:
    """Each address speaks at each of the times, until it is admitted: when it was."""
    admitted = {}
    for now in times:
        for address in addresses:
            if address not in admitted and newcomers.admits(address, sign, now):
                admitted[address] = now
    return admitted


def every(seconds: float, begin: float, until: float) -> list[float]:
    return [begin + k * seconds for k in range(int((until - begin) / seconds) + 1)]


def test_three_hundred_addresses_in_a_second_admit_none():
    """Each sends one frame, as the attack did that used up a day's admissions in 1.2 s."""
    newcomers = Newcomers(0.0)
    assert [n for n in range(300) if newcomers.admits(n, KNOWN, n / 250)] == []
    assert newcomers.left(2.0) == BUCKET - RESERVED


@pytest.mark.parametrize(
    ("times", "admitted"),
    [
        pytest.param([0.0, 30.0, WHILE], True, id="three moments over a minute"),
        pytest.param([0.0, WHILE, WHILE + APART], True, id="a door that is opened twice"),
        pytest.param([0.0, WHILE], False, id="two moments"),
        pytest.param([0.0, 0.5, 1.0, 2.0, WHILE], False, id="copies of one frame"),
        pytest.param(every(APART, 0.0, WHILE - APART), False, id="less than a minute"),
        pytest.param([0.0, 5000.0, 10_000.0], True, id="a button that is pressed now and then"),
    ],
)
def test_a_device_is_admitted_once_it_was_heard_for_a_while(times, admitted):
    newcomers = Newcomers(0.0)
    assert (REAL in speak(newcomers, [REAL], times)) is admitted
    assert len(newcomers) == 1 - admitted


def test_half_of_the_bucket_is_kept_for_known_products_that_were_heard_for_an_hour():
    """Unknown products take the other half only; known ones take the rest after an hour, and then no more than the
    bucket is filled with: 256 a day.
    """
    newcomers = Newcomers(0.0)
    unknown = speak(newcomers, range(400), [0.0, 30.0, 60.0], UNKNOWN)
    assert len(unknown) == BUCKET - RESERVED
    known = speak(newcomers, range(1000, 1200), [61.0, 100.0, 130.0])
    assert known == {}
    late = speak(newcomers, range(1000, 1200), [61.0 + HOUR, 62.0 + HOUR])
    refilled = int(BUCKET * HOUR / DAY)
    assert len(late) == RESERVED + refilled
    assert newcomers.full(63.0 + HOUR)


def test_the_bucket_fills_through_the_day():
    """A quarter of it in a quarter of a day; a flood does not shut the door for a day."""
    newcomers = Newcomers(0.0)
    speak(newcomers, range(300), [0.0, 30.0, 60.0])
    assert newcomers.left(61.0) == 0
    assert newcomers.left(60.0 + DAY / 4) == BUCKET // 4


def test_a_real_device_is_admitted_after_the_flood_and_a_long_heard_one_during_it():
    """1,000 invented addresses of known products that speak over a minute, new ones every minute, for two hours: the
    real device, heard every 10 s, is admitted within an hour and a minute.
    """
    newcomers = Newcomers(0.0)
    fakes = 0
    admitted = None
    for minute in range(120):
        for second in range(0, 60, 10):
            now = minute * 60.0 + second
            for address in range(minute * 1000, minute * 1000 + 1000) if second in {0, 30, 50} else ():
                fakes += newcomers.admits(address, KNOWN, now)
                fakes += second == 50 and newcomers.admits(address, KNOWN, now + 10)
            if admitted is None and newcomers.admits(REAL, KNOWN, now + 9.5):
                admitted = now
    assert admitted is not None
    assert admitted <= HOUR + 120
    assert fakes == pytest.approx(BUCKET - RESERVED + BUCKET * 2 * HOUR / DAY, abs=2)


def test_a_hundred_thousand_invented_addresses_take_bounded_memory():
    """Whether each is sent once or over a minute; the longest unheard ones are forgotten."""
    newcomers = Newcomers(0.0)
    tracemalloc.start()
    try:
        for address in range(100_000):
            newcomers.admits(address, KNOWN, address / 1000)
        for now in (200.0, 230.0, 260.0):
            for address in range(100_000, 101_500):
                newcomers.admits(address, KNOWN, now)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(newcomers) <= 3 * KEPT
    assert size < 2_000_000


def test_addresses_that_were_heard_once_push_out_none_that_was_heard_for_a_minute():
    """A device that waits for room in the bucket keeps its place, however many addresses are invented."""
    newcomers = Newcomers(0.0, [-1.0] * BUCKET)
    speak(newcomers, [REAL], every(30.0, 0.0, 60.0))
    for address in range(10 * KEPT):
        newcomers.admits(address, KNOWN, 61.0)
    waiting = dict(newcomers)
    assert waiting[REAL].moments == MOMENTS
    assert next(iter(waiting)) == REAL
