"""The sensor's log over connections that break: each entry once, with its own time, and an honest count."""

import struct

import pytest

from proxy_listener.gatt import miflora_log
from proxy_listener.gatt.interface import (
    LocalTime,
    LogProgress,
    LogReport,
    ReadTarget,
    RefusedError,
    covered_from,
    covered_text,
)
from proxy_listener.gatt.miflora import PLANTS
from proxy_listener.gatt.miflora_log import CoveredEntries, EntryDownload
from proxy_listener.model.errors import GattError

NOW = 1_700_000_000.0
HOUR = 3600
CLOCK = 2_158_345
NEWEST = CLOCK // HOUR * HOUR
EMPTY = b"\xff" * 16


def entry(seconds, moisture=21):
    return struct.pack("<IhxIBHxx", seconds, 235, 90, moisture, 179)


class Sensor:
    """A log, newest first, behind a link that breaks after ``life`` entries."""

    def __init__(self, count, life=10_000):
        self.log = [entry(NEWEST - HOUR * back, moisture=back % 80) for back in range(count)]
        self.clock, self.life, self.left = CLOCK, life, life
        self.asked = None
        self.reads = 0

    async def read(self, characteristic):
        if characteristic == miflora_log.CLOCK:
            return struct.pack("<I", self.clock)
        if self.asked is None:
            return struct.pack("<H", len(self.log)) + bytes(14)
        if not self.left:
            raise GattError("connection_lost", "gone")
        self.left -= 1
        self.reads += 1
        return self.log[self.asked] if self.asked < len(self.log) else EMPTY

    async def write(self, characteristic, data, response):
        assert (characteristic, response) == (miflora_log.LOG_CONTROL, True)
        self.asked = None if data == b"\xa0\x00\x00" else int.from_bytes(data[1:], "little")

    async def pause(self, seconds):
        raise AssertionError

    def hour_passes(self):
        self.clock += HOUR
        self.log.insert(0, entry(self.clock // HOUR * HOUR))


class Book:
    """What was stored, and a download that stores it."""

    def __init__(self, since=0.0, times=(), before=None, now=NOW):
        self.stored, self.told, self.now = [], [], now
        self.progress = LogProgress(since, self.store, times, before)
        target = ReadTarget(0xC47C8D6A0001, 0x0098, lambda: LocalTime(self.now, 0))
        self.download = EntryDownload(PLANTS[0x0098], target, self.progress)

    def store(self, time, values):
        self.stored.append((time, values["moisture"]))

    @property
    def covered(self):
        return covered_from(CoveredEntries, self.download.covered())

    async def fetch(self, sensor):
        """Connections until all is there. Gives how many it took."""
        for connections in range(1, 100):
            sensor.left = sensor.life
            try:
                await self.download.advance(sensor, lambda done, of: self.told.append((done, of)))
            except GattError:
                continue
            return connections
        raise AssertionError


def due(count, start=0):
    return [(NOW - CLOCK + NEWEST - HOUR * back, back % 80) for back in range(start, count)]


async def test_300_entries_over_a_link_that_breaks_every_20():
    """All 300, each once, each with its own time, newest first; the count is stated."""
    book, sensor = Book(), Sensor(300, life=20)
    assert await book.fetch(sensor) == 15
    assert book.stored == due(300)
    assert book.progress.report() == LogReport(300, 300, 0, 0, True)
    assert sensor.reads == 300
    assert book.told[-1] == (300, 300)
    assert [done for done, _ in book.told] == sorted(done for done, _ in book.told)


async def test_an_hour_passes_between_two_connections():
    """The sensor writes a new entry meanwhile: nothing is lost, nothing comes twice."""
    book, sensor = Book(), Sensor(50, life=20)
    for _ in range(2):
        sensor.left = sensor.life
        with pytest.raises(GattError):
            await book.download.advance(sensor, lambda *_: None)
        sensor.hour_passes()
        book.now += HOUR
    await book.fetch(sensor)
    assert book.stored == due(50)
    assert sensor.reads == 50
    assert book.progress.report() == LogReport(50, 50, 0, 0, True)


async def test_an_hour_passes_within_a_connection():
    """The same, while entries are being read."""
    sensor = Sensor(50)

    class Passing(Book):
        def store(self, time, values):
            super().store(time, values)
            if len(self.stored) == 30:
                sensor.hour_passes()

    book = Passing()
    await book.fetch(sensor)
    assert book.stored == due(50)
    assert book.progress.report() == LogReport(50, 50, 0, 0, True)
    assert book.covered.count == 50


async def test_what_is_no_measurement_is_skipped_and_counted():
    """Empty places in the log are skipped, and the sum still says how many there were."""
    book, sensor = Book(), Sensor(10)
    sensor.log[3] = EMPTY
    sensor.log[7] = struct.pack("<I", NEWEST - HOUR * 7) + bytes(12)
    await book.fetch(sensor)
    assert book.stored == [row for at, row in enumerate(due(10)) if at not in {3, 7}]
    assert str(book.progress.report()) == "8 entries stored, 0 known, 2 skipped of 10"


async def test_what_the_journal_has_is_not_stored_again():
    """An entry whose time is known, give or take the drift of the sensor's clock, is known."""
    times = [time + 700.0 for time, _ in due(10)[4:6]]
    book = Book(times=times)
    await book.fetch(Sensor(10))
    assert [row for row in due(10) if row not in book.stored] == due(10)[4:6]
    assert book.progress.report() == LogReport(10, 8, 2, 0, True)


async def test_the_next_run_reads_only_what_is_new():
    """What an earlier download covered is not asked of the sensor again."""
    sensor = Sensor(300)
    first = Book()
    await first.fetch(sensor)
    for _ in range(5):
        sensor.hour_passes()
    sensor.reads = 0
    second = Book(before=first.download.covered(), now=NOW + 5 * HOUR)
    await second.fetch(sensor)
    assert len(second.stored) == 5
    assert sensor.reads == 6
    assert second.progress.report() == LogReport(305, 5, 300, 0, True)
    assert second.covered.count == 305


async def test_a_run_that_stopped_is_continued_by_the_next():
    """A download that ended half way leaves its place; the next run goes on behind it."""
    sensor = Sensor(100, life=40)
    first = Book()
    with pytest.raises(GattError):
        await first.download.advance(sensor, lambda *_: None)
    assert str(first.progress.report()) == "40 entries stored, 0 known, 0 skipped of 100, not complete"
    sensor.left, sensor.reads = 1000, 0
    second = Book(before=first.download.covered())
    await second.fetch(sensor)
    assert first.stored + second.stored == due(100)
    assert sensor.reads == 61


async def test_a_new_battery_is_a_new_log():
    """After a change of battery the note of the old log counts for nothing."""
    old = CoveredEntries(NOW - 10 * CLOCK, NEWEST, 300)
    book = Book(before=covered_text(old))
    await book.fetch(Sensor(10))
    assert book.stored == due(10)
    assert book.covered == CoveredEntries(NOW - CLOCK, NEWEST, 10)


async def test_a_new_battery_between_two_connections():
    """The log that was begun is gone: said so, nothing made up."""
    book, sensor = Book(), Sensor(50, life=20)
    with pytest.raises(GattError):
        await book.download.advance(sensor, lambda *_: None)
    sensor.clock, sensor.log = 4000, [entry(3600)]
    with pytest.raises(RefusedError, match="was restarted"):
        await book.download.advance(sensor, lambda *_: None)


async def test_only_back_to_the_gap():
    """Where only a gap is to be filled, older entries are neither fetched nor missed."""
    book, sensor = Book(since=due(300)[9][0] - 60), Sensor(300)
    await book.fetch(sensor)
    assert book.stored == due(10)
    assert sensor.reads == 11
    assert book.progress.report() == LogReport(10, 10, 0, 0, True)
    assert book.covered.count == 10


async def test_a_clock_that_was_never_set_stores_nothing():
    """A computer whose clock says 1970 would give the entries wrong times."""
    with pytest.raises(RefusedError, match="clock is not set"):
        await Book(now=3600.0).download.advance(Sensor(3), lambda *_: None)


async def test_an_empty_log():
    """A sensor with a new battery has no entries, and that is complete."""
    book = Book()
    await book.fetch(Sensor(0))
    assert book.progress.report() == LogReport(0, 0, 0, 0, True)
    assert book.download.covered() is None


@pytest.mark.parametrize("text", [None, "", "{", "[]", "7", '{"boot": "x", "newest": 1, "count": 1}'])
def test_a_damaged_note_is_none(text):
    """Then everything is fetched again."""
    assert covered_from(CoveredEntries, text) is None
