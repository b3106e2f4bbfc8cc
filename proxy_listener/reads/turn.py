"""Whose turn it is to read a device: one read at a time, in the order in which they asked.

The rule of this file: a turn that somebody waits for is not free, also in the moment between two holders. Who would
only take a free one (a scheduled read, on which all other devices wait) never waits.
"""

import asyncio
from types import TracebackType


class Turn:
    """``async with turn``: waits for it, and lets it go at the end."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._asking = 0

    @property
    def free(self) -> bool:
        """Nobody holds it, nobody waits for it: to take it takes no time."""
        return self._asking == 0

    async def take(self) -> None:
        """Wait for it."""
        self._asking += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self._asking -= 1
            raise

    def leave(self) -> None:
        """Let it go."""
        self._asking -= 1
        self._lock.release()

    async def __aenter__(self) -> None:
        await self.take()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.leave()
