"""Those who follow the journal: live by a feed, durably by a cursor.

Committed rows come in, in order. The rule of this file: a feed never makes anybody wait (it drops its oldest rows and
counts them), a cursor never loses anything (it waits, and repeats what nobody confirmed).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self

from proxy_listener.history.schema import Row

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

    def tell(self, rows: Iterable[Row]) -> None:
        """For the journal: what became known."""
        if not self._open:
            return
        for row in rows:
            self.lost += len(self._rows) == self._rows.maxlen
            self._rows.append(row)
            self._something.set()

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, limit: int | None = None) -> list[Row]:
        """What waits now (at most ``limit``), at once."""
        rows = [self._rows.popleft() for _ in range(len(self) if limit is None else min(limit, len(self)))]
        if not self._rows and self._open:
            self._something.clear()
        return rows

    def close(self) -> None:
        """Nothing more comes; what waits can still be read."""
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
    """A follower's place in the journal, which outlives the service. One reader at a time.

    ``batch`` goes on from the last row it gave, ``confirm`` says up to where all is done, ``rewind`` goes back there
    (after a connection was lost, say). The place is on disk within a second of ``confirm``, and when the journal
    closes: a crash repeats at most what was not confirmed by then.
    """

    def __init__(self, name: str, confirmed: int, newest: int, fetch: Fetch, persist: Callable[[], None]) -> None:
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
    def behind(self) -> int:
        """Rows (at most) between what is confirmed and the newest committed one."""
        return self._newest - self.confirmed

    def tell(self, newest: int) -> None:
        """For the journal: rows up to this id are committed."""
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
                # Ids have gaps (rows that a unique index refused, thinned rows); an end without rows is an end.
                self._at = max(self._at, upto)
            if self._at >= self._newest:
                self._more.clear()
            if rows:
                return rows

    async def confirm(self, row_id: int) -> None:
        """All up to this row is done, and never comes again."""
        if row_id > self.confirmed:
            self.confirmed = row_id
            self._persist()

    def rewind(self) -> None:
        """Go on after the last confirmed row."""
        self._at = self.confirmed
        if self._newest > self._at:
            self._more.set()
