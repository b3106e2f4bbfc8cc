"""Commits that overlap with a flush, with close(), with a stalled disk, and with mistakes in this program."""

import asyncio
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing, contextmanager
from itertools import count

import pytest
import structlog
from structlog.testing import capture_logs
from support.disk import full_disk
from support.made_readings import journal_at, numbers, reading

from proxy_listener.history import Journal
from proxy_listener.history.journal import LAZY, STALLED


@contextmanager
def held(path):
    """Another connection's transaction keeps commits waiting (two seconds at most, then they fail)."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def configured():
    """The configuration of logging is as before after the block."""
    before = structlog.get_config()
    try:
        yield
    finally:
        structlog.configure(**before)


async def turn():
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.mark.parametrize("flushes", [1, 2, 5])
async def test_a_flush_ends_when_feeds_have_the_rows(tmp_path, flushes):
    """Several flushes during a commit: none returns before feeds have what was appended before it."""
    path = tmp_path / "h.db"
    journal = Journal(path)
    feed = journal.feed()

    async def flush():
        return await journal.flush(), [row.reading.counter for row in feed._rows]

    with held(path):
        journal.append(reading(1))
        first = asyncio.create_task(flush())
        await turn()
        journal.append(reading(2))
        others = [asyncio.create_task(flush()) for _ in range(flushes)]
        await turn()
        assert not any(task.done() for task in (first, *others))
    async with asyncio.timeout(10):
        assert (await first)[0]
        assert await asyncio.gather(*others) == [(True, [1, 2])] * flushes
    assert await numbers(journal) == [1, 2]
    await journal.close()


async def test_a_flush_replaces_the_planned_commit(tmp_path):
    """A second after a flush, or after the journal was closed, no commit begins that was planned before it."""
    path, faults = tmp_path / "h.db", []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context))
    later = asyncio.Event()
    async with journal_at(path) as open_all_the_time, journal_at(tmp_path / "closed.db") as closed:
        for journal in (open_all_the_time, closed):
            await turn()
            journal.tables.note("name", "value")
            await journal.flush()
        await closed.close()
        loop.call_later(LAZY + 0.1, later.set)
        await later.wait()
        assert open_all_the_time._number == 1
    assert faults == []


async def test_readings_during_other_work_that_fails_are_committed(tmp_path):
    """Work between commits that raises leaves the next commit planned."""
    async with journal_at(tmp_path / "h.db") as journal:
        feed, going, end = journal.feed(), asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def fail():
            loop.call_soon_threadsafe(going.set)
            end.wait()
            raise OSError("no")

        work = asyncio.create_task(journal._between_commits(fail))
        await going.wait()
        journal.append(reading(1))
        end.set()
        with pytest.raises(OSError, match="no"):
            await work
        async with asyncio.timeout(10):
            assert (await anext(feed)).reading.counter == 1


async def test_a_follower_can_append(tmp_path):
    """Each row makes its follower append the next one, also where one flush follows another."""
    async with journal_at(tmp_path / "h.db") as journal, asyncio.timeout(10):
        feed = journal.feed()
        journal.append(reading(0))
        for number in range(1, 30):
            assert (await anext(feed)).reading.counter == number - 1
            journal.append(reading(number))
            if number % 3 == 0:
                await journal.flush()
        assert (await anext(feed)).reading.counter == 29


async def test_close_waits_for_a_stalled_disk_and_loses_nothing(tmp_path):
    """A commit that does not return shows in ``storage``. With run() cancelled and close() called meanwhile, everything
    is stored, and feeds have it, once the disk answers.
    """
    path = tmp_path / "h.db"
    journal = Journal(path)
    feed = journal.feed()
    running = asyncio.create_task(journal.run())
    with held(path):
        await turn()
        journal.append(reading(1))
        first = await anext(feed)
        assert (first.stored, journal.storage.error) == (False, STALLED)
        journal.append(reading(2))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        closing_ = asyncio.create_task(journal.close())
        await turn()
        assert not closing_.done()
    async with asyncio.timeout(10):
        await closing_
    assert [row.reading.counter async for row in feed] == [2]
    assert journal.storage.ok
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT counter FROM reading").fetchall() == [(1,), (2,)]


async def test_every_flush_of_a_commit_that_fails_returns_false(tmp_path):
    """Also those that began during the commit; afterwards each row is there once, in order."""
    path = tmp_path / "h.db"
    journal = Journal(path)
    with capture_logs(), full_disk(path, -100_000):
        journal.append(reading(1))
        first = asyncio.create_task(journal.flush())
        await turn()
        journal.append(reading(2))
        others = [asyncio.create_task(journal.flush()) for _ in range(2)]
        async with asyncio.timeout(10):
            assert await asyncio.gather(first, *others) == [False] * 3
    assert await journal.flush()
    assert await numbers(journal) == [1, 2]
    assert journal.storage.lost == 0
    await journal.close()


async def test_a_log_on_the_same_full_disk_does_not_stop_the_commits(tmp_path):
    """To log that storage fails raises, and so does to log that it is back: commits go on."""
    path, faults = tmp_path / "h.db", []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))
    with (tmp_path / "log").open("w", encoding="utf-8") as file, configured():
        file.write("x" * 100_000)
        file.flush()
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(file), cache_logger_on_first_use=False)
        async with journal_at(path) as journal:
            feed = journal.feed()
            with full_disk(path, -100_000):
                journal.append(reading(1))
                assert not (await anext(feed)).stored
                assert not journal.storage.ok
            file.close()
            cursor = journal.cursor("mqtt")
            journal.append(reading(2))
            async with asyncio.timeout(10):
                assert [row.reading.counter for row in await cursor.batch(1)] == [1]
                assert [row.reading.counter for row in await cursor.batch(1)] == [2]
            assert journal.storage.ok
        assert [type(fault) for fault in faults] == [OSError, ValueError]


async def test_a_flush_ends_although_further_readings_come(tmp_path):
    """It waits for what was appended before it, not for all that a flood appends meanwhile."""
    journal = Journal(tmp_path / "h.db")
    feed, numbers_ = journal.feed(100_000), count(1)
    journal.append(reading(0))

    async def load():
        while True:
            journal.append(reading(next(numbers_)))
            await asyncio.sleep(0)

    loading = asyncio.create_task(load())
    async with asyncio.timeout(10):
        assert await journal.flush()
    loading.cancel()
    assert feed.take()[0].reading.counter == 0
    await journal.close()


class Mistake(Mapping):
    def __getitem__(self, key):
        raise LookupError(key)

    def __len__(self):
        return 1

    def __iter__(self):
        raise RuntimeError("a mistake in this program")


async def test_a_mistake_in_this_program_ends_run_and_nothing_else(tmp_path):
    """An unexpected exception: run() raises it, its batch counts as lost, and another run() goes on."""
    path = tmp_path / "h.db"
    journal = Journal(path)
    running = asyncio.create_task(journal.run())
    await turn()
    journal.append(reading(1, values=Mistake()))
    with pytest.raises(ExceptionGroup) as caught:
        await running
    assert caught.group_contains(RuntimeError, match="a mistake in this program")
    assert (journal.storage.lost, journal.storage.waiting) == (1, 0)
    again = asyncio.create_task(journal.run())
    feed = journal.feed()
    journal.append(reading(2))
    async with asyncio.timeout(10):
        assert (await anext(feed)).reading.counter == 2
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
    await journal.close()


async def test_a_flush_returns_false_where_a_mistake_lost_rows(tmp_path):
    """The flush ends, and later ones succeed."""
    faults = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))
    journal = Journal(tmp_path / "h.db")
    journal.append(reading(1, values=Mistake()))
    assert not await journal.flush()
    journal.append(reading(2))
    assert await journal.flush()
    assert [str(fault) for fault in faults] == ["a mistake in this program"]
    await journal.close()
