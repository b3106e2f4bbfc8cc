"""The readings that wait for a commit."""

from hypothesis import given
from hypothesis import strategies as st
from support.made_readings import MAC, reading

from proxy_listener.history.buffer import Buffer


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 20))
def test_the_newest_readings_wait_and_the_others_are_counted(numbers, limit):
    """Ids go on without a gap, whatever was dropped."""
    buffer = Buffer(100, limit)
    for number in numbers:
        buffer.append(reading(number))
    first = max(0, len(numbers) - limit)
    assert [(row.id - 100, row.reading.counter) for row in buffer.rows] == list(enumerate(numbers))[first:]
    assert (buffer.lost, buffer.next_id) == (first, 100 + len(numbers))


@given(st.sets(st.integers(0, 2**32 - 1), max_size=10), st.sets(st.integers(0, 2**32 - 1), max_size=10))
def test_the_highest_identity_is_that_of_one_device_and_one_key(mine, others):
    """Empty where no frame of them waits."""
    buffer = Buffer(1, 100)
    for number in mine:
        buffer.append(reading(number, identity=b"mine" + number.to_bytes(4, "big") + b"tag!"))
    for number in others:
        buffer.append(reading(number))
        buffer.append(reading(number, mac=MAC + 1, identity=b"mine" + number.to_bytes(4, "big") + b"tag!"))
    for key, numbers in ((b"mine", mine), (b"key!", others)):
        highest = max((key + number.to_bytes(4, "big") for number in numbers), default=b"")
        assert buffer.highest_identity(MAC, key)[:8] == highest


def test_a_frame_is_known_until_its_commit_has_ended():
    """Also while the writer has it. Plain frames are not known at all."""
    buffer = Buffer(1, 100)
    buffer.append(reading(1))
    buffer.append(reading(2, trust="claimed"))
    rows = buffer.take(10)
    assert [buffer.known(MAC, reading(number).identity) for number in (1, 2, 3)] == [True, False, False]
    buffer.forget(rows)
    assert not buffer.known(MAC, reading(1).identity)


def test_the_identity_of_a_dropped_reading_is_forgotten():
    """It is in no row, so it may come again."""
    buffer = Buffer(1, 1)
    buffer.append(reading(1))
    buffer.append(reading(2))
    assert [buffer.known(MAC, reading(number).identity) for number in (1, 2)] == [False, True]
