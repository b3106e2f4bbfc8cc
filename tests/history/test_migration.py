"""Files of other formats: older ones are migrated, newer ones are refused, and an interruption harms neither."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support import sample_history as sample
from support.disk import full_disk
from support.killing import killed_half_way

from proxy_listener.history import Journal, queries
from proxy_listener.history.file import open_store
from proxy_listener.history.migration import MIGRATIONS, VERSION, FormatError, Migration
from proxy_listener.model.errors import ConfigError

FILES = Path(sample.__file__).parents[1] / "data" / "history"


def add_column(connection):
    connection.execute("ALTER TABLE reading ADD COLUMN made_up TEXT NOT NULL DEFAULT ''")


def rename_all(connection):
    connection.execute("UPDATE reading SET name = upper(name)")


def write_much(connection):
    rename_all(connection)
    connection.execute("INSERT INTO note VALUES ('long', hex(zeroblob(300000)))")


def fail(connection):
    rename_all(connection)
    connection.execute("INSERT INTO no_such_table VALUES (1)")


NEXT, LAST = VERSION + 1, VERSION + 2
"""Formats to come, so that these tests stay as they are when there is a next one."""

BACKUP = f"history.db.v{VERSION}-backup"
NEW_COLUMN = (*MIGRATIONS, Migration(NEXT, add_column, rewrites=False))
REWRITTEN = (*NEW_COLUMN, Migration(LAST, rename_all, rewrites=True))
RENAMED = (*MIGRATIONS, Migration(NEXT, rename_all, rewrites=True))


@pytest.fixture
def path(tmp_path):
    """A history of the present format, by the program that first had it."""
    return Path(shutil.copyfile(FILES / f"v{VERSION}.db", tmp_path / "history.db"))


@contextmanager
def opened(path, migrations):
    store = open_store(path, migrations=migrations)
    try:
        yield store.connection
    finally:
        store.connection.close()


def format_of(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def readings(connection):
    return [row.reading for row in queries.after(connection, 0, 1000, 1000)]


def contents(path):
    """Every file beside the history, but the index of its write-ahead log, which each reader makes."""
    return {file.name: file.read_bytes() for file in path.parent.iterdir() if file.suffix != ".db-shm"}


async def assert_complete(path):
    """Everything that ``sample_history`` wrote is in the history, and it opened without alarm."""
    journal = Journal(path)
    assert (journal.alarm, journal.fresh) == (None, False)
    rows = [row async for row in journal.reader.export()]
    assert [row.id for row in sorted(rows, key=lambda row: row.id)] == list(range(1, len(sample.READINGS) + 1))
    assert [row.reading for row in sorted(rows, key=lambda row: row.id)] == list(sample.READINGS)
    assert [journal.known(reading.mac, reading.identity) for reading in sample.READINGS] == [
        reading.trust == "authenticated" for reading in sample.READINGS
    ]
    assert {device.mac: device.readings for device in journal.reader.devices()} == {
        sample.MAC: 3,
        sample.BUTTON: 2,
        sample.PLANT: 3,
    }
    latest = journal.reader.latest(sample.MAC)
    assert {name: value.value for name, value in latest.items()} == {"temperature": 22, "humidity": 48, "battery": 80}
    (point,) = await journal.reader.points(sample.PLANT, "temperature", sample.T0 - 86_400, sample.T0 + 86_400, 1)
    assert (point.low, point.high, point.samples) == (18.25, 21.5, 3)
    assert await journal.reader.reception(0) == sample.HEARING
    assert [tuple(frame)[1:] async for frame in journal.reader.sealed(sample.UNKNOWN)] == sample.SEALED
    assert {name: journal.tables.noted(name) for name in sample.NOTES} == sample.NOTES
    assert [journal.tables.admitted(mac) is not None for mac in (sample.BUTTON, sample.MAC)] == [True, False]
    cursor = journal.cursor(sample.CURSOR)
    assert [row.id for row in await cursor.batch(100)] == list(range(sample.CONFIRMED + 1, len(rows) + 1))
    await journal.close()


def test_steps_are_numbered_without_a_gap():
    """Step by step from format 1 to the present one."""
    assert [step.version for step in MIGRATIONS] == list(range(2, VERSION + 1))


@pytest.mark.parametrize("version", range(1, VERSION + 1))
async def test_a_history_of_every_format_opens_with_everything_in_it(tmp_path, version):
    """A file that the program of that format wrote. For a new format make one: see tests/data/README.md."""
    file = FILES / f"v{version}.db"
    assert file.exists(), "SQLite would make an empty file in its place"
    assert format_of(file) == version
    await assert_complete(Path(shutil.copyfile(file, tmp_path / "history.db")))


async def test_the_sample_of_the_next_format_is_as_complete(tmp_path):
    """What sample_history writes today is what the tests of the kept files demand."""
    await sample.write(tmp_path / "history.db")
    await assert_complete(tmp_path / "history.db")


async def test_a_new_column_keeps_every_row_and_needs_no_copy(path):
    """One step: all readings are there, the column has its default, and nothing else lies beside the file."""
    with opened(path, NEW_COLUMN) as connection:
        assert readings(connection) == list(sample.READINGS)
        assert connection.execute("SELECT DISTINCT made_up FROM reading").fetchall() == [("",)]
    assert format_of(path) == NEXT
    assert [file.name for file in path.parent.iterdir()] == ["history.db"]
    with opened(path, NEW_COLUMN) as connection:
        assert readings(connection) == list(sample.READINGS)


async def test_a_step_that_rewrites_leaves_the_old_file_beside_the_new_one(path):
    """Two steps: the rows are rewritten, and the copy of before is a whole history of its own."""
    with capture_logs() as logged, opened(path, REWRITTEN) as connection:
        assert {reading.name for reading in readings(connection)} == {"BEDROOM CLIMATE", "KüCHE ☂", "FICUS"}
    assert format_of(path) == LAST
    (backup,) = {file for file in path.parent.iterdir() if file != path}
    assert (backup.name, format_of(backup), backup.stat().st_mode & 0o777) == (
        f"history.db.v{NEXT}-backup",
        NEXT,
        0o600,
    )
    with opened(backup, NEW_COLUMN) as connection:
        assert readings(connection) == list(sample.READINGS)
    assert [entry.get("backup") for entry in logged] == [None, None, f"history.db.v{NEXT}-backup"]


async def test_the_copy_is_a_history_that_this_program_opens(path):
    """Going back is to rename one file. An older copy of the same name is kept."""
    before = path.with_name(BACKUP)
    before.write_text("an older copy", encoding="utf-8")
    with opened(path, RENAMED):
        pass
    assert before.read_text(encoding="utf-8") == "an older copy"
    path.with_name(f"{BACKUP}-2").rename(path)
    await assert_complete(path)


@pytest.mark.parametrize("migrations", [NEW_COLUMN, REWRITTEN])
def test_a_migrated_history_has_the_tables_of_a_new_one(path, migrations):
    """To the letter, because a file is recognised by the text of its tables."""
    tables = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"
    with opened(path, migrations) as old, opened(path.with_name("new.db"), migrations) as new:
        assert old.execute(tables).fetchall() == new.execute(tables).fetchall()


def test_a_history_of_a_newer_program_is_refused_and_not_touched(tmp_path):
    """The error names the file, both formats and what to do; not a byte in the directory changes, no file comes."""
    path = tmp_path / "history.db"
    with opened(path, REWRITTEN):
        pass
    path.chmod(0o640)
    before = contents(path)
    with pytest.raises(FormatError) as caught:
        Journal(path)
    assert isinstance(caught.value, ConfigError)
    text = str(caught.value)
    assert text.startswith(f"{path}: was written by a newer proxy-listener: it has format {LAST}")
    assert f"knows formats up to {VERSION}" in text
    assert "Install the newer proxy-listener again, or move this file away" in text
    assert contents(path) == before
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_newer_history_that_ended_in_a_crash_is_refused_and_not_touched(path):
    """Also where the new format is in the write-ahead log only: the log is read, and not moved into the file."""
    crashed = path.with_name("crashed.db")
    with opened(path, MIGRATIONS):
        pass
    shutil.copyfile(path, crashed)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {NEXT}")
        shutil.copyfile(path.with_name("history.db-wal"), crashed.with_name("crashed.db-wal"))
    before = contents(crashed)
    with pytest.raises(FormatError, match=f"has format {NEXT}"):
        open_store(crashed)
    assert contents(crashed) == before


async def test_kill_9_in_the_middle_of_a_migration_leaves_a_history_of_the_old_format(path):
    """It opens with everything in it, and the next attempt ends well, whatever the first one left behind."""
    await asyncio.to_thread(killed_half_way, path)
    assert path.with_name(f"{BACKUP}.new").exists()
    assert path.with_name("history.db-wal").stat().st_size > 1_000_000
    shutil.copytree(path.parent, path.parent / "again")
    await assert_complete(path)
    again = path.parent / "again" / "history.db"
    with opened(again, RENAMED) as connection:
        assert len(readings(connection)) == len(sample.READINGS)
    assert {file.name for file in again.parent.iterdir()} == {"history.db", BACKUP}


async def test_a_copy_that_a_crash_left_incomplete_is_made_again(path):
    """What lies under the copy's unfinished name is replaced."""
    path.with_name(f"{BACKUP}.new").write_bytes(b"half of a copy")
    with opened(path, RENAMED):
        pass
    backup = path.with_name(BACKUP)
    assert {file.name for file in path.parent.iterdir()} == {path.name, backup.name}
    await assert_complete(backup)


