"""The followers of the journal: live by a feed, durably by a cursor.

Committed rows come in, in order. Invariant: a feed never makes the journal wait (it drops its oldest rows and counts
them), and a cursor never loses a row (it waits, and repeats what was not confirmed).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self
from weakref import WeakSet

import attrs

from proxy_listener.history.schema import Row
from proxy_listener.history.tables import Tables

Fetch = Callable[[int, int, int], Awaitable[list[Row]]]
"""``fetch(after, upto, limit)``: the next committed rows."""


class Feed:
    """Live rows from now on, in order: ``async for row in feed``. It ends when the journal closes.

    At most ``size`` rows wait; further ones push out the oldest, which ``lost`` counts.
    """

    def __init__(self, size: int) -> None:
        self.lost = 0
        self._rows: deque[Row] = deque(maxlen=size)
        self._something = asyncio.Event()
        self._open = True

    def add(self, rows: Iterable[Row]) -> None:
        """The journal has these rows."""
        if not self._open:
            return
        for row in rows:
            self.lost += len(self._rows) == self._rows.maxlen
            self._rows.append(row)
            self._something.set()

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, limit: int | None = None) -> list[Row]:
        """The rows that wait now (at most ``limit``), without waiting for one."""
        rows = [self._rows.popleft() for _ in range(len(self) if limit is None else min(limit, len(self)))]
        if not self._rows and self._open:
            self._something.clear()
        return rows

    def close(self) -> None:
        """Add no more rows; those that wait can still be read."""
        self._open = False
        self._something.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Row:
        await self._something.wait()
        rows = self.take(1)
        if not rows:
            raise StopAsyncIteration
        return rows[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Cursor:
    """A follower's position in the journal, which outlives the service. One reader at a time.

    ``batch`` goes on after the last row it returned, ``confirm`` says up to which row all is done, ``rewind`` goes back
    there (after a lost connection, for example). The position is on disk within a second of ``confirm``, and when the
    journal closes: after a crash, what was not confirmed by then comes again.
    """

    def __init__(
        self, name: str, confirmed: int, newest: int, fetch: Fetch, persist: Callable[[str, int], None]
    ) -> None:
        self.name = name
        self.confirmed = confirmed
        self._at = confirmed
        self._newest = newest
        self._fetch = fetch
        self._persist = persist
        self._more = asyncio.Event()
        if newest > confirmed:
            self._more.set()

    @property
    def newest(self) -> int:
        """The id of the newest committed row."""
        return self._newest

    @property
    def behind(self) -> int:
        """Rows (at most) between the confirmed one and the newest committed one."""
        return self._newest - self.confirmed

    def advance(self, newest: int) -> None:
        """Rows up to this id are committed."""
        self._newest = newest
        if newest > self._at:
            self._more.set()

    async def batch(self, limit: int) -> list[Row]:
        """The next rows, at least one and at most ``limit``; waits for them."""
        while True:
            await self._more.wait()
            upto = self._newest
            rows = await self._fetch(self._at, upto, limit)
            if rows:
                self._at = rows[-1].id
            elif self._newest == upto:
                # Ids have gaps (rows that a unique index refused, removed rows), also at the end.
                self._at = max(self._at, upto)
            if self._at >= self._newest:
                self._more.clear()
            if rows:
                return rows

    async def confirm(self, row_id: int) -> None:
        """All up to this row is done, and never comes again."""
        if row_id > self.confirmed:
            self.confirmed = row_id
            self._persist(self.name, row_id)

    def rewind(self) -> None:
        """Go on after the last confirmed row."""
        self._at = self.confirmed
        if self._newest > self._at:
            self._more.set()


class Followers:
    """Every feed and cursor of a journal. ``newest`` is the id of the newest committed row."""

    def __init__(self, tables: Tables, fetch: Fetch, newest: int) -> None:
        self._tables = tables
        self._fetch = fetch
        self._newest = newest
        self._fed = newest
        self._feeds: WeakSet[Feed] = WeakSet()
        self._cursors: dict[str, Cursor] = {}

    def feed(self, size: int) -> Feed:
        """A live follower of the rows from now on."""
        feed = Feed(size)
        self._feeds.add(feed)
        return feed

    def cursor(self, name: str) -> Cursor:
        """The durable follower of that name; at its first use it starts now. One per name."""
        if name not in self._cursors:
            position = self._tables.position(name)
            if position is None:
                position = self._newest
                self._tables.move(name, position)
            self._cursors[name] = Cursor(name, position, self._newest, self._fetch, self._tables.move)
        return self._cursors[name]

    def behind(self) -> dict[str, int]:
        """Durable follower -> how many committed rows wait for it."""
        return {name: cursor.behind for name, cursor in self._cursors.items()}

    def not_stored(self, rows: Iterable[Row]) -> None:
        """Storage fails: feeds get these rows before they are committed, marked."""
        self._add([attrs.evolve(row, stored=False) for row in rows if row.id > self._fed])

    def committed(self, rows: Iterable[Row], newest: int) -> None:
        """These rows, and no others up to the id ``newest``, are committed. Feeds get those that they do not have."""
        self._newest = newest
        self._add([row for row in rows if row.id > self._fed])
        for cursor in self._cursors.values():
            cursor.advance(newest)

    def close(self) -> None:
        """End the feeds."""
        for feed in list(self._feeds):
            feed.close()

    def _add(self, rows: list[Row]) -> None:
        if rows:
            self._fed = rows[-1].id
            for feed in list(self._feeds):
                feed.add(rows)
