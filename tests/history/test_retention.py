"""Retention: which rows are removed and which never, and that commits do not wait for it."""

import asyncio
import random
import sqlite3
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import attrs
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support.killing import killed
from support.made_readings import FLOODED, MAC, T0, journal_at, numbers, reading

from proxy_listener.history import Journal
from proxy_listener.history.retention import BYTES, GIVERS, Holding, Holdings, remove_older
from proxy_listener.model.history import Reception
from proxy_listener.model.reading import Event
from proxy_listener.model.settings import HistorySettings

SMALL = 1_000_000
SLACK = 700_000
"""What the file may be larger for a moment: the indexes of 4,000 rows, and what is committed before room is made."""

WARNING = "history has reached max_size; the oldest readings of the devices with the most readings are removed"


def plain(number, mac=FLOODED):
    return reading(number, mac=mac, trust="claimed", name="flooded")


async def flood(journal, count, first=1_000_000):
    """So many plain frames in one name; at most a few hundred wait at a time."""
    for number in range(first, first + count):
        journal.append(plain(number))
        if number % 400 == 0:
            await journal.flush()
    await journal.flush()


async def settled(journal, max_size=SMALL):
    """Returns when the size is within its bound."""
    async with asyncio.timeout(10):
        while journal.storage.size > max_size:  # noqa: ASYNC110  the size is a number without an event
            await asyncio.sleep(0.01)


async def counts(journal):
    return Counter([row.reading.mac async for row in journal.reader.export()])


async def test_a_flood_in_one_name_costs_only_that_name_its_rows(tmp_path):
    """32,000 plain frames in one name, eight times what fits: the file keeps its size, every row of the others is
    there, of the flood the newest are, and they fill the room.
    """
    path, largest = tmp_path / "h.db", 0
    async with journal_at(path, HistorySettings(max_size=SMALL)) as journal:
        for number in range(1000):
            journal.append(reading(number, mac=MAC + number % 3))
        await flood(journal, 200)
        for part in range(8):
            await flood(journal, 4000, 2_000_000 + part * 4000)
            largest = max(largest, path.stat().st_size)
        await settled(journal)
        assert largest <= SMALL + SLACK
        assert journal.storage.size > SMALL - SLACK
        left = await counts(journal)
        assert [left[MAC + one] for one in range(3)] == [334, 333, 333]
        flooded = [number for number in await numbers(journal) if number >= 1_000_000]
        assert flooded == list(range(2_032_000 - len(flooded), 2_032_000))
        assert len(flooded) > 2000
        assert all(journal.known(MAC + number % 3, reading(number).identity) for number in range(1000))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_flood_in_many_names_is_bounded_as_well(tmp_path):
    """20,000 plain frames in 500 names: the size holds, and no name has less than half of the rows of another."""
    path, largest = tmp_path / "h.db", 0
    async with journal_at(path, HistorySettings(max_size=SMALL)) as journal:
        for number in range(20_000):
            journal.append(attrs.evolve(plain(number, mac=FLOODED + number % 500), time=T0 + number / 1000))
            if number % 200 == 0:
                await journal.flush()
                largest = max(largest, path.stat().st_size)
        await journal.flush()
        await settled(journal)
        left = await counts(journal)
    assert largest <= SMALL + SLACK
    assert len(left) == 500
    assert max(left.values()) <= 2 * min(left.values()) + 2


async def test_a_flood_is_bounded_although_counting_has_to_wait(tmp_path):
    """Rows are counted at the start: the size holds also where no thread is free to count when the bound is reached."""
    path, largest, gate = tmp_path / "h.db", 0, threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    async with journal_at(path, HistorySettings(max_size=SMALL)) as journal:
        for _ in range(5):
            await asyncio.sleep(0)
        blocked = loop.run_in_executor(None, gate.wait)
        try:
            for part in range(100):
                await flood(journal, 200, part * 200)
                largest = max(largest, path.stat().st_size, journal.storage.size)
        finally:
            gate.set()
        await blocked
    assert SMALL < largest <= SMALL + SLACK


