"""The journal as everyone sees it: readings in, committed rows out.

``append`` never waits; one task takes what has gathered, has it committed in the writing thread, and only then tells
feeds and cursors. The rule of this file: commit, then tell. While storage fails live feeds go on, their rows marked as
not stored; cursors wait; readings gather in a bounded buffer.

A commit goes out at once after a quiet 100 ms, else every 100 ms or 200 rows.
"""

import asyncio
import sqlite3
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakSet

import attrs
import structlog

from proxy_listener.advertisement import Address
from proxy_listener.history import queries
from proxy_listener.history.file import open_store, reader, sound
from proxy_listener.history.following import Cursor, Feed
from proxy_listener.history.rows import Device, Hearing, Known, Latest, Point, Row, Sealed, Storage
from proxy_listener.history.writer import Batch, Committed, Writer
from proxy_listener.reading import Reading
from proxy_listener.settings import DAY, HistorySettings

log = structlog.get_logger()

PACE = 0.1
FULL_BATCH = 200
"""Seconds between commits, and rows that do not wait for it (facts: threats-and-faults, section 5)."""

BUFFER = 50_000
"""Readings that wait while storage fails, about 50 MB; beyond it the oldest is lost and counted."""

RETRY = 0.5
"""Seconds between attempts while storage fails: the first commit comes within a second after the fault."""

LAZY = 1.0
"""Seconds within which what is no reading (places of cursors, notes) is on disk."""

THIN_EVERY = 600.0
THIN_PAUSE = 0.05
"""Seconds between looks for what is too old, and between the small steps of forgetting it."""

SEAL_WAITING = 2_000
"""Sealed frames that wait for the next commit, and recent ones whose copies are known."""

PAGE = 1_000

P = ParamSpec("P")
T = TypeVar("T")


