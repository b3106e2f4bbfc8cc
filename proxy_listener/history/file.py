"""The history's file: made, opened, checked, migrated, and put aside where it is damaged or not a history.

A path goes in; an open connection to a sound history of the newest format comes out, with an alarm where the old file
was put aside. Invariant: no file is deleted, and a history of a newer format is refused and not touched.

A new file is built under another name and renamed into place, so a crash leaves no incomplete one: an empty file is
always damage.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs
import structlog

from proxy_listener.history.fold import fold
from proxy_listener.history.migration import (
    APPLICATION_ID,
    MIGRATIONS,
    FormatError,
    Migration,
    fill,
    format_of,
    make_private,
    migrate,
    newest,
    sync_directory,
    unused,
)
from proxy_listener.history.schema import REMOVE_FROM_INDEXES
from proxy_listener.history.watch import Watch
from proxy_listener.model.errors import ProxyListenerError

log = structlog.get_logger()

CHECK_BUDGET = 2.0
"""Seconds that the check may hold up the start; a larger file is checked to its end in the background."""

CHECKPOINT = 4_000
"""Pages in the write-ahead log, 4 MB, before SQLite moves them into the file: a page that many commits wrote goes into
the file once.
"""

FORMATS_TO_COME = 64
"""A format that is greater than ours by more than this is a flipped bit, not a newer program's."""

_TABLES = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"


class DamageError(ProxyListenerError):
    """The file is not a sound history. The text says why."""


_LEAVE_ALONE = (
    "while the service runs, nothing else may delete, move or write the file; docs/operating.md says how to back it up"
)

FAULTS = (sqlite3.Error, OSError, UnicodeDecodeError, FormatError)
"""What using a database can raise. UnicodeDecodeError: when SQLite's message quotes a garbled schema."""

DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""Primary result codes of a file that is not a sound database; any other error is one of the disk and may pass."""


def damaged(error: Exception) -> bool:
    """Whether the file itself is broken, by what SQLite says."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return isinstance(error, DamageError | UnicodeDecodeError) or code & 0xFF in DAMAGED


@attrs.define
class Store:
    """One journal's database, as a file or in memory (``path`` None, one connection that a lock keeps to one thread).

    ``unchecked`` is True where the check on opening ran out of its budget.
    """

    path: Path | None
    connection: sqlite3.Connection
    migrations: Sequence[Migration] = MIGRATIONS
    alarm: str | None = None
    fresh: bool = False
    unchecked: bool = False
    watch: Watch | None = None
    _lock: threading.RLock = attrs.field(factory=threading.RLock, init=False)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with, in any thread. What it sees is committed."""
        if self.path is None:
            with self._lock:
                yield self.connection
        else:
            with closing(reader(self.path)) as connection:
                yield connection

    def close(self) -> None:
        """Close the connection. The last one moves the write-ahead log into the file."""
        with self._lock:  # a thread may still read a journal in memory, and SQLite would crash
            self.connection.close()
        if self.watch is not None:
            self.watch.close()
            self.watch = None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed at the end of the block, undone where it raises."""
        with self._lock:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise


def open_store(path: Path | None, *, check: bool = True, migrations: Sequence[Migration] = MIGRATIONS) -> Store:
    """The history at ``path``, made where there is none; a damaged or foreign file is put aside first.

    Without ``check`` only its header is looked at: after a fault of the disk the service cannot wait. Raises OSError
    or sqlite3.Error where the disk or the directory does not allow a history, FormatError where the file is of a newer
    format, or of an older one and cannot be changed.
    """
    if path is None:
        connection = _configure(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))
        fill(connection, migrations)
        connection.execute(REMOVE_FROM_INDEXES)
        return Store(None, connection, migrations, fresh=True)
    path = path.absolute()
    alarm = None
    if not path.exists() and _copy_of(path).exists():
        _rename(_copy_of(path), path)  # a process was killed after write_copy, or take_copy failed
    if path.exists():
        try:
            connection, whole = _open(path, migrations, check=check)
            return Store(path, connection, migrations, unchecked=not whole, watch=Watch(path))
        except (DamageError, *FAULTS) as error:
            if not damaged(error):
                raise
            alarm = put_aside(path, str(error) if isinstance(error, DamageError) else f"is damaged ({error})")
    _create(path, migrations)
    connection, _ = _open(path, migrations, check=False)
    return Store(path, connection, migrations, alarm=alarm, fresh=True, watch=Watch(path))


def _copy_of(path: Path) -> Path:
    """Where :func:`write_copy` writes. A name of its own, because it can be the only whole history."""
    return path.with_name(path.name + ".copy")


def _parts(path: Path) -> list[Path]:
    """What SQLite keeps beside a database, and the database last. The rollback journal is there during a VACUUM."""
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal", "")]


def _rename(path: Path, to: Path) -> None:
    for part, new in zip(_parts(path), _parts(to), strict=True):
        if part.exists():
            part.rename(new)


def put_aside(path: Path, why: str) -> str:
    """Rename the file, its logs and the log's index. The alarm in words."""
    stamp = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = unused(path.with_name(f"{path.name}.damaged-{stamp}"))
    _rename(path, aside)
    alarm = f"history lost: {path.name} {why}; it was put aside as {aside.name} and a new history was started"
    log.error("history put aside", file=path.name, aside=aside.name, why=why)
    return alarm


