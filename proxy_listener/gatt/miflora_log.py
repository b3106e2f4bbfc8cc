"""MiFlora's log: an entry an hour, newest first, fetched over as many connections as it takes.

::

    clock   1a12   [seconds since the battery went in, u32]
    count   1a11   [entries u16] ...                                                                after A0 00 00
    entry   1a11   [clock seconds u32][temperature s16][?][light u32][moisture u8][conductivity u16][2 ?] after A1 index

All numbers are little endian (docs/protocol/miflora.md#log). Invariant: each entry is stored once; after a lost
link the download continues at the entry that is missing, and a later run skips what an earlier one fetched.
"""

import struct
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

import attrs

from proxy_listener.gatt.interface import (
    CLOCK_SET_SINCE,
    Gatt,
    LogProgress,
    ReadTarget,
    RefusedError,
    covered_from,
    covered_text,
)
from proxy_listener.gatt.miflora import PLACEHOLDER, Plant, is_empty, log_in, parse_values, uuid
from proxy_listener.model.reading import Value

LOG_CONTROL, LOG_DATA, CLOCK = uuid("1a10"), uuid("1a11"), uuid("1a12")

_LOG_COUNT = bytes.fromhex("a00000")
_LOG_ENTRY = 0xA1

ENTRY_INTERVAL = 3_600
"""Seconds between two entries, on the hour of the sensor's own clock."""

ENTRY_LIMIT = 5_000
"""Entries that are fetched, at most: 208 days; no sensor is known to keep more."""

SAME_BATTERY = ENTRY_INTERVAL
"""Seconds. Two downloads that disagree more about when the battery went in saw different batteries."""


@attrs.frozen
class EntryLog:
    """The sensor's clock in seconds, and the number of entries it keeps."""

    clock: int
    count: int


@attrs.frozen
class LogEntry:
    """One hour of the log. ``seconds``: of the sensor's clock. ``values`` is empty if all of it is refused."""

    index: int
    seconds: int
    values: Mapping[str, Value]
    refused: tuple[str, ...] = ()


async def read_log(gatt: Gatt) -> EntryLog:
    """The sensor's clock and the number of its entries. Raises RefusedError if either is not a number."""
    clock = await gatt.read(CLOCK)
    if len(clock) < 4 or is_empty(clock[:4]):
        raise RefusedError("clock: no time")
    return EntryLog(int.from_bytes(clock[:4], "little"), await read_count(gatt))


async def read_count(gatt: Gatt) -> int:
    """How many entries the log has. Raises RefusedError if the answer is not a number."""
    await gatt.write(LOG_CONTROL, _LOG_COUNT, response=True)
    data = await gatt.read(LOG_DATA)
    if len(data) < 2 or data[:2] == b"\xff\xff" or data.startswith(PLACEHOLDER):
        raise RefusedError("history: no count")
    return int.from_bytes(data[:2], "little")


async def read_entries(gatt: Gatt, plant: Plant, log: EntryLog, start: int = 0) -> AsyncGenerator[LogEntry, None]:
    """The entries from index ``start`` (0 is the newest) to the oldest.

    An hour may pass meanwhile: all entries then move one index up, one comes twice, and the count has grown. So the
    count is read again at the end, and entries are told apart by their seconds.
    """
    index, count = start, log.count
    while index < min(count, ENTRY_LIMIT):
        await gatt.write(LOG_CONTROL, struct.pack("<BH", _LOG_ENTRY, index), response=True)
        yield parse_entry(await gatt.read(LOG_DATA), plant, index, log.clock)
        index += 1
        if index == count:
            count = await read_count(gatt)


def parse_entry(data: bytes, plant: Plant, index: int, clock: int) -> LogEntry:
    """The entry in an answer from 1a11. One that is not a measurement has no values, and a reason in ``refused``."""
    seconds = int.from_bytes(data[:4], "little")
    if len(data) < 14:
        return LogEntry(index, 0, {}, (f"{len(data)} bytes, expected 16",))
    if data.startswith(PLACEHOLDER) or is_empty(data):
        return LogEntry(index, 0, {}, ("no entry",))
    if seconds in {0, 0xFFFFFFFF}:
        return LogEntry(index, 0, {}, ("no time",))
    if seconds > clock + ENTRY_INTERVAL:
        return LogEntry(index, seconds, {}, ("its time lies after the sensor's clock",))
    if seconds < clock - ENTRY_LIMIT * ENTRY_INTERVAL:
        return LogEntry(index, seconds, {}, ("older than a log can be",))
    if not any(data[4:]):
        return LogEntry(index, seconds, {}, ("nothing measured",))
    if data[11] == 0xFF:
        return LogEntry(index, seconds, {}, ("moisture not measured",))
    refused: list[str] = []
    values = parse_values(data[4:14], plant, f"entry {index}", refused)
    return LogEntry(index, seconds, values, tuple(refused))


