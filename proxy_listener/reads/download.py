"""A plant sensor's log, fetched over as many connections as it takes: each entry once, each with its own time.

What comes in: an open connection, time and again; what the journal has of the log already. What goes out: entries with
the wall time at which the sensor wrote them. The rule of this file: progress is never lost. A lost link continues at
the entry where it stopped, a new run behind what the last one covered; what was not fetched is counted, not hidden.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable
from contextlib import aclosing

import attrs

from proxy_listener.gatt.miflora import (
    ENTRY_INTERVAL,
    ENTRY_LIMIT,
    Entry,
    Gatt,
    Log,
    Plant,
    RefusedError,
    read_entries,
    read_log,
)

CLOCK_SET_SINCE = 1_600_000_000.0
"""A wall clock before this (September 2020) was never set: the entries would get wrong times for ever."""

SAME_BATTERY = ENTRY_INTERVAL
"""Two downloads whose idea of the sensor's start differs by more saw different batteries, or the clock was set."""


@attrs.frozen
class Covered:
    """What earlier runs fetched: ``count`` entries without a gap, the newest of them at ``newest`` sensor seconds."""

    boot: float
    newest: int
    count: int

    def note(self) -> str:
        """As text, for the next run."""
        return json.dumps(attrs.asdict(self))


def recall(text: str | None) -> Covered | None:
    """The note of the last run, where it is one."""
    try:
        noted = json.loads(text or "")
        return Covered(float(noted["boot"]), int(noted["newest"]), int(noted["count"]))
    except (ValueError, TypeError, KeyError):
        return None


@attrs.frozen
class LogReport:
    """How a download stands. ``complete``: every entry that was wanted is stored, was known, or was skipped."""

    count: int
    stored: int
    known: int
    skipped: int
    complete: bool

    def __str__(self) -> str:
        end = "" if self.complete else ", not complete"
        return f"{self.stored} entries stored, {self.known} known, {self.skipped} skipped of {self.count}{end}"


def _in_order(times: Iterable[float]) -> list[float]:
    return sorted(times)


@attrs.define
class Download:
    """One device's log on its way.

    ``since``: seconds since 1970, older entries are not wanted. ``times``: when the log entries that the journal has
    were written. ``store`` is called with the wall time of each new entry; ``wall`` tells seconds since 1970.
    """

    plant: Plant
    since: float
    store: Callable[[float, Entry], None]
    wall: Callable[[], float]
    times: list[float] = attrs.field(converter=_in_order)
    before: Covered | None = None
    index: int = 0
    stored: int = 0
    known: int = 0
    skipped: int = 0
    complete: bool = False
    _log: Log | None = None
    _boot: float = 0.0
    _wanted: int = 0
    _newest: tuple[int, int] | None = None  # sensor seconds, and its index now
    _seen: set[int] = attrs.field(factory=set)

    async def advance(self, gatt: Gatt, tell: Callable[[int, int], None]) -> None:
        """Fetch on, until the end or until the connection fails: GattError. ``tell`` gets done and wanted entries.

        Raises RefusedError where the sensor's log makes no sense.
        """
        log = await read_log(gatt)
        self._meet(log)
        tell(self.done, self._wanted)
        more = self.index < log.count
        while more:
            more = False
            async with aclosing(read_entries(gatt, self.plant, log, self.index)) as entries:
                async for entry in entries:
                    self.index = entry.index + 1
                    if self._older(entry):
                        break
                    jump = self._take(entry)
                    tell(self.done, self._wanted)
                    if jump:
                        self.index += jump
                        more = self.index < log.count
                        break
        self.complete = True

    @property
    def done(self) -> int:
        """Entries whose fate is known."""
        return self.stored + self.known + self.skipped

    def report(self) -> LogReport:
        """How it stands."""
        complete = self.complete and self.done >= self._wanted
        return LogReport(self._wanted, self.stored, self.known, self.skipped, complete)

    def covered(self) -> Covered | None:
        """What the next run need not fetch again; the earlier note where that covers more."""
        if self._newest is None:
            return self.before
        seconds, index = self._newest
        mine = Covered(self._boot, seconds, self.index - index)
        same = self.before is not None and abs(self.before.boot - self._boot) <= SAME_BATTERY
        return self.before if self.before is not None and same and self.before.count > mine.count else mine

    def _meet(self, log: Log) -> None:
        """A connection is open: place its log beside what is known of the log already."""
        now = self.wall()
        if now < CLOCK_SET_SINCE:
            raise RefusedError("history: this computer's clock is not set")
        if self._log is None:
            self._boot = now - log.clock
            self._wanted = min(log.count, ENTRY_LIMIT)
        elif log.clock < self._log.clock or log.count < self._log.count:
            raise RefusedError("history: the sensor started anew meanwhile")
        else:
            self._shift(log.count - self._log.count)
        self._log = log

    def _shift(self, entries: int) -> None:
        """The sensor wrote so many entries since: all that were there have moved up."""
        if self.index:
            self.index += entries
        if self._newest is not None:
            self._newest = (self._newest[0], self._newest[1] + entries)

    def _older(self, entry: Entry) -> bool:
        """This entry, and all behind it, are older than what is wanted."""
        if not entry.values or self._boot + entry.seconds >= self.since:
            return False
        self.index = entry.index
        self._wanted = self.done
        return True

    def _take(self, entry: Entry) -> int:
        """Count or store one entry. How many behind it need not be asked for."""
        if entry.seconds and entry.seconds in self._seen:
            self._shift_seen()
            return 0
        if not entry.values:
            self.skipped += 1
            return 0
        self._seen.add(entry.seconds)
        if self._newest is None:
            self._newest = (entry.seconds, entry.index)
        before = self.before
        if before is not None and entry.seconds == before.newest and abs(before.boot - self._boot) <= SAME_BATTERY:
            self.known += min(before.count, self._wanted - self.done)
            return before.count - 1
        time = float(round(self._boot + entry.seconds))
        if _near(self.times, time):
            self.known += 1
        else:
            self.stored += 1
            self.store(time, entry)
        return 0

    def _shift_seen(self) -> None:
        """The same entry again, one index further: an hour began on the sensor since the last one was read."""
        if self._newest is not None:
            self._newest = (self._newest[0], self._newest[1] + 1)


def _near(times: list[float], time: float) -> bool:
    """One of the sorted times is that of the same entry: entries are an hour apart, and the sensor's clock drifts."""
    at = bisect_left(times, time - ENTRY_INTERVAL / 2)
    return at < len(times) and times[at] < time + ENTRY_INTERVAL / 2


GAP_HOURS = 3


def gap_start(hours: Iterable[int], since: float, now: float) -> float | None:
    """When the first gap of three hours or more began. ``hours`` (time // 3600) are those that have a reading."""
    have = set(hours)
    missing = 0
    for hour in range(int(since // ENTRY_INTERVAL) + 1, int(now // ENTRY_INTERVAL) + 1):
        missing = 0 if hour in have else missing + 1
        if missing == GAP_HOURS:
            return float((hour - GAP_HOURS + 1) * ENTRY_INTERVAL)
    return None
