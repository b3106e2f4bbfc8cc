"""The writer: what becomes a row, what is refused, and that a batch counts once."""

import sqlite3

import attrs
import pytest
from support.made_readings import MAC, T0, journal_at, numbers, reading

from proxy_listener.history import Journal, Sealed
from proxy_listener.history.file import open_store
from proxy_listener.history.retention import remove_older
from proxy_listener.history.writer import Batch, Writer

NAN = float("nan")


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


async def test_a_clash_loses_no_other_row(tmp_path):
    """The same authenticated frame twice is one row, which feeds get once; the other rows of the batch are there."""
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
async def test_a_row_that_cannot_be_stored_is_refused_alone(bad):
    """It is counted; the rows around it are stored, and its identity is not known."""
    async with journal_at(None) as journal:
        journal.append(reading(1))
        journal.append(reading(2, **bad))
        journal.append(reading(3))
        await journal.flush()
        assert await numbers(journal) == [1, 3]
        assert journal.storage.refused == 1
        assert not journal.known(MAC, reading(2).identity)


async def test_ids_only_grow(tmp_path):
    """Also over restarts, and after every row was removed."""
    path = tmp_path / "h.db"
    async with journal_at(path) as journal:
        feed = journal.feed()
        journal.append(reading(1))
        await journal.flush()
        (first,) = feed.take()
        await journal.fold()
        journal._writer.change(remove_older, T0 + 1e6, T0)
    async with journal_at(path) as journal:
        feed = journal.feed()
        journal.append(reading(2))
        await journal.flush()
        assert feed.take()[0].id > first.id


def test_frames_without_a_key_are_bounded():
    """Beyond its own limit a device loses its oldest frames; beyond the limit of all, new frames are refused."""
    writer = Writer(open_store(None), sealed_per_device=10, sealed_limit=15 * (64 + 100))
    flood = [Sealed(0, 1, T0 + number, "hall", -60, 0, number.to_bytes(100, "big"), 0xFE95) for number in range(25)]
    other = [Sealed(0, 2, T0, "hall", -60, 0, number.to_bytes(100, "big"), 0xFE95) for number in range(9)]
    writer.commit(Batch(1, seal=flood))
    writer.commit(Batch(2, seal=other))
    assert writer.sealed_count == {1: 10, 2: 5}
    assert writer.sealed_since == {1: T0 + 15, 2: T0}
    assert writer.sealed_lost == 15 + 4
    kept = writer.store.connection.execute("SELECT data FROM sealed WHERE mac = 1 ORDER BY id").fetchall()
    assert [int.from_bytes(data, "big") for (data,) in kept] == list(range(15, 25))
    writer.store.close()
