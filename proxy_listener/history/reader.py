"""What can be asked of the history: the queries, without holding up the event loop.

Questions go in; rows and curves come out. Coroutines ask in a thread. The plain methods, which the hot path and the
start use, look rows up by key within microseconds, through a connection that stays open.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import structlog

from proxy_listener.history import queries
from proxy_listener.history.file import FAULTS, Store, reader
from proxy_listener.history.queries import Latest, Point, Sealed, StoredDevice
from proxy_listener.history.schema import Row
from proxy_listener.history.tail import Tail
from proxy_listener.model.advertisement import Address
from proxy_listener.model.history import KnownFrame, Reception

log = structlog.get_logger()

PAGE = 1_000
"""Rows that an export reads at once: a longer transaction would keep SQLite from emptying the write-ahead log."""

P = ParamSpec("P")
T = TypeVar("T")


def known_devices(path: Path) -> list[StoredDevice]:
    """The devices of the history file at ``path``, for a program that does not run the service; empty where it cannot
    be read. It writes nothing, not even the files that SQLite makes beside it.
    """
    try:
        with closing(reader(path.absolute(), immutable=not path.with_name(path.name + "-wal").exists())) as connection:
            return queries.devices(connection)
    except FAULTS:
        return []


class Reader:
    """All that is committed in a store, of which ``tail`` is not folded yet."""

    def __init__(self, store: Store, tail: Tail) -> None:
        self._store = store
        self._tail = tail
        self._connection: sqlite3.Connection | None = None
        self._readable = True

    def known(self, mac: Address, identity: bytes) -> bool:
        """Whether an authenticated frame is committed; False where the disk cannot be read."""
        return self._tail.known(mac, identity) or bool(self._query_now(queries.known, mac, identity))

    def highest_identity(self, mac: Address, prefix: bytes) -> bytes | None:
        """The highest identity of a device's authenticated frames that begins so: empty where there is none, None where
        the disk cannot be read.
        """
        folded = self._query_now(queries.highest_identity, mac, prefix)
        return None if folded is None else max(folded, self._tail.highest_identity(mac, prefix))

    def newest(self, mac: Address, count: int, more_seconds: float, more: int) -> list[KnownFrame]:
        """The newest rows of a device, as :func:`queries.newest`; empty where the disk cannot be read."""
        return self._query_now(queries.newest, mac, self._tail.ids(mac), count, more_seconds, more) or []

    def devices(self) -> list[StoredDevice]:
        """Every device that the history knows."""
        return self._query_now(queries.devices) or []

    def latest(self, mac: Address) -> dict[str, Latest]:
        """Quantity -> live state of a device: the newest value from a read or from a frame that was not late."""
        return self._query_now(queries.latest, mac, self._tail.ids(mac)) or {}

    async def readings(
        self, mac: Address | None = None, since: float | None = None, until: float | None = None, limit: int = 1000
    ) -> list[Row]:
        """The newest rows of ``[since, until)`` (wall seconds), oldest first; of every device where ``mac`` is None."""
        return await self._query(queries.readings, mac, since, until, limit)

    async def events(
        self, mac: Address | None = None, since: float | None = None, until: float | None = None, limit: int = 1000
    ) -> list[Row]:
        """As :meth:`readings`, but only rows that have events."""
        return await self._query(queries.readings, mac, since, until, limit, events=True)

    async def last_events(self) -> dict[Address, Row]:
        """Device -> its newest row whose events were fired; empty where the disk cannot be read."""
        try:
            return {row.reading.mac: row for row in await self._query(queries.last_events)}
        except FAULTS as error:
            log.warning("the last events cannot be read", error=str(error))
            return {}

    async def points(self, mac: Address, quantity: str, since: float, until: float, buckets: int = 500) -> list[Point]:
        """A curve: least, mean and greatest value of each bucket that has any."""
        return await self._query(queries.points, mac, quantity, since, until, buckets)

    async def hours(self, mac: Address, since: float) -> set[int]:
        """The hours (``time // 3600``) since a wall time in which a device has a reading."""
        return await self._query(queries.hours, mac, since)

    async def log_times(self, mac: Address) -> list[float]:
        """The times of the entries of a device's own log, oldest first."""
        return await self._query(queries.log_times, mac)

    async def reception(self, since: float) -> list[Reception]:
        """Which proxy heard which device since a wall time, hour by hour."""
        return await self._query(queries.reception, since)

    async def after(self, row_id: int, upto: int, limit: int) -> list[Row]:
        """The next ``limit`` rows behind an id, none newer than ``upto``."""
        return await self._query(queries.after, row_id, upto, limit)

    async def export(
        self, mac: Address | None = None, since: float | None = None, until: float | None = None
    ) -> AsyncIterator[Row]:
        """Every row of ``[since, until)`` in order of time, page by page."""
        place = (-1e300 if since is None else since, 0)
        end = 1e300 if until is None else until
        while rows := await self._query(queries.page, mac, place, end, PAGE):
            for row in rows:
                yield row
            place = (rows[-1].reading.time, rows[-1].id)

    async def sealed(self, mac: Address) -> AsyncIterator[Sealed]:
        """The frames of a device that wait for its key, oldest first."""
        at = 0
        while frames := await self._query(queries.sealed, mac, at, PAGE):
            for frame in frames:
                yield frame
            at = frames[-1].id

    def close(self) -> None:
        """Close the connection that stays open; the next question opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _query(
        self, query: Callable[Concatenate[sqlite3.Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        def run() -> T:
            with self._store.reading() as connection:
                return query(connection, *args, **kwargs)

        return await asyncio.to_thread(run)

    def _query_now(
        self, query: Callable[Concatenate[sqlite3.Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        """In this thread; None where the disk cannot be read, which is logged once."""
        try:
            if self._store.path is None:
                with self._store.reading() as connection:
                    return query(connection, *args, **kwargs)
            if self._connection is None:
                self._connection = reader(self._store.path)
            answer = query(self._connection, *args, **kwargs)
        except FAULTS as error:
            self.close()
            if self._readable:
                log.warning("history cannot be read", error=str(error))
            self._readable = False
            return None
        self._readable = True
        return answer