async def test_a_commit_waits_for_one_step_of_making_room_at_most(tmp_path):
    """While room is made for a flood, an honest reading is committed by the third transaction: the step under way, at
    most one that was begun before it, and its own.
    """
    statements = []
    async with journal_at(tmp_path / "h.db", HistorySettings(max_size=SMALL)) as journal:
        await flood(journal, 9000)
        journal._store.connection.set_trace_callback(statements.append)
        for number in range(21):
            await flood(journal, 200, 2_000_000 + number * 200)
            before = statements.count("COMMIT")
            journal.append(reading(number))
            assert await journal.flush()
            assert statements.count("COMMIT") - before <= 3
        journal._store.connection.set_trace_callback(None)
        assert any(statement.startswith("DELETE FROM reading") for statement in statements)
        assert journal.storage.size <= SMALL + SLACK


async def test_identities_are_never_removed(tmp_path):
    """Authenticated frames whose rows were removed are known, and are not stored again."""
    path = tmp_path / "h.db"
    async with journal_at(path, HistorySettings(max_size=SMALL)) as journal:
        for number in range(12_000):
            journal.append(reading(number))
            if number % 400 == 0:
                await journal.flush()
        await journal.flush()
        await settled(journal)
        found = await numbers(journal)
        assert found == list(range(12_000 - len(found), 12_000))
        assert 500 < len(found) < 5000
    async with journal_at(path, HistorySettings(max_size=SMALL)) as journal:
        assert all(journal.known(MAC, reading(number).identity) for number in range(12_000))
        journal.append(reading(0))
        await journal.flush()
        assert journal.storage.clashes == 1


async def test_a_smaller_bound_takes_effect_at_the_start(tmp_path):
    """Without any new reading: rows are removed until the new bound holds, and one warning says how many."""
    path = tmp_path / "h.db"
    async with journal_at(path) as journal:
        await flood(journal, 9000)
        assert journal.storage.size > SMALL
    with capture_logs() as logged:
        async with journal_at(path, HistorySettings(max_size=SMALL)) as journal:
            async with asyncio.timeout(30):
                # The size is within its bound before the last step is counted; the warning comes after it.
                while not any(entry["event"] == WARNING for entry in logged):  # noqa: ASYNC110  a log has no event
                    await asyncio.sleep(0.01)
            removed = 9000 - len(await numbers(journal))
            await flood(journal, 3000, 3_000_000)
            await settled(journal)
    (warning,) = [entry for entry in logged if entry["event"] == WARNING]
    assert warning["readings"] == removed > 0
    assert warning["most"] == {"C4:7C:8D:6A:3B:11": removed}
    assert (warning["max_size"], warning["log_level"]) == (SMALL, "warning")
    assert "raise [history] max_size" in warning["help"]


