"""Feeds and cursors."""

import asyncio
import sqlite3
from contextlib import closing

from support.made_readings import journal_at, reading
from support.waiting import until


async def test_a_slow_feed_loses_the_oldest_and_counts_them():
    """A feed of 3 keeps the newest 3 of 10 and counts 7; another feed has all."""
    async with journal_at(None) as journal:
        slow, quick = journal.feed(3), journal.feed(100)
        for number in range(10):
            journal.append(reading(number))
        await journal.flush()
        assert [row.reading.counter for row in slow.take()] == [7, 8, 9]
        assert (slow.lost, quick.lost, len(quick.take())) == (7, 0, 10)


async def test_a_feed_ends_with_the_journal():
    """The rows that wait at the end can still be read, then the iteration stops."""
    async with journal_at(None) as journal:
        feed = journal.feed()
        journal.append(reading(1))
    assert [row.reading.counter async for row in feed] == [1]


async def test_a_cursor_starts_now_and_goes_on_where_it_confirmed(tmp_path):
    """Nothing from before its first use; after a restart, what was not confirmed comes again, the rest does not."""
    path = tmp_path / "h.db"
    async with journal_at(path) as journal:
        journal.append(reading(1))
        await journal.flush()
        cursor = journal.cursor("mqtt")
        for number in range(2, 9):
            journal.append(reading(number))
        rows = await cursor.batch(5)
        assert [row.reading.counter for row in rows] == [2, 3, 4, 5, 6]
        await cursor.confirm(rows[2].id)
        assert [row.reading.counter for row in await cursor.batch(5)] == [7, 8]
    async with journal_at(path) as journal:
        cursor = journal.cursor("mqtt")
        assert cursor.behind == 4
        assert [row.reading.counter for row in await cursor.batch(100)] == [5, 6, 7, 8]
        assert journal.cursor("other").behind == 0


async def test_a_cursor_waits_for_the_next_row():
    """batch with nothing new returns when a row is committed, not before."""
    async with journal_at(None) as journal:
        waiting = asyncio.create_task(journal.cursor("mqtt").batch(10))
        await asyncio.sleep(0)
        assert not waiting.done()
        journal.append(reading(1))
        assert [row.reading.counter for row in await waiting] == [1]


async def test_rewind_goes_back_to_what_was_confirmed():
    """After a lost connection the rows in flight come again."""
    async with journal_at(None) as journal:
        cursor = journal.cursor("mqtt")
        for number in range(4):
            journal.append(reading(number))
        await journal.flush()
        rows = await cursor.batch(10)
        await cursor.confirm(rows[0].id)
        cursor.rewind()
        assert await cursor.batch(10) == rows[1:]


async def test_a_cursor_passes_over_gaps():
    """Rows that the unique index refused leave ids without rows; the cursor goes on behind them."""
    async with journal_at(None) as journal:
        cursor = journal.cursor("mqtt")
        for number in (1, 1, 1):
            journal.append(reading(number))
        await journal.flush()
        assert len(await cursor.batch(10)) == 1
        waiting = asyncio.create_task(cursor.batch(10))
        journal.append(reading(2))
        assert [row.reading.counter for row in await waiting] == [2]


async def test_the_position_of_a_cursor_comes_to_disk_by_itself(tmp_path):
    """Without any further reading, and without closing."""
    async with journal_at(tmp_path / "h.db") as journal:
        cursor = journal.cursor("mqtt")
        journal.append(reading(1))
        (row,) = await cursor.batch(1)
        await cursor.confirm(row.id)
        with closing(sqlite3.connect(tmp_path / "h.db")) as outside:
            await until(lambda: outside.execute("SELECT position FROM cursor").fetchall() == [(row.id,)])
