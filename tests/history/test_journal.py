"""The journal: commit, then tell; which frames are known; what a restart finds."""

import asyncio
import sqlite3
from contextlib import closing

from support.made_readings import MAC, journal_at, reading

from proxy_listener.history import Journal
from proxy_listener.history.journal import FULL_BATCH, PACE
from proxy_listener.model.reading import Event
from proxy_listener.model.settings import HistorySettings


async def test_a_row_that_a_feed_gets_is_committed(tmp_path):
    """When a feed returns a row, another connection already finds it in the file."""
    async with journal_at(tmp_path / "h.db") as journal:
        feed = journal.feed(1000)
        for number in range(500):
            journal.append(reading(number))
        with closing(sqlite3.connect(tmp_path / "h.db")) as outside:
            for _ in range(500):
                row = await anext(feed)
                assert row.stored
                found = outside.execute("SELECT counter FROM reading WHERE id = ?", (row.id,)).fetchall()
                assert found == [(row.reading.counter,)]


async def test_followers_get_nothing_before_the_commit():
    """After append feeds and cursors have nothing; after flush they have the rows in order."""
    journal = Journal(None)
    feed = journal.feed()
    cursor = journal.cursor("mqtt")
    journal.append(reading(1))
    journal.append(reading(2))
    assert feed.take() == []
    assert cursor.behind == 0
    assert await journal.flush()
    assert [row.reading for row in feed.take()] == [reading(1), reading(2)]
    assert cursor.behind == 2
    await journal.close()


async def test_a_commit_after_a_quiet_time_is_due_at_once(tmp_path):
    """A reading soon after a commit waits for the pace; a reading after that is due when it comes."""
    loop, quiet = asyncio.get_running_loop(), asyncio.Event()
    async with journal_at(tmp_path / "h.db") as journal:
        feed = journal.feed()
        begun = loop.time()
        journal.append(reading(0))
        await anext(feed)
        await asyncio.sleep(0)
        journal.append(reading(1))
        assert journal._planned.when() == journal._due >= begun + PACE
        await anext(feed)
        loop.call_at(journal._due, quiet.set)
        await quiet.wait()
        journal.append(reading(2))
        assert journal._planned.when() <= loop.time()
        await anext(feed)


async def test_a_periodic_value_waits_and_an_event_takes_it_along(tmp_path):
    """A temperature is due ``[history] commit`` later; a button's press is due at once, and both are in one commit."""
    loop, patient = asyncio.get_running_loop(), HistorySettings(commit=30.0)
    async with journal_at(tmp_path / "h.db", patient) as journal:
        feed = journal.feed()
        await asyncio.sleep(0)
        begun = loop.time()
        journal.append(reading(0))
        assert begun + 30.0 <= journal._planned.when() <= loop.time() + 30.0
        journal.append(reading(1, events=(Event("button", "press"),)))
        assert journal._planned.when() <= loop.time()
        await anext(feed)
        assert [row.reading.counter for row in feed.take()] == [1]
        assert journal._number == 1
        journal.append(reading(2))
        assert journal._planned.when() >= begun + 30.0


async def test_many_periodic_values_do_not_wait(tmp_path):
    """200 rows are a commit of their own, however long the window is."""
    async with journal_at(tmp_path / "h.db", HistorySettings(commit=60.0)) as journal:
        feed = journal.feed()
        for number in range(FULL_BATCH):
            journal.append(reading(number))
        await anext(feed)
        assert len(feed) == FULL_BATCH - 1


async def test_a_frame_is_known_at_once_and_always(tmp_path):
    """Its identity is known while it waits, after the commit, and after a restart; another device's is not."""
    one = reading(1)
    async with journal_at(tmp_path / "h.db") as journal:
        assert not journal.known(MAC, one.identity)
        journal.append(one)
        assert journal.known(MAC, one.identity)
        await journal.flush()
        assert journal.known(MAC, one.identity)
    async with journal_at(tmp_path / "h.db") as journal:
        assert journal.known(MAC, one.identity)
        assert not journal.known(MAC + 1, one.identity)
        assert not journal.known(MAC, one.identity + b"x")


def highest(journal, mac, key_id):
    """The counter in the highest identity under a bindkey; -1 where there is none."""
    identity = journal.highest_identity(mac, key_id)
    return int.from_bytes(identity[4:8], "big") if identity else -1


async def test_the_highest_counter_under_a_bindkey_is_known_at_once_and_always(tmp_path):
    """Of one device and one key, by the counter as a number, while it waits, committed, and after a restart."""
    other = b"KEY!" + (900).to_bytes(4, "big") + b"tag!"
    async with journal_at(tmp_path / "h.db") as journal:
        assert highest(journal, MAC, b"key!") == -1
        for number in (255, 70_000, 256):
            journal.append(reading(number))
        journal.append(reading(1, identity=other))
        journal.append(reading(80_000, mac=MAC + 1))
        waiting = highest(journal, MAC, b"key!"), highest(journal, MAC, b"KEY!"), highest(journal, MAC + 1, b"key!")
        await journal.flush()
        journal.append(reading(7))
        assert waiting == (70_000, 900, 80_000)
        assert highest(journal, MAC, b"key!") == 70_000
    async with journal_at(tmp_path / "h.db") as journal:
        assert highest(journal, MAC, b"key!") == 70_000
        assert highest(journal, MAC, b"KEY!") == 900
        assert highest(journal, MAC, b"none") == -1


async def test_close_waits_for_the_commit_under_way(tmp_path):
    """run() is cancelled in the middle of a commit: close() waits for it, and commits the rest."""
    journal = Journal(tmp_path / "h.db")
    feed = journal.feed(5000)
    running = asyncio.create_task(journal.run())
    for number in range(3000):
        journal.append(reading(number))
    await anext(feed)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await journal.close()
    assert [row.reading.counter async for row in feed] == list(range(1, 3000))
