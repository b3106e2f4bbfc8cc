"""The watch: a file that is deleted, replaced, cut or overwritten under a running journal is noticed and mended."""

import shutil
import sqlite3
from contextlib import closing

import pytest
from structlog.testing import capture_logs
from support.disk import full_disk
from support.made_readings import MAC, journal_at, numbers, reading

from proxy_listener.history import Journal
from proxy_listener.history.file import write_copy
from proxy_listener.history.watch import Harm, Watch


def delete(path):
    path.unlink()


def delete_with_log(path):
    for part in path.parent.glob("h.db*"):
        part.unlink()


def move_away(path):
    path.rename(path.with_name("moved.db"))


def replace_by_text(path):
    path.rename(path.with_name("old.db"))
    path.write_text("no database at all")


def replace_by_backup(path):
    """As somebody does who restores a backup while the service runs."""
    shutil.copyfile(path.with_name("backup.db"), path.with_name("copied.db"))
    path.with_name("copied.db").rename(path)


def delete_log(path):
    path.with_name("h.db-wal").unlink()


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(5000)


def overwrite(path):
    with path.open("r+b") as file:
        file.write(b"\0" * 4096)


async def running(path):
    """Rows in the file and in the write-ahead log, and a backup of the first of them."""
    async with journal_at(path) as journal:
        for number in range(100):
            journal.append(reading(number))
        await journal.flush()
    shutil.copyfile(path, path.with_name("backup.db"))
    return journal_at(path)


@pytest.mark.parametrize("harm", [delete, delete_with_log, move_away, replace_by_text, replace_by_backup, delete_log])
async def test_nothing_is_lost_where_the_open_file_is_whole(tmp_path, harm):
    """It is written again in its place: the log and ``storage`` say so, and the next start finds every row."""
    path = tmp_path / "h.db"
    async with await running(path) as journal:
        for number in range(100, 150):
            journal.append(reading(number))
        await journal.flush()
        await journal.look_at_file()
        assert journal.alarm is None
        harm(path)
        with capture_logs() as logged:
            await journal.look_at_file()
        assert "Nothing is lost" in journal.storage.alarm
        assert [entry["event"] for entry in logged] == ["history file was harmed and is whole again"]
        assert await numbers(journal) == list(range(150))
        journal.append(reading(150))
        assert await journal.flush()
        with capture_logs() as logged:
            await journal.look_at_file()
        assert logged == []
    journal = Journal(path)
    assert journal.alarm is None
    assert await numbers(journal) == list(range(151))
    assert all(journal.known(MAC, reading(number).identity) for number in range(151))
    await journal.close()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("harm", [truncate, overwrite])
async def test_a_new_history_is_started_where_the_file_is_broken(tmp_path, harm):
    """The broken file is kept aside; what is in memory goes on, and the next start finds what came since."""
    path = tmp_path / "h.db"
    async with await running(path) as journal:
        journal.tables.note("name", "value")
        await journal.flush()
        await journal.look_at_file()
        harm(path)
        await journal.look_at_file()
        assert "while the service ran; it was put aside" in journal.storage.alarm
        journal.append(reading(500))
        assert await journal.flush()
    journal = Journal(path)
    assert await numbers(journal) == [500]
    assert journal.tables.noted("name") == "value"
    await journal.close()
    assert len(list(tmp_path.glob("h.db.damaged-*[0-9Z]"))) == 1


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_kill_while_the_file_is_written_again_loses_nothing(tmp_path, replaced):
    """Deleted, and killed before the copy has its name: the next start takes the copy. Where something else stands in
    its place, that is put aside first.
    """
    path = tmp_path / "h.db"
    async with await running(path) as journal:
        write_copy(journal._store)
        for part in tmp_path.glob("h.db*"):
            if part.name != "h.db.copy":
                part.rename(tmp_path / f"gone-{part.name}")
        shutil.copyfile(tmp_path / "h.db.copy", tmp_path / "killed.db.copy")
    if replaced:
        (tmp_path / "killed.db").write_text("no database")
        await Journal(tmp_path / "killed.db").close()
        (tmp_path / "killed.db").unlink()
    journal = Journal(tmp_path / "killed.db")
    assert (journal.fresh, journal.alarm) == (False, None)
    assert await numbers(journal) == list(range(100))
    await journal.close()


async def test_ids_go_on_behind_a_cursor_where_a_broken_history_was_put_aside(tmp_path):
    """The new file has no row yet when the process dies: the next rows are not skipped by the cursor."""
    path = tmp_path / "h.db"
    async with await running(path) as journal:
        cursor = journal.cursor("mqtt")
        journal.append(reading(200))
        await journal.flush()
        (row,) = await cursor.batch(10)
        await cursor.confirm(row.id)
        await journal.look_at_file()
        overwrite(path)
        await journal.look_at_file()
        await journal.flush()
    journal = Journal(path)
    cursor = journal.cursor("mqtt")
    journal.append(reading(300))
    await journal.flush()
    assert [row.reading.counter for row in await cursor.batch(10)] == [300]
    await journal.close()


async def test_a_full_disk_is_waited_for(tmp_path):
    """Deleted, and no room to write it again: one warning, the open file goes on, and a later look mends it."""
    path = tmp_path / "h.db"
    async with await running(path) as journal:
        await journal.look_at_file()
        path.unlink()
        (tmp_path / "h.db-none").touch()
        with capture_logs() as logged, full_disk(path, 5_000):
            await journal.look_at_file()
            await journal.look_at_file()
        assert [entry["log_level"] for entry in logged] == ["warning"]
        await journal.look_at_file()
        assert await numbers(journal) == list(range(100))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM reading").fetchone() == (100,)


def test_a_file_that_only_grows_is_not_harmed(tmp_path):
    """What SQLite itself does is no harm: growth, and a log that appears."""
    path = tmp_path / "h.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id = {0x50784C73}")
        connection.execute("PRAGMA journal_mode = WAL")
        watch = Watch(path)
        assert watch.look() is None
        connection.execute("CREATE TABLE t (x)")
        assert watch.look() is None
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert watch.look() is None
        path.unlink()
        assert watch.look() == Harm("was deleted or renamed", sound=True)
    watch.close()
