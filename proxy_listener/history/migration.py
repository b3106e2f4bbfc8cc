"""The format of the history's file, and the steps that change an older format to the newest.

An open connection goes in; its file has the tables of :data:`VERSION` afterwards. ``PRAGMA user_version`` holds the
format. Each step is one transaction, which writes the new number with it, so an interrupted migration leaves a file of
the format before the step, and the next start goes on from there.

A step that rewrites rows is preceded by a copy of the file: ``history.db.v1-backup`` beside ``history.db``.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from itertools import chain, count
from pathlib import Path

import attrs
import structlog

from proxy_listener.history.schema import FIRST_TABLES, PAGE_SIZE, SECOND_TABLES
from proxy_listener.model.errors import ConfigError, Problem

log = structlog.get_logger()

APPLICATION_ID = 0x50784C73
"""``PxLs``: what ``file`` and SQLite's header say that this database is."""


@attrs.frozen
class Migration:
    """One step, from the format before ``version`` to ``version``.

    ``apply`` changes tables and rows through a connection in a transaction. It must not end the transaction, as
    ``executescript`` does. ``rewrites`` is True where it changes or moves rows: then the file is copied first.
    """

    version: int
    apply: Callable[[sqlite3.Connection], object]
    rewrites: bool


def _append_only(connection: sqlite3.Connection) -> None:
    for statement in SECOND_TABLES:
        connection.execute(statement)


MIGRATIONS: tuple[Migration, ...] = (Migration(2, _append_only, rewrites=True),)
"""Every step since format 1, in order. What a released step does never changes."""


def newest(migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """The format that the last of these steps leads to."""
    return migrations[-1].version if migrations else 1


VERSION = newest()
"""The format that this program reads and writes."""


class FormatError(ConfigError):
    """The history has a format that this program cannot use or change. Its file is as it was, or as the last complete
    step left it. Starting the program again does not help, so it is an error of the configuration (exit status 78).
    """

    def __init__(self, path: Path, text: str) -> None:
        super().__init__([Problem(str(path), text)])


def fill(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Makes the tables in an empty database: those of format 1, then every step."""
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    connection.executescript(f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; {FIRST_TABLES}")
    for step in migrations:
        step.apply(connection)
    connection.execute(f"PRAGMA user_version = {newest(migrations)}")
    connection.execute("COMMIT")


def format_of(connection: sqlite3.Connection) -> tuple[int, int]:
    """The application id and the format in the file's header."""
    ((application,),) = connection.execute("PRAGMA application_id").fetchall()
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    return application, version


def migrate(path: Path, connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Brings an open history to the newest format. Raises OSError or sqlite3.Error where the disk has no room or fails:
    then the step under way is undone, and the steps before it stay.
    """
    _, version = format_of(connection)
    copied = False
    for step in [step for step in migrations if step.version > version]:
        log.warning("history is changed to a newer format", file=path.name, old=step.version - 1, new=step.version)
        with _copy(path, connection, step.version - 1) if step.rewrites and not copied else nullcontext():
            _take(connection, step)
        copied |= step.rewrites
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    if copied:
        _pack(path, connection)


def _take(connection: sqlite3.Connection, step: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        step.apply(connection)
        assert connection.in_transaction, "a migration must not end its transaction"
        connection.execute(f"PRAGMA user_version = {step.version}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _pack(path: Path, connection: sqlite3.Connection) -> None:
    """Gives back the room of the tables that a step replaced, and takes pages of the size that new files have. SQLite
    undoes it where it is interrupted. Where the disk has no room for it, the history works as it is.
    """
    try:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        connection.execute("VACUUM")
    except sqlite3.Error as error:
        log.warning("history could not be packed; it works, with larger pages", file=path.name, error=str(error))
    finally:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()


@contextmanager
def _copy(path: Path, connection: sqlite3.Connection, version: int) -> Iterator[None]:
    """A copy of the file, which stays where the block succeeds. An older copy of that name is not overwritten."""
    size = path.stat().st_size
    free = shutil.disk_usage(path.parent).free
    # The copy, and a write-ahead log that may hold every page once more.
    if free < 2 * size:
        raise OSError(
            f"a copy is made first, which needs {_megabytes(2 * size)} for a while, and {path.parent} has "
            f"{_megabytes(free)} free"
        )
    new = path.with_name(f"{path.name}.v{version}-backup.new")
    new.unlink(missing_ok=True)
    make_private(new)
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as target:
            target.execute("PRAGMA synchronous = FULL")
            connection.backup(target)
        yield
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    backup = unused(path.with_name(f"{path.name}.v{version}-backup"))
    new.rename(backup)
    sync_directory(path)
    log.warning("the history as it was before is kept", backup=backup.name, help="delete it when all is well")


def _megabytes(size: int) -> str:
    return f"{-(-size // 1_000_000)} MB"


def unused(path: Path) -> Path:
    """The path, or the first of ``path-2``, ``path-3`` ... where there is no file."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in count(2))
    return next(each for each in chain([path], numbered) if not each.exists())


def make_private(path: Path) -> None:
    """An empty file that only its owner can read. OSError where something has the name."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))


def sync_directory(path: Path) -> None:
    """Makes a rename to ``path`` durable."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
