"""The journal's reading side: what can be asked of it.

Questions come in, rows and curves go out. The rule of this file: nobody waits for an answer on the event loop, except
the hot path and the start, which ask by key (microseconds) through a connection that stays open.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import Concatenate, ParamSpec, TypeVar

import structlog

from proxy_listener.history import queries
from proxy_listener.history.file import FAULTS, Store, reader
from proxy_listener.history.queries import Hearing, Known, Latest, Point, Sealed, StoredDevice
from proxy_listener.history.schema import Row
from proxy_listener.model.advertisement import Address

log = structlog.get_logger()

PAGE = 1_000
"""Rows that an export reads at once: a longer transaction would keep the write-ahead log from being taken in."""

P = ParamSpec("P")
T = TypeVar("T")


class Archive:
    """All that is committed in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._index: sqlite3.Connection | None = None
        self._readable = True

    def newest(self, mac: Address) -> list[Known]:
        """The newest 64 advertised rows of a device, oldest first: what the duplicate rule begins with."""
        return self._look(queries.newest, mac) or []

    def devices(self) -> list[StoredDevice]:
        """Every device that the journal knows."""
        return self._look(queries.devices) or []

    def latest(self, mac: Address) -> dict[str, Latest]:
        """The live state of a device: what active reads and frames that were not late wrote last."""
        return self._look(queries.latest, mac) or {}

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

    async def happened(self) -> dict[Address, Row]:
        """Device -> its newest row whose events were fired; of none where the disk cannot be read."""
        try:
            return {row.reading.mac: row for row in await self._ask(queries.happened)}
        except FAULTS as error:
            log.warning("what happened last cannot be read", error=str(error))
            return {}

    async def points(self, mac: Address, quantity: str, since: float, until: float, buckets: int = 500) -> list[Point]:
        """A curve: least, mean and greatest value of each bucket that has any."""
        return await self._ask(queries.points, mac, quantity, since, until, buckets)

    async def hours(self, mac: Address, since: float) -> set[int]:
        """The hours (``time // 3600``) since a wall time in which a device has a reading."""
        return await self._ask(queries.hours, mac, since)

    async def logged(self, mac: Address) -> list[float]:
        """The times of the entries of a device's own log, oldest first."""
        return await self._ask(queries.logged, mac)

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
            answer = query(self._index, *args, **kwargs)
        except FAULTS as error:
            self._close_index()
            if self._readable:
                log.warning("history cannot be read", error=str(error))
            self._readable = False
            return None
        self._readable = True
        return answer

    def _close_index(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None
