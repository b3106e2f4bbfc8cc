"""The journal as everyone sees it: readings in, committed rows out.

``append`` never waits; what has gathered is committed in the writing thread, and only then feeds and cursors are
told. The rule of this file: commit, then tell. While storage fails live feeds go on, their rows marked as
not stored; cursors wait; readings gather in a bounded buffer.

A commit goes out at once after a quiet 100 ms, else every 100 ms or 200 rows.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

import attrs
import structlog

from proxy_listener.history import queries
from proxy_listener.history.archive import Archive
from proxy_listener.history.file import FAULTS, open_store, sound
from proxy_listener.history.following import Cursor, Feed
from proxy_listener.history.ledger import Ledger, Small
from proxy_listener.history.retention import Retention
from proxy_listener.history.schema import Row
from proxy_listener.history.writer import Batch, Committed, Writer
from proxy_listener.model.advertisement import Address
from proxy_listener.model.reading import Reading
from proxy_listener.model.settings import HistorySettings

log = structlog.get_logger()

T = TypeVar("T")

PACE = 0.1
FULL_BATCH = 200
"""Seconds between commits, and rows that do not wait for it (facts: threats-and-faults, section 5)."""

BUFFER = 50_000
"""Readings that wait while storage fails, about 50 MB; beyond it the oldest is lost and counted."""

RETRY = 0.5
"""Seconds between attempts while storage fails: the first commit comes within a second after the fault."""

LAZY = 1.0
"""Seconds within which what is no reading (places of cursors, notes) is on disk."""

STALL = 1.0
"""Seconds after which a commit that does not come back counts as a fault: live feeds do not wait for it."""

STALLED = "the disk does not answer"
"""The error of :attr:`Journal.storage` meanwhile."""


@attrs.frozen
class Storage:
    """How the journal's storage is. ``waiting`` readings are not committed yet, ``lost`` never will be."""

    ok: bool
    error: str | None  # what the last failed commit said
    waiting: int
    lost: int  # pushed out of the full buffer while storage failed
    clashes: int  # refused by a unique index: the journal had them
    refused: int  # not storable: a number beyond 64 bits, text that is no Unicode
    alarm: str | None  # what happened to a damaged or foreign file
    size: int  # bytes of the file in use, which [history] max_size bounds


