"""Commits in the writing thread: one at a time, with other work between two of them.

A batch goes in; two callbacks on the event loop tell that it takes long and how it ended. They are callbacks because
each step of a task would be one more turn of the loop, and for the usual batch of one row these turns cost more than
the commit.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from proxy_listener.history.writer import Batch, Committed, Writer

STALL = 1.0
"""Seconds after which a commit that does not return counts as a fault: live feeds do not wait for it."""

T = TypeVar("T")


class Commits:
    """``stalled`` is called each second that a commit does not return, ``ended`` with its result."""

    def __init__(
        self,
        writer: Writer,
        thread: ThreadPoolExecutor,
        stalled: Callable[[Batch], None],
        ended: Callable[[Batch, Future[Committed]], None],
    ) -> None:
        self._writer = writer
        self._thread = thread
        self._stalled = stalled
        self._ended = ended
        self._idle = asyncio.Event()
        self._idle.set()
        self._stall: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether no commit is under way."""
        return self._idle.is_set()

    async def wait(self) -> None:
        """Return while no commit is under way. Another task may begin the next one before this one is woken."""
        while not self._idle.is_set():
            await self._idle.wait()

    def begin(self, batch: Batch) -> None:
        """Give a batch to the writing thread, while it is idle."""
        loop = asyncio.get_running_loop()
        self._idle.clear()
        self._watch(batch)

        def hand_back(commit: Future[Committed]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nothing waits any more
                loop.call_soon_threadsafe(self._end, batch, commit)

        self._thread.submit(self._writer.commit, batch).add_done_callback(hand_back)

    async def between(self, work: Callable[..., T], *arguments: object) -> T:
        """The work done in the writing thread, while no commit is under way."""
        await self.wait()
        self._idle.clear()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        finally:
            self._idle.set()

    def _watch(self, batch: Batch) -> None:
        self._stall = asyncio.get_running_loop().call_later(STALL, self._report, batch)

    def _report(self, batch: Batch) -> None:
        self._watch(batch)
        self._stalled(batch)

    def _end(self, batch: Batch, commit: Future[Committed]) -> None:
        if self._stall is not None:
            self._stall.cancel()
        self._idle.set()
        self._ended(batch, commit)