class Journal:
    """Opens (or makes) the journal at ``path``; None keeps it in memory. Raises OSError or sqlite3.Error where there
    can be none. ``alarm`` says in words what happened to a damaged or foreign file; ``fresh`` is True where this start
    began with no history.

    ``clock`` gives wall seconds, for forgetting what is older than the settings keep.
    """

    def __init__(
        self,
        path: Path | None,
        settings: HistorySettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings or HistorySettings()
        self._clock = clock
        self._store = store = open_store(path)
        self._writer = Writer(store)
        self.fresh, store.fresh = store.fresh, False
        self._index: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._turn = asyncio.Lock()
        self._work = asyncio.Event()
        self._hurry = asyncio.Event()
        self._due = 0.0

        read = store.connection.execute
        self._stored_id: int = read(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'reading'"
        ).fetchone()[0]
        self._number: int = read("SELECT coalesce(max(number), 0) FROM batch").fetchone()[0]
        self._notes: dict[str, str] = dict(read("SELECT name, value FROM note"))
        self._positions: dict[str, int] = dict(read("SELECT name, position FROM cursor"))
        self._admitted: dict[Address, float] = dict(read("SELECT mac, time FROM admitted"))
        self._admitted_by_day = Counter(int(at // DAY) for at in self._admitted.values())

        self._next_id = self._stored_id + 1
        self._told_id = self._stored_id
        self._rows: deque[Row] = deque()
        self._waiting: set[tuple[Address, bytes]] = set()
        self._small = _Small()
        self._retry: Batch | None = None
        self._feeds: WeakSet[Feed] = WeakSet()
        self._cursors: dict[str, Cursor] = {}
        self._recently_sealed: dict[tuple[Address, bytes], None] = {}
        self._error: str | None = None
        self._lost = self._clashes = self._refused = self._seal_lost = 0

    @property
    def alarm(self) -> str | None:
        """What happened to a damaged or foreign file, in words; None where nothing did."""
        return self._store.alarm

    @property
    def storage(self) -> Storage:
        """How storage is, with its counts."""
        waiting = len(self._rows) + (len(self._retry.rows) if self._retry else 0)
        return Storage(
            self._error is None, self._error, waiting, self._lost, self._clashes, self._refused, self._store.alarm
        )

    def append(self, reading: Reading) -> None:
        """Takes a reading in. Never waits; it is told once it is committed."""
        if len(self._rows) >= BUFFER:
            dropped = self._rows.popleft().reading
            self._waiting.discard((dropped.mac, dropped.identity))
            self._lost += 1
        self._rows.append(Row(self._next_id, reading))
        self._next_id += 1
        if reading.trust == "authenticated" and reading.identity:
            self._waiting.add((reading.mac, reading.identity))
        self._work.set()
        if len(self._rows) >= FULL_BATCH:
            self._hurry.set()

    def known(self, mac: Address, identity: bytes) -> bool:
        """Whether an authenticated frame is in the journal, or on its way there. Microseconds.

        A disk that cannot be read counts as no: the unique index refuses the row again when it is written.
        """
        return (mac, identity) in self._waiting or bool(self._look(queries.known, mac, identity))

    def newest(self, mac: Address) -> list[Known]:
        """The newest 64 advertised rows of a device, oldest first: what the duplicate rule begins with."""
        return self._look(queries.newest, mac) or []

    def devices(self) -> list[Device]:
        """Every device that the journal knows."""
        return self._look(queries.devices) or []

    def latest(self, mac: Address) -> dict[str, Latest]:
        """The live state of a device: what active reads and frames that were not late wrote last."""
        return self._look(queries.latest, mac) or {}

    def admit(self, mac: Address, time: float) -> None:
        """An unlisted device is admitted."""
        if mac not in self._admitted:
            self._admitted[mac] = self._small.admitted[mac] = time
            self._admitted_by_day[int(time // DAY)] += 1
            self._work.set()

    def is_admitted(self, mac: Address) -> bool:
        """Whether an unlisted device was admitted, on whatever day."""
        return mac in self._admitted

    def admitted(self, day: int) -> int:
        """How many unlisted devices were admitted on a day (``time // 86400``)."""
        return self._admitted_by_day[day]

    def note(self, name: str, value: str | None) -> None:
        """A small durable fact of another room; None forgets it. On disk within a second, and at close."""
        if self._notes.get(name) == value:
            return
        if value is None:
            del self._notes[name]
        else:
            self._notes[name] = value
        self._small.notes[name] = value
        self._work.set()

    def noted(self, name: str) -> str | None:
        """What was last noted under a name."""
        return self._notes.get(name)

    def record_hearing(self, rows: Iterable[Hearing]) -> None:
        """Adds counts of frames heard, gathered by the caller since it last said."""
        for proxy, mac, hour, heard, frames in rows:
            counts = self._small.hearing.setdefault((proxy, mac, hour), Counter())
            counts["heard"] += heard
            counts["frames"] += frames
            self._work.set()

    def seal(self, mac: Address, time: float, proxy: str, rssi: int, address_type: int, data: bytes) -> None:
        """Keeps an encrypted frame (its service data) until its key arrives; a copy of a kept one changes nothing."""
        if (mac, data) in self._recently_sealed:
            return
        if len(self._small.seal) >= SEAL_WAITING:
            self._seal_lost += 1
            return
        while len(self._recently_sealed) >= SEAL_WAITING:
            del self._recently_sealed[next(iter(self._recently_sealed))]
        self._recently_sealed[mac, data] = None
        self._small.seal.append(Sealed(0, mac, time, proxy, rssi, address_type, data))
        self._work.set()

    def unseal(self, mac: Address, ids: Iterable[int]) -> None:
        """Forgets sealed frames that were opened."""
        self._small.unseal += [(mac, id_) for id_ in ids]
        self._work.set()

    @property
    def sealed_counts(self) -> Mapping[Address, int]:
        """Device -> sealed frames that wait for its key."""
        return dict(self._writer.sealed_count)

    @property
    def sealed_lost(self) -> int:
        """Frames that the bounds of sealing pushed out or refused."""
        return self._writer.sealed_lost + self._seal_lost

    def feed(self, size: int = 256) -> Feed:
        """A live follower of what is told from now on."""
        feed = Feed(size)
        self._feeds.add(feed)
        return feed

    def cursor(self, name: str) -> Cursor:
        """The durable follower of that name; at its first use it starts now. One per name."""
        if name not in self._cursors:
            if name not in self._positions:
                self._move(name, self._stored_id)
            position = self._positions[name]
            self._cursors[name] = cursor = Cursor(
                name, position, self._stored_id, self._fetch, lambda: self._move(name, cursor.confirmed)
            )
        return self._cursors[name]

    async def readings(
        self, mac: Address | None = None, since: float | None = None, until: float | None = None, limit: int = 1000
    ) -> list[Row]:
        """The newest rows of ``[since, until)`` (wall seconds), oldest first; of every device where ``mac`` is None."""
        return await self._ask(queries.readings, mac, since, until, limit)

    async def events(
        self, mac: Address | None = None, since: float | None = None, until: float | None = None, limit: int = 1000
    ) -> list[Row]:
        """As :meth:`readings`, but only rows that have events."""
        return await self._ask(queries.readings, mac, since, until, limit, events=True)

    async def points(self, mac: Address, quantity: str, since: float, until: float, buckets: int = 500) -> list[Point]:
        """A curve: least, mean and greatest value of each bucket that has any."""
        return await self._ask(queries.points, mac, quantity, since, until, buckets)

    async def hearing(self, since: float) -> list[Hearing]:
        """Who heard what since a wall time, hour by hour."""
        return await self._ask(queries.hearing, since)

    async def export(
        self, mac: Address | None = None, since: float | None = None, until: float | None = None
    ) -> AsyncIterator[Row]:
        """Every row of ``[since, until)`` in order of time, page by page, so that the writer never waits."""
        place = (-1e300 if since is None else since, 0)
        end = 1e300 if until is None else until
        while rows := await self._ask(queries.page, mac, place, end, PAGE):
            for row in rows:
                yield row
            place = (rows[-1].reading.time, rows[-1].id)

    async def sealed(self, mac: Address) -> AsyncIterator[Sealed]:
        """The frames of a device that wait for its key, oldest first."""
        at = 0
        while frames := await self._ask(queries.sealed, mac, at, PAGE):
            for frame in frames:
                yield frame
            at = frames[-1].id

    async def run(self) -> None:
        """Commits and tells, and forgets what is too old, until cancelled. :meth:`close` comes after it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write())
            tasks.create_task(self._thin())
            if self._store.unchecked:
                tasks.create_task(self._check())

    async def flush(self) -> bool:
        """Commits and tells all that was appended; False where storage fails."""
        while self._rows or self._retry or self._small:
            await self._commit()
            if self._error is not None:
                return False
        return True

    async def close(self) -> None:
        """Commits what waits, ends the feeds, and closes the file."""
        await self.flush()
        for feed in list(self._feeds):
            feed.close()
        async with self._turn:
            if self._index is not None:
                self._index.close()
            await asyncio.get_running_loop().run_in_executor(self._thread, self._writer.close)
        self._thread.shutdown()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._work.wait()
            pause = self._due - loop.time()
            if not self._rows and self._retry is None:
                pause = max(pause, LAZY)
            if pause > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._hurry.wait()
            # A commit under way is finished even where this task is cancelled: close() waits for its turn.
            await asyncio.shield(asyncio.ensure_future(self._commit()))

    async def _commit(self) -> None:
        async with self._turn:
            loop = asyncio.get_running_loop()
            batch = self._retry or self._gather()
            try:
                done = await loop.run_in_executor(self._thread, self._writer.commit, batch)
            except (sqlite3.Error, OSError) as error:
                self._failed(batch, error)
            else:
                self._succeeded(batch, done)
            self._due = loop.time() + (PACE if self._error is None else RETRY)

    def _gather(self) -> Batch:
        self._number += 1
        rows = [self._rows.popleft() for _ in range(min(len(self._rows), FULL_BATCH))]
        small, self._small = self._small, _Small()
        if not self._rows:
            self._work.clear()
        if len(self._rows) < FULL_BATCH:
            self._hurry.clear()
        return small.batch(self._number, rows)

    def _failed(self, batch: Batch, error: Exception) -> None:
        self._retry = batch
        self._hurry.clear()
        self._work.set()
        if self._error is None:
            log.error("history storage fails; readings wait in memory", error=str(error))
        self._error = str(error)
        self._tell([attrs.evolve(row, stored=False) for rows in (batch.rows, self._rows) for row in rows])

    def _succeeded(self, batch: Batch, done: Committed) -> None:
        self._retry = None
        if self._error is not None:
            log.warning("history storage is back", waiting=len(self._rows), lost=self._lost)
            self._error = None
            self._close_index()
        if self._store.fresh:
            self._renew()
        if self._rows or self._small:
            self._work.set()
        self._clashes += done.clashes
        self._refused += done.refused
        if not batch.rows:
            return
        self._waiting.difference_update((row.reading.mac, row.reading.identity) for row in batch.rows)
        self._stored_id = batch.rows[-1].id
        self._tell([row for row in batch.rows if row.id in done.ids])
        for cursor in self._cursors.values():
            cursor.tell(self._stored_id)

    def _tell(self, rows: list[Row]) -> None:
        """To the feeds, each row once: during a fault they hear it before it is stored."""
        new = [row for row in rows if row.id > self._told_id]
        if new:
            self._told_id = new[-1].id
            for feed in list(self._feeds):
                feed.tell(new)

    def _renew(self) -> None:
        """A fresh file took the place of a damaged one: what is small and known goes into it again."""
        self._store.fresh = False
        self._small.notes = {**self._notes, **self._small.notes}
        self._small.cursors = dict(self._positions)
        self._small.admitted = dict(self._admitted)
        self._close_index()

    def _move(self, name: str, position: int) -> None:
        self._positions[name] = self._small.cursors[name] = position
        self._work.set()

    async def _thin(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(THIN_EVERY)
            now = self._clock()
            limits = (now - self._settings.keep, now - self._settings.sealed)
            more = True
            while more:
                try:
                    more = await loop.run_in_executor(self._thread, self._writer.thin, *limits)
                except (sqlite3.Error, OSError) as error:
                    log.warning("old history could not be removed", error=str(error))
                    break
                await asyncio.sleep(THIN_PAUSE)

    async def _check(self) -> None:
        """The rest of a check that was too long for the start."""
        assert self._store.path is not None
        try:
            why = await asyncio.to_thread(sound, self._store.path)
        except sqlite3.Error as error:
            log.warning("history could not be checked", error=str(error))
            return
        if why is not None:
            async with self._turn:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._writer.put_aside, why)
                self._renew()
                self._work.set()

    async def _fetch(self, after: int, upto: int, limit: int) -> list[Row]:
        return await self._ask(queries.after, after, upto, limit)

    async def _ask(
        self, query: Callable[Concatenate[sqlite3.Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        def ask() -> T:
            with self._store.reading() as connection:
                return query(connection, *args, **kwargs)

        return await asyncio.to_thread(ask)

    def _look(
        self, query: Callable[Concatenate[sqlite3.Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        """As :meth:`_ask`, but here and now; None where the disk cannot be read."""
        try:
            if self._store.path is None:
                with self._store.reading() as connection:
                    return query(connection, *args, **kwargs)
            if self._index is None:
                self._index = reader(self._store.path)
            return query(self._index, *args, **kwargs)
        except sqlite3.Error as error:
            self._close_index()
            if self._error is None:
                log.warning("history could not be read", error=str(error))
            return None

    def _close_index(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None


@attrs.define
class _Small:
    """What waits for the next commit beside the readings."""

    notes: dict[str, str | None] = attrs.field(factory=dict)
    cursors: dict[str, int] = attrs.field(factory=dict)
    admitted: dict[Address, float] = attrs.field(factory=dict)
    hearing: dict[tuple[str, Address, int], Counter[str]] = attrs.field(factory=dict)
    seal: list[Sealed] = attrs.field(factory=list)
    unseal: list[tuple[Address, int]] = attrs.field(factory=list)

    def __bool__(self) -> bool:
        parts: tuple[Any, ...] = (self.notes, self.cursors, self.admitted, self.hearing, self.seal, self.unseal)
        return any(parts)

    def batch(self, number: int, rows: list[Row]) -> Batch:
        hearing = [Hearing(*key, counts["heard"], counts["frames"]) for key, counts in self.hearing.items()]
        return Batch(number, rows, self.notes, self.cursors, self.admitted, hearing, self.seal, self.unseal)