async def test_summaries_and_hours_of_hearing_are_removed_where_they_are_most(tmp_path):
    """Where there is no reading to remove, the oldest slots and hours are removed; the newest stay."""
    path = tmp_path / "h.db"
    async with journal_at(path) as journal:
        for slot in range(1500):
            values = {f"q{one}": slot for one in range(20)}
            journal.append(reading(slot, time=T0 + slot * 600, trust="claimed", values=values))
            if slot % 200 == 0:
                await journal.flush()
        journal.tables.record_reception(
            Reception("hall", mac, hour, 1, 1, 1) for hour in range(1500) for mac in range(20)
        )
        await journal.flush()
        await journal.fold()
        journal._writer.change(remove_older, -1.0, 0.0)
        before = journal.storage.size
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM reading")
    async with journal_at(path, HistorySettings(max_size=before // 4)) as journal:
        await settled(journal, before // 4)
        heard = await journal.reader.reception(0)
        points = await journal.reader.points(MAC, "q7", T0, T0 + 1500 * 600, 500)
        assert 0 < len(heard) < 20_000
        assert heard[-1].hour == 1499
        assert 0 < sum(point.samples for point in points) < 1200
        assert points[-1].high == 1499


async def test_nothing_left_to_remove_is_logged_once(tmp_path):
    """Identities alone are more than the bound: nothing spins, and feeds still get readings."""
    with capture_logs() as logged:
        async with journal_at(tmp_path / "h.db", HistorySettings(max_size=100_000)) as journal:
            for number in range(6000):
                journal.append(reading(number, values={}))
                if number % 400 == 0:
                    await journal.flush()
            await journal.flush()
            feed = journal.feed()
            journal.append(reading(7000))
            assert (await anext(feed)).reading.counter == 7000
            assert journal.storage.ok
            async with asyncio.timeout(10):
                while await numbers(journal) not in ([7000], []):  # the newest row is not indexed yet
                    pass
    assert len([entry for entry in logged if entry["log_level"] == "warning"]) == 1


amounts = st.dictionaries(
    st.builds(Holding, st.sampled_from(["reading", "summary"]), st.integers(0, 30)), st.integers(1, 5000), max_size=40
)


@given(amounts, st.integers(1, 600))
def test_the_largest_holdings_give(rows, limit):
    """No plan removes more rows than asked for, or more than half of a holding (rounded up); no holding gives that is
    less than half as large as the largest; the largest always gives.
    """
    plan = Holdings(rows).plan(limit)
    sizes = {holding: count * BYTES[holding.table] for holding, count in rows.items()}
    assert sum(count for _, count in plan) <= limit
    assert len(plan) <= GIVERS
    for holding, count in plan:
        assert 0 < count <= (rows[holding] + 1) // 2
        assert sizes[holding] * 2 >= max(sizes.values())
    assert bool(plan) == bool(rows)
    assert not plan or sizes[plan[0][0]] == max(sizes.values())


async def test_kill_9_while_room_is_made_damages_nothing(tmp_path):
    """The file opens whole and without alarm; every authenticated frame that the feed got is known, no row is there
    twice, and the newest rows are there.
    """
    dice, path, told = random.Random(4), tmp_path / "h.db", []
    for round_ in range(4):
        told += await asyncio.to_thread(killed, path, round_ * 1_000_000, dice.randrange(7000, 9000), SMALL)
        journal = Journal(path)
        assert journal.alarm is None
        found = await numbers(journal)
        assert len(found) == len(set(found))
        assert set(told[-500:]) <= set(found)
        assert all(journal.known(MAC, reading(number).identity) for number in told if number % 7 == 0)
        assert journal.storage.size <= SMALL + SLACK
        await journal.close()
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(found) < len(told) - 5000


async def test_what_is_too_old_goes_but_no_identity(tmp_path):
    """Older rows of every table are removed; their frames are still known, and newer rows stay."""
    async with journal_at(tmp_path / "h.db") as journal:
        for number in range(1500):
            journal.append(reading(number, events=(Event("button", "press"),)))
        journal.append(reading(0, mac=MAC + 1))
        journal.tables.record_reception([Reception("hall", MAC, 1, 1, 1, 1)])
        journal.tables.seal(MAC, T0, "hall", -60, 0, b"old", 0xFE95)
        journal.tables.seal(MAC, T0 + 1400, "hall", -60, 0, b"new", 0xFE95)
        await journal.flush()
        await journal.fold()
        while journal._writer.change(remove_older, T0 + 1400, T0 + 1)[1]:
            pass
        assert await numbers(journal) == list(range(1400, 1500))
        assert journal.known(MAC, reading(0).identity)
        assert [device.mac for device in journal.reader.devices()] == [MAC]
        assert await journal.reader.reception(0) == []
        assert [frame.data async for frame in journal.reader.sealed(MAC)] == [b"new"]
        slots = await journal.reader.points(MAC, "temperature", T0 - 6000, T0 + 6000, 20)
        assert 0 < sum(point.samples for point in slots) <= 700
