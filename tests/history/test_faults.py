"""The journal under faults: kill -9, a full disk, damage found while it runs."""

import asyncio
import random
import sqlite3

import pytest
from structlog.testing import capture_logs
from support.disk import full_disk
from support.killing import killed
from support.made_readings import MAC, journal_at, numbers, reading

from proxy_listener.history import Journal

SHORT_AND_LONG = [pytest.param(5, id="5"), pytest.param(100, id="100", marks=pytest.mark.long)]
SHORT_AND_LONG_DAMAGES = [pytest.param(50, id="50"), pytest.param(200, id="200", marks=pytest.mark.long)]


@pytest.mark.parametrize("times", SHORT_AND_LONG)
async def test_kill_9_loses_no_row_that_a_feed_got(tmp_path, times):
    """Every reading that the feed got is in the file, none is there twice, and the file opens without alarm."""
    dice, path, told = random.Random(times), tmp_path / "h.db", []
    for round_ in range(times):
        told += await asyncio.to_thread(killed, path, round_ * 1_000_000, dice.randrange(20, 3000))
        async with journal_at(path) as journal:
            assert journal.alarm is None
            found = await numbers(journal)
        assert len(found) == len(set(found))
        assert set(told) <= set(found)


async def test_a_full_disk_delays_commits_and_loses_nothing(tmp_path):
    """Feeds go on, their rows marked; cursors wait; known() knows what waits. With room again everything is stored in
    order, and feeds get no row twice.
    """
    path = tmp_path / "h.db"
    async with journal_at(path) as journal:
        feed, cursor = journal.feed(10_000), journal.cursor("mqtt")
        with full_disk(path, 20_000):
            for number in range(3000):
                journal.append(reading(number))
            rows = [await anext(feed) for _ in range(3000)]
            assert not rows[-1].stored
            assert not journal.storage.ok
            assert journal.storage.waiting >= 2000
            assert journal.known(MAC, reading(2999).identity)
            assert cursor.behind < 1000
        async with asyncio.timeout(10):
            while (await cursor.batch(1000))[-1].reading.counter != 2999:
                pass
        assert [row.reading.counter for row in rows] == list(range(3000))
        assert feed.take() == []
        assert journal.storage.ok
        assert (journal.storage.waiting, journal.storage.lost, journal.storage.clashes) == (0, 0, 0)
        assert await numbers(journal) == list(range(3000))
        assert journal.reader.devices()[0].readings == 3000
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


async def test_the_buffer_is_bounded_and_drops_the_oldest(tmp_path):
    """Beyond the buffer the oldest waiting readings are lost and counted; the newest are stored when there is room."""
    path = tmp_path / "h.db"
    journal = Journal(path, buffer=500)
    with capture_logs() as logged, full_disk(path, -100_000):
        journal.append(reading(0))
        assert not await journal.flush()
        for number in range(1, 601):
            journal.append(reading(number, trust="claimed"))
        assert not await journal.flush()
        assert journal.storage.lost == 100
        assert [entry["event"] for entry in logged] == ["history storage fails; readings wait in memory"]
    assert await journal.flush()
    found = await numbers(journal)
    assert (found[0], found[1], len(found)) == (0, 101, 501)
    await journal.close()


async def wait_until_stored(journal):
    """Return when nothing waits. Each flush is one attempt."""
    while not await journal.flush():
        pass


async def met_by_a_commit(journal):
    journal._store.connection.execute("PRAGMA shrink_memory")


async def met_by_the_rest_of_the_check(journal):
    await journal._check()


@pytest.mark.parametrize("met", [met_by_a_commit, met_by_the_rest_of_the_check])
async def test_damage_found_while_running_starts_a_new_file(tmp_path, met):
    """SQLite finds broken pages in the middle of the work: the file is put aside, what waits goes into a new one, and
    so do the small tables; ids go on.
    """
    path = tmp_path / "h.db"
    async with journal_at(path) as journal:
        for number in range(300):
            journal.append(reading(number))
    async with journal_at(path) as journal:
        feed = journal.feed(1000)
        journal.tables.admit(7, 0.0)
        journal.tables.note("table", "x")
        journal.append(reading(1000))
        await journal.flush()
        path.write_bytes(path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096))
        await met(journal)
        for number in range(1001, 1005):
            journal.append(reading(number))
        async with asyncio.timeout(10):
            rows = [await anext(feed) for _ in range(5)]
            await wait_until_stored(journal)
        assert [row.id for row in rows] == list(range(301, 306))
        assert journal.alarm is not None
        assert set(await numbers(journal)) >= {1001, 1002, 1003, 1004}
    async with journal_at(path) as journal:
        assert (journal.tables.admitted(7), journal.tables.noted("table")) == (0.0, "x")
        assert journal.alarm is None
