"""When a device is read, and how often at most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.model.timing import DAY
from proxy_listener.reads.schedule import ANY_SIGNAL_AFTER, FIRST_WITHIN, HOUR, Plan, gap_start

WALL = 1_700_000_000.0


def plan(**more):
    return Plan(**({"interval": DAY, "limit": 24, "born": 0.0} | more))


def test_a_device_never_read_is_read_within_five_minutes():
    """It is due at once for a jitter of 0, within five minutes for any."""
    assert plan().due_at() == 0.0
    assert plan(jitter=1.0).due_at() == FIRST_WITHIN


def test_once_a_day_and_a_little_later_each_time():
    """It is due after the interval, and up to an hour a day later."""
    read = plan()
    read.connected(100.0)
    read.succeeded(105.0, 0.5)
    assert read.due_at() == pytest.approx(105.0 + DAY + 0.5 * HOUR)


def test_the_next_read_waits_for_the_limit():
    """A read that is due begins when the oldest counted connection is a day old; a limit of 0 allows none."""
    read = plan(interval=HOUR, limit=2, connections=[100.0, 7_000.0], read=7_000.0)
    assert read.due_at() == 7_000.0 + HOUR
    assert read.next_at(8_000.0) == 100.0 + DAY
    assert read.next_at(100.0 + DAY) == read.due_at()
    assert plan(limit=0).next_at(0.0) is None


def test_off_is_off():
    """With ``read = "off"`` nothing is ever due."""
    assert plan(interval=None).due_at() is None
    assert not plan(interval=None).wants(10 * DAY, 0.0, -40.0)


def test_backing_off_to_a_day():
    """A sensor that does not answer is retried after 1, 2, 4, 8, 16 hours, then once a day."""
    read, at, waits = plan(), 0.0, []
    for _ in range(8):
        read.connected(at)
        read.failed()
        waits.append((read.due_at() - at) / HOUR)
        at = read.due_at()
    assert waits == [1, 2, 4, 8, 16, 24, 24, 24]


def test_an_answer_ends_the_backing_off():
    """After a success the next failure waits an hour again."""
    read = plan(misses=5)
    read.succeeded(0.0, 0.0)
    read.connected(DAY)
    read.failed()
    assert read.due_at() == DAY + HOUR


def test_automatic_ones_are_an_hour_apart():
    """Also if the interval is shorter, or it was just read on demand."""
    read = plan(interval=60.0)
    read.connected(1000.0)
    read.succeeded(1000.0, 0.0)
    assert read.due_at() == 1000.0 + HOUR


@pytest.mark.parametrize(
    ("age", "rssi", "late", "wanted"),
    [
        (1.0, -60.0, 0.0, True),
        (1.0, -85.0, 0.0, True),
        (1.0, -86.0, 0.0, False),
        (1.0, -86.0, ANY_SIGNAL_AFTER, True),
        (16.0, -60.0, ANY_SIGNAL_AFTER, False),
        (None, None, ANY_SIGNAL_AFTER, False),
        (1.0, -60.0, -1.0, False),
    ],
)
def test_the_moment(age, rssi, late, wanted):
    """A read begins if the device was just heard well; after six hours any signal suffices, but silence never."""
    assert plan(born=1000.0).wants(1000.0 + late, age, rssi) == wanted


@given(st.lists(st.floats(0, 3 * DAY), max_size=60), st.integers(0, 30))
def test_the_budget_is_of_any_24_hours(times, limit):
    """No window of 24 hours has more connections than the limit."""
    read, made = plan(limit=limit), []
    for at in sorted(times):
        if read.allowed(at):
            read.connected(at)
            made.append(at)
    assert all(sum(0 <= at - start < DAY for at in made) <= limit for start in made)


def test_a_restart_forgets_nothing():
    """Connections, the last read and the failures are kept, in the time of the next run."""
    read = plan(limit=3)
    read.connected(1000.0)
    read.succeeded(1010.0, 0.0)
    read.connected(2000.0)
    read.failed()
    again = plan(limit=3, born=50.0)
    again.restore(read.note(2500.0, WALL), 70.0, WALL + 20.0)
    assert again.allowed(70.0) == 1
    assert again.read == pytest.approx(1010.0 - 2500.0 + 50.0)
    assert again.tried == pytest.approx(2000.0 - 2500.0 + 50.0)
    assert again.misses == 1


def test_a_clock_that_was_set_back_gives_nothing_away():
    """Connections in the future count as made now."""
    read = plan(limit=1)
    read.connected(1000.0)
    again = plan(limit=1)
    again.restore(read.note(1000.0, WALL), 0.0, WALL - 10 * DAY)
    assert again.allowed(DAY - 1) == 0
    assert again.allowed(DAY) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"connections": 1}', '{"connections": ["x"], "misses": 0}'])
def test_a_damaged_note_is_none(text):
    """The plan starts as for a device never read."""
    read = plan()
    read.restore(text, 10.0, WALL)
    assert read == plan()


@pytest.mark.parametrize(
    ("missing", "start"),
    [(set(), None), ({10, 11}, None), ({10, 11, 12}, 10), ({5, 10, 11, 12, 13, 20, 21, 22}, 10), ({22, 23, 24}, 22)],
)
def test_a_gap_is_three_hours_or_more(missing, start):
    """One or two hours without a reading are not a gap; the start of the first longer one is returned."""
    day = 472_200
    hours = {day + hour for hour in range(30)} - {day + hour for hour in missing}
    found = gap_start(hours, day * 3600.0, (day + 24) * 3600.0 + 1800)
    assert found == (None if start is None else (day + start) * 3600.0)
