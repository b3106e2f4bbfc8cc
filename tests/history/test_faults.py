"""The journal in bad weather: kill -9, a full disk, a damaged or foreign file."""

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
async def test_kill_9_loses_nothing_that_was_told(tmp_path, times):
    """Every reading told is in the file, none is there twice, the file opens without alarm and goes on from there."""
    dice, path, told = random.Random(times), tmp_path / "h.db", []
    for round_ in range(times):
        told += await asyncio.to_thread(killed, path, round_ * 1_000_000, dice.randrange(20, 3000))
        async with journal_at(path) as journal:
            assert journal.alarm is None
            found = await numbers(journal)
        assert len(found) == len(set(found))
        assert set(told) <= set(found)


async def test_a_full_disk_stops_nobody_and_loses_nothing(tmp_path):
    """Live feeds go on, marked; cursors wait; known() knows what waits; within 1 s after there is room again all is
    stored, in order, once, and told to nobody twice.
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
        async with asyncio.timeout(1.0):
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


async def test_a_batch_counts_once_however_often_it_is_tried(tmp_path):
    """A commit that reached the disk although it reported an error: the same batch again writes nothing twice."""
    journal = Journal(tmp_path / "h.db")
    for number in range(3):
        journal.append(reading(number, trust="claimed"))
    journal.tables.admit(7, 0.0)
    batch = journal._gather()
    first = journal._writer.commit(batch)
    journal._writer._broken = sqlite3.OperationalError("disk I/O error")
    assert journal._writer.commit(batch).ids == first.ids
    assert journal.reader.devices()[0].readings == 3
    assert await numbers(journal) == [0, 1, 2]
    await journal.close()


async def wait_until_stored(journal):
    """The running writer has nothing left to store. Each flush is one attempt, half a second apart at most."""
    while not await journal.flush():
        pass


async def make(path, readings=300):
    async with journal_at(path) as journal:
        for number in range(readings):
            journal.append(reading(number))


async def in_order(path):
    """Whatever lay there: the journal starts, takes a reading, and gives it back after another start."""
    async with journal_at(path) as journal:
        alarm = journal.alarm
        journal.append(reading(1_000_000))
        assert await journal.flush()
        assert journal.storage.ok
    async with journal_at(path) as journal:
        assert 1_000_000 in await numbers(journal)
        assert journal.known(MAC, reading(1_000_000).identity)
    return alarm


def damage(path, dice):
    """One of the ways in which files break, at a random place."""
    data = bytearray(path.read_bytes())
    match dice.randrange(5):
        case 0:
            at = dice.randrange(len(data) // 4096) * 4096
            data[at : at + 4096] = dice.randbytes(4096)
        case 1:
            at = dice.randrange(len(data) // 4096) * 4096
            data[at : at + 4096] = bytes(4096)
        case 2:
            del data[dice.randrange(len(data)) :]
        case 3:
            for _ in range(20):
                data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        case _:
            data[: dice.randrange(1, 200)] = b""
    path.write_bytes(data)


@pytest.mark.parametrize("times", SHORT_AND_LONG_DAMAGES)
async def test_damage_costs_the_old_history_and_nothing_else(tmp_path, times):
    """A journal is there whatever was done to its file; an old one that had to go lies aside, and an alarm says it."""
    dice, aside = random.Random(times), 0
    await make(tmp_path / "sound.db")
    sound = (tmp_path / "sound.db").read_bytes()
    for number in range(times):
        place = tmp_path / str(number)
        place.mkdir()
        (place / "h.db").write_bytes(sound)
        damage(place / "h.db", dice)
        alarm = await in_order(place / "h.db")
        kept = list(place.glob("h.db.damaged-*"))
        aside += len(kept) > 0
        if alarm is not None:
            assert alarm.startswith("history lost: h.db")
            assert kept[0].name in alarm
    assert aside > times // 3


async def test_a_foreign_file_is_put_aside_whole(tmp_path):
    """Another program's database is not touched: it lies beside the new history, byte for byte."""
    path = tmp_path / "h.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE reading (id)")
    connection.close()
    before = path.read_bytes()
    alarm = await in_order(path)
    assert "not a history of proxy-listener" in alarm
    (aside,) = tmp_path.glob("h.db.damaged-*")
    assert aside.read_bytes() == before


async def test_a_history_with_a_trigger_of_a_stranger_is_foreign(tmp_path):
    """Nothing that somebody put into the file's schema is executed."""
    path = tmp_path / "h.db"
    await make(path)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TRIGGER t AFTER INSERT ON reading BEGIN DELETE FROM reading; END")
    connection.close()
    assert "has other tables" in await in_order(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 8192, b"not a database at all" * 1000])
async def test_a_file_of_something_else(tmp_path, content):
    """Empty, zeros, text: aside, and a fresh history."""
    path = tmp_path / "h.db"
    path.write_bytes(content)
    assert await in_order(path) is not None


async def test_a_torn_write_ahead_log_costs_its_end_only(tmp_path):
    """The log cut in the middle: what was checkpointed and the log's sound beginning are there, without alarm."""
    path = tmp_path / "h.db"
    async with journal_at(path) as journal:
        for number in range(400):
            journal.append(reading(number))
            if number % 100 == 99:
                await journal.flush()
        copy = tmp_path / "copy.db"
        copy.write_bytes(path.read_bytes())
        log = path.with_name("h.db-wal").read_bytes()
    copy.with_name("copy.db-wal").write_bytes(log[: len(log) * 2 // 3])
    async with journal_at(copy) as journal:
        assert journal.alarm is None
        found = await numbers(journal)
        assert found == list(range(len(found)))
        assert len(found) in {100, 200, 300}


async def met_by_a_commit(journal):
    journal._store.connection.execute("PRAGMA shrink_memory")


async def met_by_the_rest_of_the_check(journal):
    await journal._check()


@pytest.mark.parametrize("met", [met_by_a_commit, met_by_the_rest_of_the_check])
async def test_damage_found_while_running_starts_afresh(tmp_path, met):
    """SQLite meets broken pages in the middle of the work: the file goes aside, what waits goes into a new one, small
    facts and ids go on.
    """
    path = tmp_path / "h.db"
    await make(path)
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
        async with asyncio.timeout(3):
            rows = [await anext(feed) for _ in range(5)]
            await wait_until_stored(journal)
        assert [row.id for row in rows] == list(range(301, 306))
        assert journal.alarm is not None
        assert set(await numbers(journal)) >= {1001, 1002, 1003, 1004}
    async with journal_at(path) as journal:
        assert (journal.tables.is_admitted(7), journal.tables.noted("table")) == (True, "x")
        assert journal.alarm is None