@pytest.mark.parametrize(
    ("room", "migrations"),
    [
        pytest.param(-40_000, RENAMED, id="in the copy"),
        pytest.param(0, (*MIGRATIONS, Migration(NEXT, write_much, rewrites=True)), id="in the step"),
    ],
)
async def test_a_full_disk_leaves_the_history_as_it_was(path, room, migrations):
    """The error names both formats; no half copy stays; the history opens with everything in it."""
    with closing(sqlite3.connect(path)) as connection:  # larger than the index of a write-ahead log, 32 KiB
        connection.execute("INSERT INTO note VALUES ('padding', hex(zeroblob(50000)))")
        connection.commit()
    with (
        capture_logs(),
        full_disk(path, room),
        pytest.raises(FormatError, match=rf"from format {VERSION} to format {NEXT}: .*room"),
    ):
        open_store(path, migrations=migrations)
    assert {file.name for file in path.parent.iterdir()} == {"history.db"}
    await assert_complete(path)


async def test_a_disk_without_room_for_a_copy_is_noticed_before(path):
    """A file of 2 TB (sparse): the error says how much is needed and what there is."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(1 << 41)
    with capture_logs(), pytest.raises(FormatError, match=r"needs 4398047 MB for a while, and .* has \d+ MB free"):
        open_store(path, migrations=RENAMED)
    with path.open("r+b") as file:
        file.truncate(size)
    assert {file.name for file in path.parent.iterdir()} == {"history.db"}
    await assert_complete(path)


def test_a_step_that_fails_is_undone_and_the_steps_before_it_stay(path):
    """The first of two is done; the next program goes on from there."""
    with capture_logs(), pytest.raises(FormatError, match=f"from format {NEXT} to format {LAST}: no such table"):
        open_store(path, migrations=(*NEW_COLUMN, Migration(LAST, fail, rewrites=True)))
    assert format_of(path) == NEXT
    assert {file.name for file in path.parent.iterdir()} == {"history.db"}
    with opened(path, NEW_COLUMN) as connection:
        assert readings(connection) == list(sample.READINGS)
    with opened(path, REWRITTEN):
        assert format_of(path) == LAST


def test_damage_met_by_a_step_puts_the_file_aside(path):
    """As damage met anywhere else: the old file is kept, a new history of the newest format begins."""
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with capture_logs():
        store = open_store(path, check=False, migrations=RENAMED)
    store.connection.close()
    assert "was put aside" in store.alarm
    assert format_of(path) == NEXT
    (aside,) = path.parent.glob("history.db.damaged-*")
    assert aside.read_bytes() == bytes(data)


def test_a_format_that_never_was_is_damage(path):
    """Formats begin with 1: another number is no history of ours, and is put aside."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")
    with capture_logs():
        store = open_store(path)
    store.connection.close()
    assert "has format 0" in store.alarm


