"""The small tables: admissions, notes, hours of hearing, frames without a key."""

import pytest
from support.made_readings import MAC, T0, journal_at

from proxy_listener.history.tables import SEAL_WAITING
from proxy_listener.model.history import Reception


@pytest.fixture
async def journal(tmp_path):
    async with journal_at(tmp_path / "h.db") as journal:
        yield journal


async def test_the_small_tables_survive_a_restart(tmp_path):
    """Admissions, notes and hours of hearing are there again; hearing adds up."""
    path = tmp_path / "h.db"
    async with journal_at(path) as journal:
        journal.tables.admit(1, T0)
        journal.tables.admit(2, T0 + 86_400)
        journal.tables.note("read.A4", "17")
        journal.tables.note("gone", "x")
        journal.tables.note("gone", None)
        journal.tables.record_reception([Reception("kitchen", MAC, 5, 3, 1, 4), Reception("kitchen", MAC, 5, 1, 0, 1)])
        await journal.flush()
        journal.tables.record_reception([Reception("kitchen", MAC, 5, 2, 1, 2), Reception("hall", MAC, 4, 1, 1, 1)])
    async with journal_at(path) as journal:
        assert (journal.tables.admitted(1), journal.tables.admitted(3)) == (T0, None)
        assert journal.tables.admissions(T0 + 1) == [T0 + 86_400]
        assert (journal.tables.noted("read.A4"), journal.tables.noted("gone")) == ("17", None)
        hall, kitchen = Reception("hall", MAC, 4, 1, 1, 1), Reception("kitchen", MAC, 5, 6, 2, 7)
        assert await journal.reader.reception(0) == [hall, kitchen]
        assert await journal.reader.reception(5 * 3600) == [kitchen]


async def test_frames_without_a_key_wait_for_it(journal):
    """Each frame once, oldest first, per device; gone when opened."""
    for number in range(5):
        journal.tables.seal(MAC, T0 + number, "hall", -60, 0, b"frame%d" % number, 0xFE95)
        journal.tables.seal(MAC, T0 + number, "kitchen", -70, 0, b"frame%d" % number, 0xFE95)
    journal.tables.seal(MAC + 1, T0, "hall", -60, 1, b"frame0", 0xFE95)
    await journal.flush()
    frames = [frame async for frame in journal.reader.sealed(MAC)]
    assert [frame.data for frame in frames] == [b"frame%d" % number for number in range(5)]
    assert frames[0][1:] == (MAC, T0, "hall", -60, 0, b"frame0", 0xFE95)
    assert journal.sealed_counts == {MAC: 5, MAC + 1: 1}
    journal.tables.unseal(MAC, [frame.id for frame in frames[:4]])
    journal.tables.unseal(MAC, [frames[4].id + 1])
    await journal.flush()
    assert [frame.data async for frame in journal.reader.sealed(MAC)] == [b"frame4"]
    assert journal.sealed_counts == {MAC: 1, MAC + 1: 1}


async def test_frames_without_a_key_that_wait_for_a_commit_are_bounded(journal):
    """A flood between two commits: the first 2,000 frames are kept, the others are counted as lost."""
    for number in range(SEAL_WAITING + 7):
        journal.tables.seal(MAC, T0, "hall", -60, 0, number.to_bytes(4, "big"), 0xFE95)
    await journal.flush()
    assert (journal.sealed_counts, journal.sealed_lost) == ({MAC: SEAL_WAITING}, 7)


async def test_forged_frames_do_not_push_out_what_is_kept_of_a_device(journal):
    """R9: 300 genuine frames of a day, then 10,500 forged ones within 20 minutes, then genuine ones again."""
    for number in range(300):
        journal.tables.seal(MAC, T0 + 288 * number, "hall", -60, 0, b"genuine%d" % number, 0xFE95)
    for number in range(10_500):
        journal.tables.seal(MAC, T0 + 86_400 + number / 9, "hall", -60, 0, b"forged%d" % number, 0xFE95)
        if number % 1000 == 0:
            await journal.flush()
    for number in range(300, 310):
        journal.tables.seal(MAC, T0 + 90_000 + 288 * number, "hall", -60, 0, b"genuine%d" % number, 0xFE95)
    await journal.flush()
    kept = [frame.data async for frame in journal.reader.sealed(MAC)]
    assert [data for data in kept if data.startswith(b"genuine")] == [b"genuine%d" % number for number in range(310)]
    assert len(kept) + journal.sealed_lost == 310 + 10_500


async def test_an_admission_counts_from_its_first_time(journal):
    """A device that is admitted twice is admitted once."""
    journal.tables.admit(MAC, 86_400.0 * 3 + 5)
    journal.tables.admit(MAC, 86_400.0 * 4)
    assert journal.tables.admitted(MAC) == 86_400.0 * 3 + 5
    assert journal.tables.admissions(86_400.0 * 3 + 6) == []


async def test_nothing_waits_where_nothing_changed(journal):
    """The same note again, or an empty list of frames, causes no commit of its own."""
    journal.tables.note("name", "value")
    assert journal.tables.waiting
    await journal.flush()
    journal.tables.note("name", "value")
    journal.tables.note("other", None)
    journal.tables.unseal(MAC, [])
    assert not journal.tables.waiting
