"""Readings as JSON Lines, to standard output or to the end of a file.

Rows of the journal's live feed come in; one line for each reading goes out, written at once. The service never waits
for the reader of the lines. Readings that do not fit into the feed are lost and counted, and the log says when that
begins and when it ends.

A reader that closes the pipe (``proxy-listener run | head``) ends this sink. A file is opened for each write, so log
rotation needs no signal. A line that a full disk cut off is removed: a line is whole or absent.
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
"""Most readings that wait for a slow reader: about a megabyte of lines."""

AT_ONCE = 512
"""Most readings of one write, so that a slow reader gets them in portions."""

CHECK_EVERY = 5.0
"""Seconds between two counts of lost readings while a write does not return."""

STANDARD_OUTPUT = 1


@attrs.frozen
class Settings:
    """``[sink.jsonl]``: ``path`` of a file to which lines are appended; ``-`` is standard output."""

    path: str = "-"


async def run(settings: Settings, journal: Journal, view: View) -> None:  # noqa: ARG001  the same for every sink
    """Write until the journal closes, the reader closes the pipe, or the task is cancelled."""
    with journal.feed(WAITING) as feed:
        await _LineWriter(feed, settings.path).run()


@attrs.define
class _LineWriter:
    feed: Feed
    path: str
    error: str | None = None
    unwritten: int = 0
    lost: int = 0
    behind: bool = False
    gone: bool = False

    async def run(self) -> None:
        writer = _WriterThread(self._written)
        try:
            async for row in self.feed:
                await self._wait_for(writer)
                if self.gone:
                    return
                rows = [row, *self.feed.take(AT_ONCE - 1)]
                writer.write(self.path, b"".join(map(_line, rows)), len(rows))
            await self._wait_for(writer)
        finally:
            writer.stop()

    async def _wait_for(self, writer: "_WriterThread") -> None:
        while not await writer.idle():
            self._count_lost()
        self._count_lost()

    def _written(self, rows: int, error: Exception | None) -> None:
        """A write failed, or succeeded after one that failed."""
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
    except ValueError:  # NaN, which is only in a row that the journal refused
        return b""


def _write(path: str, data: bytes) -> None:
    """Append whole lines; blocks as long as the reader does."""
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
            except BlockingIOError:  # the parent process may have made the terminal or pipe non-blocking
                select.select([], [fd], [])
    except OSError:
        state, written = os.fstat(fd), len(data) - len(rest)
        # Only where nothing was written behind it: the log may go to the same file as standard output.
        if stat.S_ISREG(state.st_mode) and written and os.lseek(fd, 0, os.SEEK_CUR) == state.st_size:
            os.ftruncate(fd, state.st_size - written)
            os.lseek(fd, -written, os.SEEK_CUR)
        raise


class _WriterThread:
    """Writes in a thread, because a write to a pipe whose reader sleeps never returns. It is a daemon thread, because
    the program waits for the threads of an executor when it ends.

    ``report(rows, error)`` is called in the loop for each write that failed, and for the first that succeeds after it.
    Other successful writes do not call back, because waking the loop costs as much as writing the line.
    """

    def __init__(self, report: Callable[[int, Exception | None], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._report = report
        self._orders: queue.SimpleQueue[tuple[str, bytes, int] | None] = queue.SimpleQueue()
        self._ordered = self._done = 0
        self._awaited = False
        self._finished = asyncio.Event()
        threading.Thread(target=self._work, name="jsonl", daemon=True).start()

    def write(self, path: str, data: bytes, rows: int) -> None:
        """Write the lines of so many rows. Only while it is idle."""
        self._ordered += 1
        self._orders.put((path, data, rows))

    async def idle(self) -> bool:
        """Wait for the last write; False where it takes longer than :data:`CHECK_EVERY`."""
        if self._ordered == self._done:
            return True
        self._finished.clear()
        self._awaited = True
        # The thread may have finished before it could see that it is awaited.
        if self._ordered != self._done:
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY):
                    await self._finished.wait()
        self._awaited = False
        return self._ordered == self._done

    def stop(self) -> None:
        """End the thread once its write returns."""
        self._orders.put(None)

    def _work(self) -> None:
        failing = False
        while (order := self._orders.get()) is not None:
            path, data, rows = order
            error: Exception | None = None
            try:
                _write(path, data)
            except Exception as raised:  # noqa: BLE001  an error that ends the thread would not be seen
                error = raised
            failing, reported = error is not None, failing or error is not None
            self._done += 1
            if reported or self._awaited:
                try:
                    self._loop.call_soon_threadsafe(self._finish, rows, error, reported)
                except RuntimeError:  # the loop is closed
                    return

    def _finish(self, rows: int, error: Exception | None, reported: bool) -> None:
        if reported:
            self._report(rows, error)
        self._finished.set()