@pytest.mark.parametrize("moment", range(1, 12, 2))
def test_a_kill_while_the_history_is_packed_damages_nothing(tmp_path, moment):
    """Killed at the Nth write of the VACUUM behind a migration: the next start finds every row, without alarm."""
    path = tmp_path / "history.db"
    shutil.copyfile(FILES / "v1.db", path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO note VALUES ('padding', hex(randomblob(3000000)))")
        connection.commit()
    code = (
        "import sys, sqlite3, os\n"
        "from pathlib import Path\n"
        "from proxy_listener.history import migration\n"
        "from proxy_listener.history.file import open_store\n"
        "pack = migration._pack\n"
        "def killed(path, connection):\n"
        "    left = [int(sys.argv[2]) * 300]\n"
        "    def step():\n"
        "        left[0] -= 1\n"
        "        if left[0] <= 0: os.kill(os.getpid(), 9)\n"
        "    connection.set_progress_handler(step, 1)\n"
        "    pack(path, connection)\n"
        "migration._pack = killed\n"
        "open_store(Path(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), str(moment)], check=False, capture_output=True)
    assert done.returncode in {0, -9}, done.stderr
    store = open_store(path)
    assert (store.alarm, store.fresh) == (None, False)
    assert store.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(readings(store.connection)) == 8
    store.close()
