"""The journal: readings in, committed rows out.

:meth:`Journal.append` never waits. What has gathered is committed in the writing thread, and only then do followers get
it. Invariant: commit, then tell (docs/decisions/0002-commit-then-tell.md). While storage fails, feeds go on, with their
rows marked as not stored; cursors wait; readings gather in a bounded buffer.

What people act on at once (:func:`proxy_listener.model.quantities.urgent`) starts a commit, after 100 ms at most, and
takes along what waits. Other readings wait up to ``[history] commit``, or until 200 are together, because each commit
costs the disk a few pages. The indexes of the new rows are written much later, many at once
(:mod:`proxy_listener.history.fold`).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import attrs
import structlog

from proxy_listener.history import queries
from proxy_listener.history.buffer import Buffer
from proxy_listener.history.commits import Commits
from proxy_listener.history.file import FAULTS, open_store, sound
from proxy_listener.history.fold import fold
from proxy_listener.history.followers import Cursor, Feed, Followers
from proxy_listener.history.reader import Reader
from proxy_listener.history.retention import Retention
from proxy_listener.history.tables import Tables
from proxy_listener.history.tail import Tail
from proxy_listener.history.writer import Batch, Committed, Writer
from proxy_listener.model.advertisement import Address
from proxy_listener.model.quantities import urgent
from proxy_listener.model.reading import Reading
from proxy_listener.model.settings import HistorySettings

log = structlog.get_logger()

PACE = 0.1
FULL_BATCH = 200
"""Least seconds between two commits, and rows that do not wait for it (docs/protocol/threats.md#storage)."""

FOLD_ROWS = 4_000
FOLD_EVERY = 1_800.0
"""Rows, or seconds since the first of them, after which rows are folded. At 10/s of 100 devices a fold of 4,000 rows
takes 50 ms and writes 0.3 KiB a row; a query looks through rows that are not folded in 1.5 ms.
"""

WATCH_EVERY = 30.0
"""Seconds between looks whether the file is still the one that was opened."""

FOLD_RETRY = 60.0
"""Seconds between attempts to fold while that fails."""

BUFFER = 50_000
"""Readings that wait while storage fails, about 50 MB; beyond it the oldest is lost and counted."""

RETRY = 0.5
"""Seconds between attempts while storage fails: the first commit comes within a second after the fault."""

LAZY = 1.0
"""Seconds within which changes of the small tables are on disk where no reading takes them along. Where none of the
last rows was urgent, ``[history] commit`` is added: then the next rows take along that a follower confirmed these.
"""

STALLED = "the disk does not answer"
"""The error of :attr:`Journal.storage` while a commit does not return."""


@attrs.frozen
class Storage:
    """The state of the journal's storage. ``waiting`` readings are not committed yet, ``lost`` never will be."""

    ok: bool
    error: str | None  # what the last failed commit said
    waiting: int
    lost: int  # pushed out of the full buffer while storage failed
    clashes: int  # refused by a unique index: the history had them
    refused: int  # cannot be stored: a number beyond 64 bits, text that is not Unicode
    alarm: str | None  # what happened to a damaged or foreign file
    size: int  # bytes of the file in use, which [history] max_size bounds


class Journal:
    """Opens (or makes) the history at ``path``; None keeps it in memory. Raises OSError or sqlite3.Error where that
    fails, and FormatError where its format cannot be used.

    ``reader`` answers questions about committed rows, ``tables`` holds the small tables. ``fresh`` is True where this
    start began with no history. Without ``settings`` every reading is urgent. ``clock`` gives wall seconds, for
    removing what is older than the settings keep; ``buffer`` is how many readings wait at most while storage fails.
    """

    def __init__(
        self,
        path: Path | None,
        settings: HistorySettings | None = None,
        clock: Callable[[], float] = time.time,
        buffer: int = BUFFER,
    ) -> None:
        self._store = store = open_store(path)
        self.fresh, store.fresh = store.fresh, False
        newest, self._number = queries.place(store.connection)
        self._settings = settings = settings or HistorySettings(commit=0.0)
        self._tail = Tail()
        self._tail.load(store.connection)
        self.reader = Reader(store, self._tail)
        self.tables = Tables(store, self._plan)
        self._followers = Followers(self.tables, self.reader.after, newest)
        self._writer = Writer(store, self._tail)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._commits = Commits(self._writer, self._thread, self._stalled, self._ended)
        self._retention = Retention(store, self._writer, self._thread, settings, clock, self.fold)
        self._running = False
        self._planned: asyncio.TimerHandle | None = None
        self._fault: asyncio.Future[None] | None = None
        self._due = 0.0
        self._urgent = self._told_urgent = False
        self._fold_due = asyncio.Event()
        self._fold_timer: asyncio.TimerHandle | None = None
        self._buffer = Buffer(newest + 1, buffer)
        self._retry: Batch | None = None
        self._error: str | None = None
        self._closed = False
        self._clashes = self._refused = 0
        self._mendable = True

    @property
    def alarm(self) -> str | None:
        """What happened to a damaged or foreign file, in words; None where nothing did."""
        return self._store.alarm

    @property
    def storage(self) -> Storage:
        """The state of storage, with its counts."""
        waiting = len(self._buffer) + (len(self._retry.rows) if self._retry else 0)
        counts = (waiting, self._buffer.lost, self._clashes, self._refused)
        return Storage(self._error is None, self._error, *counts, self._store.alarm, self._writer.size)

    @property
    def sealed_counts(self) -> Mapping[Address, int]:
        """Device -> kept frames that wait for its key."""
        return dict(self._writer.sealed_count)

    def kept(self, mac: Address) -> tuple[int, float | None]:
        """How many frames of a device wait for its key, and the time of the oldest, in wall seconds; None if none."""
        return self._writer.sealed_count.get(mac, 0), self._writer.sealed_since.get(mac)

    @property
    def sealed_lost(self) -> int:
        """Frames without a key that were removed or refused because of the bounds."""
        return self._writer.sealed_lost + self.tables.seal_lost

    def append(self, reading: Reading) -> None:
        """Add a reading. Never waits; followers get it once it is committed."""
        self._buffer.append(reading)
        hurry = not self._urgent and (self._settings.commit <= PACE or urgent(reading))
        self._urgent |= hurry
        if hurry or len(self._buffer) in {1, FULL_BATCH}:
            self._plan()

    def known(self, mac: Address, identity: bytes) -> bool:
        """Whether an authenticated frame is committed or waits to be. Takes microseconds.

        False where the disk cannot be read: the unique index refuses a known row when it is written.
        """
        return self._buffer.known(mac, identity) or self.reader.known(mac, identity)

    def highest_identity(self, mac: Address, prefix: bytes) -> bytes | None:
        """The highest identity of a device's authenticated frames that begins so, committed or waiting: empty where
        there is none, None where the disk cannot be read.
        """
        stored = self.reader.highest_identity(mac, prefix)
        return None if stored is None else max(stored, self._buffer.highest_identity(mac, prefix))

    def feed(self, size: int = 256) -> Feed:
        """A live follower of the rows from now on."""
        return self._followers.feed(size)

    def cursor(self, name: str) -> Cursor:
        """The durable follower of that name; at its first use it starts now. One per name."""
        return self._followers.cursor(name)

    def behind(self) -> dict[str, int]:
        """Durable follower -> how many committed rows wait for it."""
        return self._followers.behind()

    async def run(self) -> None:
        """Commit readings, and remove what is too old or too much, until cancelled. Call :meth:`close` after it."""
        self._fault = asyncio.get_running_loop().create_future()
        self._running = True
        self._plan()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._retention.run())
                tasks.create_task(self._fold_rows())
                if self._store.path is not None:
                    tasks.create_task(self._watch_file())
                if self._store.unchecked:
                    tasks.create_task(self._check())
                await self._fault
        finally:
            self._stop()

    async def flush(self) -> bool:
        """Commit all that was appended before the call; False where storage fails, or readings are lost meanwhile."""
        next_id, lost, rows = self._buffer.next_id, self._buffer.lost, self._buffer.rows
        await self._commits.wait()
        while (rows and rows[0].id < next_id) or self._retry or self.tables.waiting:
            self._begin()
            await self._commits.wait()
            if self._error is not None:
                return False
        return self._buffer.lost == lost

    async def fold(self) -> None:
        """Index the rows that are committed. Raises sqlite3.Error or OSError where storage fails."""
        loop = asyncio.get_running_loop()
        self._tail.folded(await loop.run_in_executor(self._thread, self._writer.change, fold))
        if self._fold_timer is not None and not self._tail.rows:
            self._fold_timer.cancel()
            self._fold_timer = None

    async def close(self) -> None:
        """Commit what waits, end the feeds, and close the file. Further calls do nothing."""
        if self._closed:
            return
        self._closed = True
        self._stop()
        if not await self.flush():
            log.error("history storage fails; readings are lost", readings=self.storage.waiting, error=self._error)
        self._followers.close()
        with suppress(*FAULTS):  # logged with the readings, and the next start folds
            await self.fold()
        self.reader.close()
        await self._between_commits(self._store.close)
        self._thread.shutdown()

    def _plan(self) -> None:
        """Start the next commit when it is due. Everything that leaves something to commit calls this."""
        if not self._running or not self._commits.idle:
            return
        loop = asyncio.get_running_loop()
        if self._buffer or self._retry:
            if len(self._buffer) >= FULL_BATCH and self._error is None:
                due = 0.0
            elif self._urgent or self._retry:
                due = self._due
            else:
                due = max(self._due, loop.time() + self._settings.commit)
        elif self.tables.waiting:
            wait = LAZY if self._told_urgent else LAZY + self._settings.commit
            due = max(self._due, loop.time() + wait)
        else:
            return
        if self._planned is not None:
            if self._planned.when() <= due:
                return
            self._planned.cancel()
        # By call_at even where it is due now: what else was read from the sockets in this turn goes into it.
        self._planned = loop.call_at(due, self._begin)

    def _stop(self) -> None:
        """Start no commit by itself any more. One under way is finished: close() waits for it."""
        self._running = False
        self._cancel_planned()

    def _cancel_planned(self) -> None:
        if self._planned is not None:
            self._planned.cancel()
            self._planned = None

    def _begin(self) -> None:
        self._cancel_planned()
        if self._commits.idle:
            self._commits.begin(self._retry or self._gather())

    def _stalled(self, batch: Batch) -> None:
        self._failed(batch, STALLED)

    def _ended(self, batch: Batch, commit: Future[Committed]) -> None:
        try:
            done = commit.result()
        except FAULTS as error:
            self._failed(batch, str(error))
        except Exception as error:
            self._buffer.lost += len(batch.rows)
            self._forget(batch)
            if self._fault is None or self._fault.done():
                raise
            # A mistake in this program: run() raises it, and the supervisor calls run() again.
            self._fault.set_exception(error)
        else:
            self._succeeded(batch, done)
        finally:
            # In any case: logging a fault raises where the log is on the same full disk.
            self._due = asyncio.get_running_loop().time() + (PACE if self._error is None else RETRY)
            self._plan()

    async def _between_commits(self, work: Callable[..., object], *arguments: object) -> None:
        try:
            await self._commits.between(work, *arguments)
        finally:
            self._plan()

    def _gather(self) -> Batch:
        self._number += 1
        if self._buffer:
            self._told_urgent, self._urgent = self._urgent, len(self._buffer) > FULL_BATCH and self._urgent
        return self.tables.next_batch(self._number, self._buffer.take(FULL_BATCH))

    def _failed(self, batch: Batch, error: str) -> None:
        """Storage fails: the batch is tried again, and feeds get what waits, marked."""
        self._retry = batch
        new, self._error = self._error is None, error
        self._followers.not_stored([*batch.rows, *self._buffer.rows])
        if new:
            log.error("history storage fails; readings wait in memory", error=error)

    def _forget(self, batch: Batch) -> None:
        self._retry = None
        self._buffer.forget(batch.rows)

    def _succeeded(self, batch: Batch, done: Committed) -> None:
        self._forget(batch)
        back, self._error = self._error is not None, None
        if back:
            self.reader.close()
        if self._store.fresh:
            self._renew()
        self._clashes += done.clashes
        self._refused += done.refused
        rows = [row for row in batch.rows if row.id in done.ids]
        self._tail.add(rows)
        if self._tail.rows >= FOLD_ROWS:
            self._fold_due.set()
        elif self._tail.rows and self._fold_timer is None:
            self._fold_timer = asyncio.get_running_loop().call_later(FOLD_EVERY, self._fold_due.set)
        self._retention.committed(row.reading for row in rows)
        if batch.rows:
            self._followers.committed(rows, batch.rows[-1].id)
        if back:
            log.warning("history storage is back", waiting=len(self._buffer), lost=self._buffer.lost)

    def _renew(self) -> None:
        """A new file took the place of a damaged one: what is in memory of the small tables goes into it."""
        self._store.fresh = False
        self._tail.clear()
        self._retention.count_again()
        self.tables.write_again()
        self.reader.close()

    async def _fold_rows(self) -> None:
        """Fold whenever that is due, until cancelled."""
        while True:
            await self._fold_due.wait()
            self._fold_due.clear()
            try:
                await self.fold()
            except FAULTS as error:
                log.warning("the newest rows of the history could not be indexed", error=str(error))
                await asyncio.sleep(FOLD_RETRY)
                self._fold_due.set()

    async def _watch_file(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY)
            await self.look_at_file()

    async def look_at_file(self) -> None:
        """Mend the file where something outside deleted, replaced, cut or overwrote it."""
        try:
            harm = await self._commits.between(self._writer.look)
        except FAULTS as error:
            if self._mendable:
                log.warning("history file was harmed, and cannot be written again yet", error=str(error))
            self._mendable = False
            return
        self._mendable = True
        if harm is not None:
            self.reader.close()
            if self._store.fresh:
                self._renew()
        self._plan()

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
