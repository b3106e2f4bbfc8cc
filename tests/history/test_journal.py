"""The journal in good weather: commit, then tell; identities; what a restart finds."""

import asyncio
import sqlite3
import stat
import time
from contextlib import closing

import attrs
import pytest
from support.made_readings import MAC, T0, journal_at, numbers, reading

from proxy_listener.history import Hearing, Journal, Known, Latest
from proxy_listener.history.retention import remove_older
from proxy_listener.model.reading import Event

NAN = float("nan")


async def test_what_a_feed_tells_is_committed(tmp_path):
    """At the moment a feed gives a row, a connection of its own already finds it in the file."""
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


async def test_nothing_is_told_before_the_commit():
    """append alone moves no feed and no cursor; flush does, in order."""
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


async def test_a_quiet_journal_commits_at_once(tmp_path):
    """A single reading after a pause is told long before the 100 ms that a busy journal waits: the best of five."""
    async with journal_at(tmp_path / "h.db") as journal:
        feed = journal.feed()
        journal.append(reading(0))
        await anext(feed)
        took = []
        for number in range(1, 6):
            await asyncio.sleep(0.11)
            begun = time.monotonic()
            journal.append(reading(number))
            await anext(feed)
            took.append(time.monotonic() - begun)
        assert min(took) < 0.05


async def test_known_from_the_first_moment_and_for_ever(tmp_path):
    """An identity is known while it waits, after the commit, and after a restart; another device's is not."""
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


async def test_the_highest_counter_under_a_bindkey_is_known_from_the_first_moment_and_for_ever(tmp_path):
    """Of one device and one key, by the counter as a number, while it waits, committed, and after a restart."""
    other = b"KEY!" + (900).to_bytes(4, "big") + b"tag!"
    async with journal_at(tmp_path / "h.db") as journal:
        assert journal.highest(MAC, b"key!") == -1
        for number in (255, 70_000, 256):
            journal.append(reading(number))
        journal.append(reading(1, identity=other))
        journal.append(reading(80_000, mac=MAC + 1))
        waiting = journal.highest(MAC, b"key!"), journal.highest(MAC, b"KEY!"), journal.highest(MAC + 1, b"key!")
        await journal.flush()
        journal.append(reading(7))
        assert waiting == (70_000, 900, 80_000)
        assert journal.highest(MAC, b"key!") == 70_000
    async with journal_at(tmp_path / "h.db") as journal:
        assert journal.highest(MAC, b"key!") == 70_000
        assert journal.highest(MAC, b"KEY!") == 900
        assert journal.highest(MAC, b"none") == -1


async def test_a_clash_loses_no_other_row(tmp_path):
    """The same authenticated frame twice is one row and is told once; its neighbours in the batch are all there."""
    async with journal_at(tmp_path / "h.db") as journal:
        feed = journal.feed()
        for number in (1, 2, 1, 3):
            journal.append(reading(number))
        await journal.flush()
        assert [row.reading.counter for row in feed.take()] == [1, 2, 3]
        assert await numbers(journal) == [1, 2, 3]
        assert journal.storage.clashes == 1
        assert journal.reader.devices()[0].readings == 3


async def test_claimed_identities_are_not_unique():
    """Plain frames come again with the same bytes: both rows stay, and the index does not know them."""
    plain = reading(1, trust="claimed")
    async with journal_at(None) as journal:
        journal.append(plain)
        journal.append(attrs.evolve(plain, time=T0 + 600))
        await journal.flush()
        assert len(await numbers(journal)) == 2
        assert not journal.known(MAC, plain.identity)


async def test_a_log_entry_is_kept_once():
    """Rows read from a sensor's own log are unique by device, source and time."""
    entry = reading(1, source="history", trust="claimed", identity=b"", counter=None)
    async with journal_at(None) as journal:
        for again in (entry, entry, attrs.evolve(entry, time=T0 + 3600), attrs.evolve(entry, source="read")):
            journal.append(again)
        await journal.flush()
        assert len(await numbers(journal)) == 3


@pytest.mark.parametrize(
    "bad",
    [{"values": {"temperature": NAN}}, {"time": NAN}, {"counter": 1 << 70}, {"name": "\ud800"}, {"values": object()}],
)
async def test_a_row_that_cannot_be_stored_harms_nobody(bad):
    """Refused and counted; the rows around it are stored, its identity is not used up."""
    async with journal_at(None) as journal:
        journal.append(reading(1))
        journal.append(reading(2, **bad))
        journal.append(reading(3))
        await journal.flush()
        assert await numbers(journal) == [1, 3]
        assert journal.storage.refused == 1
        assert not journal.known(MAC, reading(2).identity)


async def test_what_the_duplicate_rule_begins_with(tmp_path):
    """newest gives the last 64 advertised rows of one device, oldest first, without reads and log entries."""
    async with journal_at(tmp_path / "h.db") as journal:
        for number in range(100):
            journal.append(reading(number, late=number == 99))
        journal.append(reading(200, source="read", identity=b"", counter=None, trust="claimed"))
        journal.append(reading(201, mac=MAC + 1))
    journal = Journal(tmp_path / "h.db")
    newest = journal.reader.newest(MAC)
    assert [known.counter for known in newest] == list(range(36, 100))
    assert newest[-1] == Known(reading(99).identity, 99, "authenticated", T0 + 99, late=True)
    assert {device.mac: device.readings for device in journal.reader.devices()} == {MAC: 101, MAC + 1: 1}
    await journal.close()