class Journal(Archive, Ledger):
    """Opens (or makes) the journal at ``path``; None keeps it in memory. Raises OSError or sqlite3.Error where there
    can be none. ``alarm`` says in words what happened to a damaged or foreign file; ``fresh`` is True where this start
    began with no history.

    ``clock`` gives wall seconds, for forgetting what is older than the settings keep; ``buffer`` is how many readings
    wait at most while storage fails.
    """

    def __init__(
        self,
        path: Path | None,
        settings: HistorySettings | None = None,
        clock: Callable[[], float] = time.time,
        buffer: int = BUFFER,
    ) -> None:
        store = open_store(path)
        Archive.__init__(self, store)
        Ledger.__init__(self, store, self._plan)
        self.fresh, store.fresh = store.fresh, False
        self._buffer = buffer
        self._writer = Writer(store)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._retention = Retention(store, self._writer, self._thread, settings or HistorySettings(), clock)
        self._running = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._planned: asyncio.TimerHandle | None = None
        self._fault: asyncio.Future[None] | None = None
        self._due = 0.0
        self._stored_id, self._number = queries.place(store.connection)
        self._next_id = self._stored_id + 1
        self._told_id = self._stored_id
        self._rows: deque[Row] = deque()
        self._waiting: set[tuple[Address, bytes]] = set()
        self._retry: Batch | None = None
        self._feeds: WeakSet[Feed] = WeakSet()
        self._cursors: dict[str, Cursor] = {}
        self._error: str | None = None
        self._closed = False
        self._lost = self._clashes = self._refused = 0

    @property
    def alarm(self) -> str | None:
        """What happened to a damaged or foreign file, in words; None where nothing did."""
        return self._store.alarm

    @property
    def storage(self) -> Storage:
        """How storage is, with its counts."""
        waiting = len(self._rows) + (len(self._retry.rows) if self._retry else 0)
        counts = (waiting, self._lost, self._clashes, self._refused)
        return Storage(self._error is None, self._error, *counts, self._store.alarm, self._writer.size)

    def append(self, reading: Reading) -> None:
        """Takes a reading in. Never waits; it is told once it is committed."""
        if len(self._rows) >= self._buffer:
            dropped = self._rows.popleft().reading
            self._waiting.discard((dropped.mac, dropped.identity))
            self._lost += 1
        self._rows.append(Row(self._next_id, reading))
        self._next_id += 1
        if reading.trust == "authenticated" and reading.identity:
            self._waiting.add((reading.mac, reading.identity))
        if len(self._rows) in {1, FULL_BATCH}:
            self._plan()

    def known(self, mac: Address, identity: bytes) -> bool:
        """Whether an authenticated frame is in the journal, or on its way there. Microseconds.

        A disk that cannot be read counts as no: the unique index refuses the row again when it is written.
        """
        return (mac, identity) in self._waiting or bool(self._look(queries.known, mac, identity))

    def highest(self, mac: Address, key_id: bytes) -> int | None:
        """The highest counter of a device's authenticated frames under a bindkey, in the journal or on its way there:
        -1 where there is none, None where the disk cannot be read.
        """
        stored = self._look(queries.highest, mac, key_id)
        if stored is None:
            return None
        waiting = [queries.counter_of(name) for whose, name in self._waiting if (whose, name[:4]) == (mac, key_id)]
        return max(stored, *waiting) if waiting else stored

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

    def behind(self) -> dict[str, int]:
        """Durable follower -> how many committed rows wait for it."""
        return {name: cursor.behind for name, cursor in self._cursors.items()}

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

    async def run(self) -> None:
        """Commits and tells, and forgets what is too old or too much, until cancelled. :meth:`close` comes after it."""
        self._fault = asyncio.get_running_loop().create_future()
        self._running = True
        self._plan()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._retention.run())
                if self._store.unchecked:
                    tasks.create_task(self._check())
                await self._fault
        finally:
            self._rest()

    async def flush(self) -> bool:
        """Commits and tells all that was appended; False where storage fails, or readings are lost meanwhile."""
        newest, lost = self._next_id - 1, self._lost
        await self._between()
        while (self._rows and self._rows[0].id <= newest) or self._retry or self._small:
            self._begin()
            await self._between()
            if self._error is not None:
                return False
        return self._lost == lost

    async def close(self) -> None:
        """Commits what waits, ends the feeds, and closes the file. Once is enough."""
        if self._closed:
            return
        self._closed = True
        self._rest()
        if not await self.flush():
            log.error("history storage fails; readings are lost", readings=self.storage.waiting, error=self._error)
        for feed in list(self._feeds):
            feed.close()
        self._close_index()
        await self._between_commits(self._store.close)
        self._thread.shutdown()

    def _plan(self) -> None:
        """Sees that the next commit begins when it is due; whoever leaves something to commit calls it."""
        if not self._running or not self._idle.is_set():
            return
        loop = asyncio.get_running_loop()
        if self._rows or self._retry:
            due = 0.0 if len(self._rows) >= FULL_BATCH and self._error is None else self._due
        elif self._small:
            due = max(self._due, loop.time() + LAZY)
        else:
            return
        if self._planned is not None:
            if self._planned.when() <= due:
                return
            self._planned.cancel()
        # By call_at even where it is due now: what else was read from the sockets in this turn goes into it.
        self._planned = loop.call_at(due, self._begin)

    def _rest(self) -> None:
        """Begins no commit by itself any more. One under way is finished: close() waits for it."""
        self._running = False
        self._unplan()

    def _unplan(self) -> None:
        if self._planned is not None:
            self._planned.cancel()
            self._planned = None

    async def _between(self) -> None:
        """Returns while no commit is under way. Others who waited may have begun the next one by the time that this one
        is woken.
        """
        while not self._idle.is_set():
            await self._idle.wait()

    def _begin(self) -> None:
        """Gives a batch to the writing thread. Callbacks carry it on, because each step of a task would be one more
        turn of the loop, and for the usual batch of one row these turns cost more than the commit.
        """
        self._unplan()
        if not self._idle.is_set():
            return
        batch = self._retry or self._gather()
        loop = asyncio.get_running_loop()
        self._idle.clear()
        self._stall = loop.call_later(STALL, self._stalled, batch)

        def hand_back(commit: Future[Committed]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._ended, batch, commit)

        self._thread.submit(self._writer.commit, batch).add_done_callback(hand_back)

    def _stalled(self, batch: Batch) -> None:
        self._stall = asyncio.get_running_loop().call_later(STALL, self._stalled, batch)
        self._failed(batch, STALLED)

    def _ended(self, batch: Batch, commit: Future[Committed]) -> None:
        self._stall.cancel()
        self._idle.set()
        try:
            done = commit.result()
        except FAULTS as error:
            self._failed(batch, str(error))
        except Exception as error:
            self._lost += len(batch.rows)
            self._forget(batch)
            if self._fault is None or self._fault.done():
                raise
            # Our own mistake: whoever runs us is told, and runs us again.
            self._fault.set_exception(error)
        else:
            self._succeeded(batch, done)
        finally:
            # Whatever happened: telling of a fault raises where the log is on the same full disk.
            self._due = asyncio.get_running_loop().time() + (PACE if self._error is None else RETRY)
            self._plan()

    async def _between_commits(self, work: Callable[..., T], *arguments: Any) -> T:
        """Done in the writing thread, while no commit is under way."""
        await self._between()
        self._idle.clear()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        finally:
            self._idle.set()
            self._plan()

    def _gather(self) -> Batch:
        self._number += 1
        rows = [self._rows.popleft() for _ in range(min(len(self._rows), FULL_BATCH))]
        small, self._small = self._small, Small()
        return small.batch(self._number, rows)

    def _failed(self, batch: Batch, error: str) -> None:
        """Storage fails: the batch is tried again, and those who listen live hear what waits, marked."""
        self._retry = batch
        new, self._error = self._error is None, error
        self._tell([attrs.evolve(row, stored=False) for row in (*batch.rows, *self._rows) if row.id > self._told_id])
        if new:
            log.error("history storage fails; readings wait in memory", error=error)

    def _forget(self, batch: Batch) -> None:
        self._retry = None
        self._waiting.difference_update((row.reading.mac, row.reading.identity) for row in batch.rows)

    def _succeeded(self, batch: Batch, done: Committed) -> None:
        self._forget(batch)
        back, self._error = self._error is not None, None
        if back:
            self._close_index()
        if self._store.fresh:
            self._renew()
        self._clashes += done.clashes
        self._refused += done.refused
        self._retention.committed(row.reading for row in batch.rows if row.id in done.ids)
        if batch.rows:
            self._stored_id = batch.rows[-1].id
            self._tell([row for row in batch.rows if row.id in done.ids and row.id > self._told_id])
            for cursor in self._cursors.values():
                cursor.tell(self._stored_id)
        if back:
            log.warning("history storage is back", waiting=len(self._rows), lost=self._lost)

    def _tell(self, rows: list[Row]) -> None:
        """To the feeds, each row once: during a fault they hear it before it is stored."""
        if rows:
            self._told_id = rows[-1].id
            for feed in list(self._feeds):
                feed.tell(rows)

    def _renew(self) -> None:
        """A fresh file took the place of a damaged one: what is small and known goes into it again."""
        self._store.fresh = False
        self._retention.count_again()
        self._again()
        self._close_index()

    async def _check(self) -> None:
        """The rest of a check that was too long for the start."""
        assert self._store.path is not None
        try:
            why = await asyncio.to_thread(sound, self._store.path)
            if why is not None:
                await self._between_commits(self._writer.put_aside, why)
                self._renew()
                self._plan()
        except FAULTS as error:
            log.warning("history could not be checked", error=str(error))

    async def _fetch(self, after: int, upto: int, limit: int) -> list[Row]:
        return await self._ask(queries.after, after, upto, limit)
