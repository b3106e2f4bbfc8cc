"""Readings as JSON Lines, to standard output or to the end of a file.

Rows of the journal's live feed come in, one line a reading goes out, written at once. The rule of this file: whoever
reads the lines, and however slowly, the service does not wait for them. What does not fit is lost and counted, and the
log says so when it begins and when it ends.

A reader that closes its end (``proxy-listener run | head``) ends this sink. A file is opened for each write, at most
ten times a second, so log rotation needs no signal. What a full disk cut off is taken back: a line is whole or absent.
"""

import asyncio
import os
import queue
import select
import stat
import threading
from collections.abc import Callable
from contextlib import suppress

import attrs
import structlog

from proxy_listener.history import Feed, Journal, Row
from proxy_listener.model.reading import as_json
from proxy_listener.model.status import View

log = structlog.get_logger()

WAITING = 4096
"""Readings that wait for a slow reader: about a megabyte of lines, minutes of a large house."""

AT_ONCE = 512
"""Readings of one write, so that a reader who is slow, not dead, is served in portions."""

PATIENCE = 5.0
"""Seconds between looks at what is lost while one write does not come back."""

STANDARD_OUTPUT = 1


@attrs.frozen
class Settings:
    """``[sink.jsonl]``: ``path`` of a file to which lines are appended; ``-`` is standard output."""

    path: str = "-"


async def run(settings: Settings, journal: Journal, view: View) -> None:  # noqa: ARG001  the same for every sink
    """Writes until the journal closes, the reader goes away, or it is cancelled."""
    with journal.feed(WAITING) as feed:
        await _Sink(feed, settings.path).run()


@attrs.define
class _Sink:
    feed: Feed
    path: str
    error: str | None = None
    unwritten: int = 0
    lost: int = 0
    behind: bool = False
    gone: bool = False

    async def run(self) -> None:
        hand = _Hand(self._written)
        try:
            async for row in self.feed:
                await self._wait_for(hand)
                if self.gone:
                    return
                rows = [row, *self.feed.take(AT_ONCE - 1)]
                hand.write(self.path, b"".join(map(_line, rows)), len(rows))
            await self._wait_for(hand)
        finally:
            hand.rest()

    async def _wait_for(self, hand: "_Hand") -> None:
        while not await hand.free():
            self._count_lost()
        self._count_lost()

    def _written(self, rows: int, error: Exception | None) -> None:
        """A write came to its end that failed, or that came after one."""
        if isinstance(error, BrokenPipeError):
            if not self.gone:
                log.info("the reader of the JSON lines is gone", path=self.path)
            self.gone = True
            self.feed.close()
        elif error is not None:
            self.unwritten += rows
            text = getattr(error, "strerror", None) or str(error)
            if text != self.error:
                log.error("JSON lines cannot be written", path=self.path, error=text)
            self.error = text
        elif self.error is not None:
            log.warning("JSON lines are written again", path=self.path, lost=self.unwritten)
            self.error = None

    def _count_lost(self) -> None:
        more, self.lost = self.feed.lost > self.lost, self.feed.lost
        if more and not self.behind:
            log.warning("the reader of the JSON lines is too slow; readings are left out", path=self.path)
            self.behind = True
        elif self.behind and not more and len(self.feed) < WAITING // 2:
            log.warning("the reader of the JSON lines keeps up again", path=self.path, lost=self.lost)
            self.behind = False


def _line(row: Row) -> bytes:
    try:
        return as_json(row.reading).encode("utf-8", "replace") + b"\n"
    except ValueError:  # NaN, which only a row that the journal did not take can hold
        return b""


def _write(path: str, data: bytes) -> None:
    """Appends whole lines; blocks as long as the reader does."""
    if path == "-":
        _put(STANDARD_OUTPUT, data)
        return
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        _put(fd, data)
    finally:
        os.close(fd)


def _put(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    try:
        while rest:
            try:
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:  # whoever started us made its end of the terminal or pipe non-blocking
                select.select([], [fd], [])
    except OSError:
        state, written = os.fstat(fd), len(data) - len(rest)
        # Not where somebody else wrote behind it meanwhile, as a log may that goes where standard output goes.
        if stat.S_ISREG(state.st_mode) and written and os.lseek(fd, 0, os.SEEK_CUR) == state.st_size:
            os.ftruncate(fd, state.st_size - written)
            os.lseek(fd, -written, os.SEEK_CUR)
        raise


class _Hand:
    """Does the blocking work in a thread that nobody waits for at the end: a write to a pipe whose reader sleeps never
    returns, and threads of an executor are joined before the program may end.

    ``told(rows, error)`` is called in the loop where a write failed, and for the first that does not fail after it. Of
    all others nobody is told who does not wait: to wake the loop costs as much as the line.
    """

    def __init__(self, told: Callable[[int, Exception | None], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._told = told
        self._orders: queue.SimpleQueue[tuple[str, bytes, int] | None] = queue.SimpleQueue()
        self._given = self._done = 0
        self._awaited = False
        self._over = asyncio.Event()
        threading.Thread(target=self._work, name="jsonl", daemon=True).start()

    def write(self, path: str, data: bytes, rows: int) -> None:
        """Takes the lines of so many rows. Only while it is free."""
        self._given += 1
        self._orders.put((path, data, rows))

    async def free(self) -> bool:
        """Waits for the last write; False where it takes longer than :data:`PATIENCE`."""
        if self._given == self._done:
            return True
        self._over.clear()
        self._awaited = True
        # Looked at once more, because the thread may have come to its end before it could see that somebody waits.
        if self._given != self._done:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._over.wait()
        self._awaited = False
        return self._given == self._done

    def rest(self) -> None:
        """End the thread, as soon as it can."""
        self._orders.put(None)

    def _work(self) -> None:
        failing = False
        while (order := self._orders.get()) is not None:
            path, data, rows = order
            error: Exception | None = None
            try:
                _write(path, data)
            except Exception as raised:  # noqa: BLE001  whatever it is: nobody would know of a thread that ended
                error = raised
            failing, telling = error is not None, failing or error is not None
            self._done += 1
            if telling or self._awaited:
                try:
                    self._loop.call_soon_threadsafe(self._tell, rows, error, telling)
                except RuntimeError:  # the loop is closed: nobody waits any more
                    return

    def _tell(self, rows: int, error: Exception | None, telling: bool) -> None:
        if telling:
            self._told(rows, error)
        self._over.set()