@attrs.frozen
class CoveredEntries:
    """What earlier runs fetched: ``count`` entries without a gap, the newest of them at ``newest`` sensor seconds.

    ``boot``: seconds since 1970 at which the battery went in.
    """

    boot: float = attrs.field(converter=float)
    newest: int = attrs.field(converter=int)
    count: int = attrs.field(converter=int)


class EntryDownload:
    """The download of one sensor's log: a :class:`~proxy_listener.gatt.interface.Download`."""

    def __init__(self, plant: Plant, target: ReadTarget, progress: LogProgress) -> None:
        self._plant = plant
        self._target = target
        self._progress = progress
        self._before = covered_from(CoveredEntries, progress.covered)
        self._index = 0
        self._log: EntryLog | None = None
        self._boot = 0.0
        self._newest: tuple[int, int] | None = None  # sensor seconds, and its index now
        self._seen: set[int] = set()

    async def log_in(self, gatt: Gatt) -> None:
        """As :meth:`Download.log_in`."""
        await log_in(gatt, self._plant, self._target.address)

    async def advance(self, gatt: Gatt, notify: Callable[[int, int], None]) -> None:
        """As :meth:`Download.advance`."""
        log = await read_log(gatt)
        self._connected(log)
        progress = self._progress
        notify(progress.done, progress.wanted)
        more = self._index < log.count
        while more:
            more = False
            async with aclosing(read_entries(gatt, self._plant, log, self._index)) as entries:
                async for entry in entries:
                    self._index = entry.index + 1
                    if self._ends_at(entry):
                        break
                    jump = self._add(entry)
                    notify(progress.done, progress.wanted)
                    if jump:
                        self._index += jump
                        more = self._index < log.count
                        break
        progress.complete = True

    def covered(self) -> str | None:
        """As :meth:`Download.covered`; what earlier runs covered, if that is more."""
        before = self._before
        if self._newest is None:
            return None if before is None else covered_text(before)
        seconds, index = self._newest
        mine = CoveredEntries(self._boot, seconds, self._index - index)
        more = before is not None and self._same_battery(before) and before.count > mine.count
        return covered_text(before if before is not None and more else mine)

    def _same_battery(self, before: CoveredEntries) -> bool:
        return abs(before.boot - self._boot) <= SAME_BATTERY

    def _connected(self, log: EntryLog) -> None:
        """Compare the log with what it was on the last connection."""
        now = self._target.local().seconds
        if now < CLOCK_SET_SINCE:
            raise RefusedError("history: this computer's clock is not set")
        if self._log is None:
            self._boot = now - log.clock
            self._progress.wanted = min(log.count, ENTRY_LIMIT)
        elif log.clock < self._log.clock or log.count < self._log.count:
            raise RefusedError("history: the sensor was restarted meanwhile")
        else:
            self._shift(log.count - self._log.count)
        self._log = log

    def _shift(self, entries: int) -> None:
        """The sensor wrote so many new entries: the index of all others grows."""
        if self._index:
            self._index += entries
        if self._newest is not None:
            self._newest = (self._newest[0], self._newest[1] + entries)

    def _ends_at(self, entry: LogEntry) -> bool:
        """Whether this entry and all behind it are older than what is wanted."""
        if not entry.values or self._boot + entry.seconds >= self._progress.since:
            return False
        self._index = entry.index
        self._progress.wanted = self._progress.done
        return True

    def _add(self, entry: LogEntry) -> int:
        """Count or store one entry. How many behind it need not be fetched."""
        progress, before = self._progress, self._before
        if entry.seconds and entry.seconds in self._seen:
            # The entry that was read last, one index further: an hour began on the sensor since.
            if self._newest is not None:
                self._newest = (self._newest[0], self._newest[1] + 1)
            return 0
        if not entry.values:
            progress.skipped += 1
            return 0
        self._seen.add(entry.seconds)
        if self._newest is None:
            self._newest = (entry.seconds, entry.index)
        if before is not None and entry.seconds == before.newest and self._same_battery(before):
            progress.known += min(before.count, progress.wanted - progress.done)
            return before.count - 1
        progress.add(float(round(self._boot + entry.seconds)), entry.values, ENTRY_INTERVAL)
        return 0
