"""The file: damaged, foreign, torn, private."""

import random
import sqlite3
import stat

import pytest
from structlog.testing import capture_logs
from support.made_readings import MAC, journal_at, numbers, reading

from proxy_listener.history import Journal

SHORT_AND_LONG_DAMAGES = [pytest.param(50, id="50"), pytest.param(200, id="200", marks=pytest.mark.long)]


async def make(path, readings=300):
    async with journal_at(path) as journal:
        for number in range(readings):
            journal.append(reading(number))


async def assert_usable(path):
    """The journal starts, takes a reading, and has it after another start. The alarm of the first start."""
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
    """Break the file in one of five ways, at a random place."""
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
async def test_a_damaged_file_is_put_aside_and_the_journal_works(tmp_path, times):
    """Whatever was done to the file, the journal works. A file that was put aside is kept, and an alarm names it."""
    dice, aside = random.Random(times), 0
    await make(tmp_path / "sound.db")
    sound = (tmp_path / "sound.db").read_bytes()
    for number in range(times):
        place = tmp_path / str(number)
        place.mkdir()
        (place / "h.db").write_bytes(sound)
        damage(place / "h.db", dice)
        alarm = await assert_usable(place / "h.db")
        kept = list(place.glob("h.db.damaged-*"))
        aside += len(kept) > 0
        if alarm is not None:
            assert alarm.startswith("history lost: h.db")
            assert kept[0].name in alarm
    assert aside > times // 3


async def test_a_foreign_file_is_put_aside_whole(tmp_path):
    """Another program's database lies beside the new history, byte for byte."""
    path = tmp_path / "h.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE reading (id)")
    connection.close()
    before = path.read_bytes()
    alarm = await assert_usable(path)
    assert "not a history of proxy-listener" in alarm
    (aside,) = tmp_path.glob("h.db.damaged-*")
    assert aside.read_bytes() == before


async def test_a_history_with_a_foreign_trigger_is_put_aside(tmp_path):
    """A trigger in the file is never executed."""
    path = tmp_path / "h.db"
    await make(path)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TRIGGER t AFTER INSERT ON reading BEGIN DELETE FROM reading; END")
    connection.close()
    assert "has other tables" in await assert_usable(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 8192, b"not a database at all" * 1000])
async def test_a_file_that_is_not_a_database_is_put_aside(tmp_path, content):
    """Empty, zeros, text: put aside, and a new history begins."""
    path = tmp_path / "h.db"
    path.write_bytes(content)
    assert await assert_usable(path) is not None


async def test_of_a_torn_write_ahead_log_only_the_end_is_lost(tmp_path):
    """The log is cut in the middle: the rows in the file and in the sound part of the log are there, without alarm."""
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


async def test_a_history_that_is_a_link_keeps_the_mode_of_its_file(tmp_path):
    """It may lie on another disk, and be read by others on purpose: a warning says so, and nothing is changed."""
    async with journal_at(tmp_path / "elsewhere.db") as journal:
        journal.append(reading(1))
    (tmp_path / "elsewhere.db").chmod(0o644)
    (tmp_path / "h.db").symlink_to(tmp_path / "elsewhere.db")
    with capture_logs() as logged:
        async with journal_at(tmp_path / "h.db") as journal:
            journal.append(reading(2))
            await journal.flush()
            assert await numbers(journal) == [1, 2]
    assert (tmp_path / "elsewhere.db").stat().st_mode & 0o777 == 0o644
    assert [entry["event"] for entry in logged] == ["the history is a link to a file that others can read"]


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
