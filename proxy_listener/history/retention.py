"""Retention: readings older than ``[history] keep`` are removed, and the oldest ones where ``max_size`` is reached.

The writer's size and counts of rows go in; small transactions in the writing thread come out, with commits between
them. Invariant: one step takes a few milliseconds however large a table is, because readings wait behind it.

Where there is no room, the device with the most rows gives its oldest first. So a flood in one device's name costs that
device its past and no other: it stops where what is left of it is as small as the next. A device that sends seldom, a
door or a leak sensor, loses nothing until all others are down to its size. Identities are never removed: they are the
memory against replays. Only rows that are folded are removed. SQLite uses freed pages again, so the file stops growing.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from heapq import nlargest
from typing import Literal, NamedTuple, ParamSpec, TypeAlias, TypeVar

import structlog

from proxy_listener.history.file import FAULTS, Store
from proxy_listener.history.schema import SLOT
from proxy_listener.history.writer import Writer
from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.reading import Reading
from proxy_listener.model.settings import HistorySettings
from proxy_listener.model.timing import DAY

log = structlog.get_logger()

EVERY = 600.0
PAUSE = 0.05
"""Seconds between looks for what is too old, and between the steps of removing it."""

STEP = 500
"""Rows that one step removes of a table: more than the 200 that a commit adds, so that removing outpaces any flood."""

ROUND = 200
"""Steps after which the log and the daily count get their turn."""

FAULT_PAUSE = 60.0
"""Seconds without an attempt to make room after one that failed."""

TAIL_SHARE = 50
"""Where rows that are not indexed are more than a 50th of ``max_size``, they are indexed first."""

SHOWN = 5
"""Devices that the warning names."""

Table: TypeAlias = Literal["reading", "summary", "hearing"]

BYTES: Mapping[Table, int] = {"reading": 230, "summary": 55, "hearing": 55}
"""What a row takes with its indexes, as dbstat shows it for 200,000 readings of 20 devices."""

GIVERS = 64
"""Holdings that give in one step, at most: a plan is a few statements even where there are thousands of devices."""

P = ParamSpec("P")
T = TypeVar("T")


class Holding(NamedTuple):
    """The rows of one table that belong to a device; all rows of ``hearing`` are one holding, without a device."""

    table: Table
    mac: Address | None


Plan: TypeAlias = list[tuple[Holding, int]]
"""Holdings, and how many of their oldest rows are to be removed."""


class Holdings:
    """How many rows each holding has."""

    def __init__(self, rows: Mapping[Holding, int]) -> None:
        self._rows = Counter(rows)
        self._slots: dict[Address, int] = {}

    @classmethod
    def counted(cls, connection: sqlite3.Connection) -> "Holdings":
        """By what is in the file. Takes seconds for a large one."""
        rows: dict[Holding, int] = {}
        tables: Mapping[Table, str] = {"reading": "by_device", "summary": "summary"}
        for table, counted in tables.items():
            found = connection.execute(f"SELECT mac, count(*) FROM {counted} GROUP BY mac")  # noqa: S608  constants
            rows |= {Holding(table, mac): count for mac, count in found}
        (rows[Holding("hearing", None)],) = connection.execute("SELECT count(*) FROM hearing").fetchone()
        return cls(rows)

    def add(self, readings: Iterable[Reading]) -> None:
        """Counts committed readings. The counts of summaries are approximate."""
        for reading in readings:
            self._rows[Holding("reading", reading.mac)] += 1
            slot = int(reading.time // SLOT)
            if self._slots.get(reading.mac) != slot:
                self._slots[reading.mac] = slot
                self._rows[Holding("summary", reading.mac)] += len(reading.values)

    def subtract(self, holding: Holding, rows: int) -> None:
        """Counts removed rows; 0 means that the holding had none left."""
        left = self._rows[holding] - rows
        if rows and left > 0:
            self._rows[holding] = left
        else:
            del self._rows[holding]

    def plan(self, rows: int) -> Plan:
        """At most ``rows`` rows, of the largest holdings; empty where there is no holding.

        No holding gives more than half of its rows, and none that is less than half as large as the largest.
        """
        largest = nlargest(GIVERS, self._rows, key=self._bytes)
        plan: Plan = []
        for holding in largest:
            count = min(rows, -(-self._rows[holding] // 2))
            if count <= 0 or self._bytes(holding) * 2 < self._bytes(largest[0]):
                break
            plan.append((holding, count))
            rows -= count
        return plan

    def _bytes(self, holding: Holding) -> int:
        return self._rows[holding] * BYTES[holding.table]


class Retention:
    """Keeps the history within what the settings allow. ``clock`` gives wall seconds; ``fold`` indexes the newest rows,
    because only indexed rows are removed.
    """

    def __init__(
        self,
        store: Store,
        writer: Writer,
        thread: ThreadPoolExecutor,
        settings: HistorySettings,
        clock: Callable[[], float],
        fold: Callable[[], Awaitable[None]],
    ) -> None:
        self._fold = fold
        self._store = store
        self._writer = writer
        self._thread = thread
        self._settings = settings
        self._clock = clock
        self._over = asyncio.Event()
        self._holdings: Holdings | None = None
        self._count_due = 0.0
        self._log_due = 0.0
        self._removed: Counter[Address] = Counter()
        self._others = 0

    def committed(self, readings: Iterable[Reading]) -> None:
        """The journal calls it after each commit."""
        if self._holdings is not None:
            self._holdings.add(readings)
        if self._writer.size > self._settings.max_size:
            self._over.set()

    def count_again(self) -> None:
        """The counts are not those of the file any more."""
        self._holdings = None

    async def run(self) -> None:
        """Remove rows until cancelled."""
        self.committed(())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._remove_old())
            tasks.create_task(self._bound_size())

    async def _remove_old(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            now = self._clock()
            try:
                while await self._remove_older(now - self._settings.keep, now - self._settings.sealed):
                    self.count_again()
                    await asyncio.sleep(PAUSE)
            except FAULTS as error:
                log.warning("old history could not be removed", error=str(error))

    async def _remove_older(self, before: float, sealed_before: float) -> bool:
        sealed, more = await self._in_thread(self._writer.change, remove_older, before, sealed_before)
        if sealed:
            await self._in_thread(self._writer.count_sealed)
        return more

    async def _bound_size(self) -> None:
        # Counted before it is needed: a flood would go on filling the file during the count.
        with suppress(*FAULTS):
            await self._count()
        while True:
            await self._over.wait()
            self._over.clear()
            try:
                await self._make_room(await self._count())
            except FAULTS as error:
                self.count_again()
                log.warning("history has reached max_size, and nothing could be removed", error=str(error))
                await asyncio.sleep(FAULT_PAUSE)

    async def _count(self) -> Holdings:
        """Counts again once a day: the counts of summaries are approximate, and those of hearing stand still."""
        now = asyncio.get_running_loop().time()
        if self._holdings is None or now >= self._count_due:

            def count() -> Holdings:
                with self._store.reading() as connection:
                    return Holdings.counted(connection)

            self._holdings = await asyncio.to_thread(count)
            self._count_due = now + DAY
        return self._holdings

    async def _make_room(self, holdings: Holdings) -> None:
        """Steps without a pause between them: a commit that waits goes in between, because one thread does both."""
        if self._writer.tail.rows * BYTES["reading"] > self._settings.max_size // TAIL_SHARE:
            await self._fold()
        for _ in range(ROUND):
            if self._writer.size <= self._settings.max_size:
                break
            plan = holdings.plan(STEP)
            if not plan:
                self.count_again()
                break
            removed = await self._in_thread(self._writer.change, remove_oldest, plan)
            for (holding, _), rows in zip(plan, removed, strict=True):
                holdings.subtract(holding, rows)
                if holding.table == "reading" and holding.mac is not None:
                    self._removed[holding.mac] += rows
                else:
                    self._others += rows
        else:
            self._over.set()
        self._log()

    def _log(self) -> None:
        """Once a day at most; the next line has what was removed since."""
        now = asyncio.get_running_loop().time()
        if now < self._log_due:
            return
        self._log_due = now + DAY
        log.warning(
            "history has reached max_size; the oldest readings of the devices with the most readings are removed",
            max_size=self._settings.max_size,
            size=self._writer.size,
            readings=self._removed.total(),
            most={mac_text(mac): rows for mac, rows in self._removed.most_common(SHOWN)},
            summaries=self._others,
            help="raise [history] max_size, or lower keep; most readings of a plain device may be a flood in its name",
        )
        self._removed.clear()
        self._others = 0

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))


def remove_older(connection: sqlite3.Connection, before: float, sealed_before: float) -> tuple[int, bool]:
    """One step: removes sealed frames from before one wall time, and everything else from before another.

    How many sealed frames that were, and whether there may be more of anything.
    """
    sealed = _remove_before(connection, "sealed", "sealed", sealed_before)
    removed = _remove_before(connection, "reading", "by_time", before)
    heard = connection.execute("DELETE FROM hearing WHERE hour < ?", (before // 3600,)).rowcount
    slots = _remove_slots_before(connection, before // SLOT)
    connection.execute("DELETE FROM latest WHERE mac IN (SELECT mac FROM device WHERE time < ?)", (before,))
    connection.execute("DELETE FROM device WHERE time < ?", (before,))
    unheard = (
        "DELETE FROM admitted WHERE time < ? AND mac NOT IN (SELECT mac FROM device UNION "
        "SELECT mac FROM reading WHERE id > (SELECT position FROM fold))"
    )
    connection.execute(unheard, (before,))
    return sealed, STEP in (sealed, removed, slots) or heard > STEP


def remove_oldest(connection: sqlite3.Connection, plan: Plan) -> list[int]:
    """One step: removes the oldest rows of each holding, about as many as planned. How many each of them lost: 0 only
    where it has none.
    """
    return [_remove_oldest(connection, holding, rows) for holding, rows in plan]


def _remove_oldest(connection: sqlite3.Connection, holding: Holding, rows: int) -> int:
    if holding.table == "hearing":
        oldest = "SELECT hour, proxy, mac FROM hearing ORDER BY hour, proxy, mac LIMIT ?"
        return connection.execute(f"DELETE FROM hearing WHERE (hour, proxy, mac) IN ({oldest})", (rows,)).rowcount  # noqa: S608  a constant
    if holding.table == "summary":
        return _remove_oldest_slots(connection, holding.mac, rows)
    oldest = "SELECT id FROM by_device WHERE mac = ? ORDER BY time LIMIT ?"
    return connection.execute(f"DELETE FROM reading WHERE id IN ({oldest})", (holding.mac, rows)).rowcount  # noqa: S608  a constant


def _remove_oldest_slots(connection: sqlite3.Connection, mac: Address | None, rows: int) -> int:
    """The oldest slots of all curves of a device: as many slots as ``rows`` rows are if no curve has a gap."""
    follow = "SELECT quantity, slot FROM summary WHERE mac = ? AND quantity > ? ORDER BY quantity, slot LIMIT 1"
    oldest: dict[str, int] = {}
    quantity = ""
    while found := connection.execute(follow, (mac, quantity)).fetchone():
        quantity, oldest[quantity] = found[0], found[1]
    if not oldest:
        return 0
    end = min(oldest.values()) + max(1, rows // len(oldest))
    remove = "DELETE FROM summary WHERE mac = ? AND quantity = ? AND slot < ?"
    return sum(connection.execute(remove, (mac, quantity, end)).rowcount for quantity in oldest)


def _remove_before(connection: sqlite3.Connection, table: str, index: str, before: float) -> int:
    oldest = f"SELECT id FROM {index} WHERE time < ? ORDER BY time LIMIT {STEP}"  # noqa: S608  constants
    return connection.execute(f"DELETE FROM {table} WHERE id IN ({oldest})", (before,)).rowcount  # noqa: S608  constants


def _remove_slots_before(connection: sqlite3.Connection, before: float) -> int:
    """Curve by curve, because the table lies in that order and has no index by time."""
    curve, removed = (-1, ""), 0
    follow = "SELECT mac, quantity FROM summary WHERE (mac, quantity) > (?, ?) ORDER BY mac, quantity LIMIT 1"
    remove = "DELETE FROM summary WHERE mac = ? AND quantity = ? AND slot < ?"
    while removed < STEP and (found := connection.execute(follow, curve).fetchone()):
        curve = found
        removed += connection.execute(remove, (*curve, before)).rowcount
    return min(removed, STEP)