async def test_of_a_fast_device_that_proves_nothing_ten_minutes_are_given(tmp_path):
    """More than 64 rows, where they may still be repeated; of one that proves its frames, the index knows them all."""
    async with journal_at(tmp_path / "h.db") as journal:
        for number in range(1000):
            journal.append(reading(number, trust="claimed", identity=b"P" + number.to_bytes(5, "big")))
            journal.append(reading(number, mac=MAC + 1))
    journal = Journal(tmp_path / "h.db")
    assert [known.counter for known in journal.reader.newest(MAC)] == list(range(400, 1000))
    assert len(journal.reader.newest(MAC + 1)) == 64
    await journal.close()


async def test_live_state_survives_and_is_not_moved_by_old_values():
    """Stale quantities and entries of a sensor's log are history only."""
    async with journal_at(None) as journal:
        journal.append(reading(10, values={"temperature": 21, "battery": 80}))
        journal.append(
            reading(9, late=True, values={"temperature": 5.5, "humidity": 40.5}, stale=frozenset({"temperature"}))
        )
        journal.append(reading(11, source="history", values={"temperature": -3}, identity=b"", counter=None))
        await journal.flush()
        assert journal.reader.latest(MAC) == {
            "temperature": Latest(21, T0 + 10, 10),
            "battery": Latest(80, T0 + 10, 10),
            "humidity": Latest(40.5, T0 + 9, 9),
        }


async def test_small_facts_survive_a_restart(tmp_path):
    """Admissions, notes and hours of hearing are there again; hearing adds up."""
    path = tmp_path / "h.db"
    async with journal_at(path) as journal:
        journal.tables.admit(1, T0)
        journal.tables.admit(2, T0 + 86_400)
        journal.tables.note("read.A4", "17")
        journal.tables.note("gone", "x")
        journal.tables.note("gone", None)
        journal.tables.record_hearing([Hearing("kitchen", MAC, 5, 3, 1, 4), Hearing("kitchen", MAC, 5, 1, 0, 1)])
        await journal.flush()
        journal.tables.record_hearing([Hearing("kitchen", MAC, 5, 2, 1, 2), Hearing("hall", MAC, 4, 1, 1, 1)])
    async with journal_at(path) as journal:
        assert (journal.tables.is_admitted(1), journal.tables.is_admitted(3)) == (True, False)
        assert journal.tables.admitted(int(T0 // 86_400)) == 1
        assert (journal.tables.noted("read.A4"), journal.tables.noted("gone")) == ("17", None)
        hall, kitchen = Hearing("hall", MAC, 4, 1, 1, 1), Hearing("kitchen", MAC, 5, 6, 2, 7)
        assert await journal.reader.hearing(0) == [hall, kitchen]
        assert await journal.reader.hearing(5 * 3600) == [kitchen]


async def test_ids_only_grow(tmp_path):
    """Also over restarts, and after everything was thinned away."""
    path = tmp_path / "h.db"
    async with journal_at(path) as journal:
        feed = journal.feed()
        journal.append(reading(1))
        await journal.flush()
        (first,) = feed.take()
        journal._writer.remove(remove_older, T0 + 1e6, T0)
    async with journal_at(path) as journal:
        feed = journal.feed()
        journal.append(reading(2))
        await journal.flush()
        assert feed.take()[0].id > first.id


async def test_the_file_is_private(tmp_path):
    """Mode 0600, also of what SQLite lays beside it, and of a file that was more open before."""
    path = tmp_path / "h.db"
    await Journal(path).close()
    path.chmod(0o644)
    async with journal_at(path) as journal:
        journal.append(reading(1))
        await journal.flush()
        files = list(tmp_path.iterdir())
        assert len(files) == 3
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_a_commit_under_way_outlives_the_writer_task(tmp_path):
    """run() cancelled in the middle of a commit: close() still waits for it, tells it, and writes the rest."""
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


async def test_thinning_forgets_readings_but_no_identity(tmp_path):
    """What is older than the limit goes, in every table; the frame is still known, and the newer rows stay."""
    async with journal_at(tmp_path / "h.db") as journal:
        for number in range(1500):
            journal.append(reading(number, events=(Event("button", "press"),)))
        journal.append(reading(0, mac=MAC + 1))
        journal.tables.record_hearing([Hearing("hall", MAC, 1, 1, 1, 1)])
        journal.tables.seal(MAC, T0, "hall", -60, 0, b"old")
        journal.tables.seal(MAC, T0 + 1400, "hall", -60, 0, b"new")
        await journal.flush()
        while journal._writer.remove(remove_older, T0 + 1400, T0 + 1)[1]:
            pass
        assert await numbers(journal) == list(range(1400, 1500))
        assert journal.known(MAC, reading(0).identity)
        assert [device.mac for device in journal.reader.devices()] == [MAC]
        assert await journal.reader.hearing(0) == []
        assert [frame.data async for frame in journal.reader.sealed(MAC)] == [b"new"]
        slots = await journal.reader.points(MAC, "temperature", T0 - 6000, T0 + 6000, 20)
        assert 0 < sum(point.samples for point in slots) <= 700