def write_copy(store: Store) -> None:
    """The content of the open connection as a new file beside ``store.path``, for :func:`take_copy`."""
    assert store.path is not None
    copy = _copy_of(store.path)
    for part in _parts(copy):
        part.unlink(missing_ok=True)
    make_private(copy)
    with closing(sqlite3.connect(copy, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = FULL")
        store.connection.backup(target)


def take_copy(path: Path, what: str) -> str:
    """Renames the copy to ``path``, whatever stands there now. The alarm in words. The store has to be closed."""
    aside = ""
    if path.exists():
        foreign = unused(path.with_name(f"{path.name}.replaced"))
        path.rename(foreign)
        aside = f"; what stood in its place is {foreign.name}"
    for left in _parts(path)[:-1]:
        left.unlink(missing_ok=True)
    _copy_of(path).rename(path)
    sync_directory(path)
    alarm = f"{path.name} {what} while the service ran; it was written again from what was open{aside}. Nothing is lost"
    log.error("history file was harmed and is whole again", file=path.name, what=what, help=_LEAVE_ALONE)
    return alarm


def reader(path: Path, *, immutable: bool = False) -> sqlite3.Connection:
    """A connection that cannot write. ``immutable``: no other process writes either, so no file is made beside it."""
    uri = path.as_uri() + "?mode=ro" + "&immutable=1" * immutable
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=2)
    return _configure(connection)


def sound(path: Path) -> str | None:
    """Check the whole file, however long that takes. What is wrong with it, or None."""
    try:
        with closing(reader(path)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchall()
            return None if found == [("ok",)] else f"is damaged ({str(found)[:200]})"
    except FAULTS as error:
        if damaged(error):
            return f"is damaged ({error})"
        raise


def _open(path: Path, migrations: Sequence[Migration], *, check: bool) -> tuple[sqlite3.Connection, bool]:
    """The connection, and False where the check did not come to its end."""
    if not path.is_file():
        raise DamageError("is not a plain file")
    if path.stat().st_size == 0:
        raise DamageError("is empty")
    version = _recognise(path, newest(migrations))
    _make_private(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2)
    try:
        _configure(connection)
        _compare_tables(connection, [step for step in migrations if step.version <= version])
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_checkpoint(TRUNCATE)"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
        whole = _check(connection) if check else True
        _migrate(path, connection, migrations)
        connection.execute(REMOVE_FROM_INDEXES)
        _fold(path, connection)
    except BaseException:
        connection.close()
        raise
    return connection, whole


def _make_private(path: Path) -> None:
    """The mode of a file that a link leads to is its owner's business, not changed from here."""
    if not path.is_symlink():
        path.chmod(0o600)
    elif path.stat().st_mode & 0o077:
        log.warning("the history is a link to a file that others can read", file=str(path.resolve()), help="chmod 600")


def _recognise(path: Path, known: int) -> int:
    """The format of a history; FormatError where it is newer than ``known``. Changes nothing: a connection that can
    write would move the write-ahead log of a newer program into the file.
    """
    if path.with_name(path.name + "-journal").exists():
        # A process was killed in a VACUUM: SQLite undoes that when the file is read by a connection that can write.
        with closing(sqlite3.connect(path, timeout=2)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    logged = path.with_name(path.name + "-wal").exists()
    with closing(reader(path, immutable=not logged)) as connection:
        application, version = format_of(connection)
    if application != APPLICATION_ID:
        raise DamageError("is not a history of proxy-listener")
    if not 1 <= version <= known + FORMATS_TO_COME:
        raise DamageError(f"has format {version}, which no proxy-listener writes")
    if version > known:
        raise FormatError(
            path,
            f"was written by a newer proxy-listener: it has format {version}, this one knows formats up to {known}. "
            "Install the newer proxy-listener again, or move this file away and start with a backup of format "
            f"{known} or an empty history. The file was not changed",
        )
    return version


def _compare_tables(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """By the tables' own text: nothing runs that a foreign trigger or view says, and a flipped bit in a name shows."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        fill(model, migrations)
        if connection.execute(_TABLES).fetchall() != model.execute(_TABLES).fetchall():
            raise DamageError("has other tables than a history of proxy-listener")


def _migrate(path: Path, connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    try:
        migrate(path, connection, migrations)
    except FAULTS as error:
        if damaged(error):
            raise
        _, version = format_of(connection)
        raise FormatError(
            path,
            f"cannot be changed from format {version} to format {newest(migrations)}: {error}. No reading was lost. "
            "Make sure that the disk is sound and has room, and start again",
        ) from error


def _fold(path: Path, connection: sqlite3.Connection) -> None:
    """What a killed process had not folded. A full disk is no reason not to start: the rows are read one by one."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        fold(connection)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if damaged(error):
            raise
        log.warning("the newest rows of the history could not be indexed yet", file=path.name, error=str(error))


def _check(connection: sqlite3.Connection) -> bool:
    """False where the budget ended before the check did; DamageError where it found something."""
    end = time.monotonic() + CHECK_BUDGET
    connection.set_progress_handler(lambda: int(time.monotonic() > end), 10_000)
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return False
        raise
    finally:
        connection.set_progress_handler(None, 0)
    if found != [("ok",)]:
        raise DamageError(f"is damaged ({str(found)[:200]})")
    return True


def _create(path: Path, migrations: Sequence[Migration]) -> None:
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    make_private(new)
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        fill(connection, migrations)
    for left in _parts(path)[:-1]:
        left.unlink(missing_ok=True)
    new.rename(path)
    sync_directory(path)


def _configure(connection: sqlite3.Connection) -> sqlite3.Connection:
    """So that nothing in a foreign file's schema is executed and no page of it is trusted."""
    if setconfig := getattr(connection, "setconfig", None):  # Python 3.12 and later
        setconfig(getattr(sqlite3, "SQLITE_DBCONFIG_DEFENSIVE"), True)  # noqa: B009  absent on 3.11, and from its types
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0", "cache_size = -1000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA journal_size_limit = 16777216")
    return connection
