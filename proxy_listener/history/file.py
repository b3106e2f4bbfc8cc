"""The journal's file: made, opened, checked, and put aside when it is damaged or not ours.

A path goes in, an open connection comes out, with an alarm in words where the old file had to go. The rule of this
file: whatever lies at the path, the service gets a sound journal, and nothing is ever deleted.

A new file is built under another name and renamed into place, so that a crash never leaves half of one: an empty file
is always damage.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs
import structlog

from proxy_listener.model.errors import ProxyListenerError

log = structlog.get_logger()

APPLICATION_ID = 0x50784C73
"""``PxLs``: what ``file`` and SQLite's header say that this database is."""

VERSION = 1

CHECK_BUDGET = 2.0
"""Seconds that the check may hold up the start; a larger file is checked to its end in the background."""

SCHEMA = """
CREATE TABLE reading (
    id INTEGER PRIMARY KEY AUTOINCREMENT, mac INTEGER NOT NULL, time REAL NOT NULL, name TEXT NOT NULL,
    model TEXT NOT NULL, source TEXT NOT NULL, proxy TEXT NOT NULL, room TEXT NOT NULL, rssi INTEGER, counter INTEGER,
    trust TEXT NOT NULL, late INTEGER NOT NULL, "values" TEXT NOT NULL, events TEXT, fires INTEGER NOT NULL,
    stale TEXT, identity BLOB NOT NULL) STRICT;
CREATE INDEX reading_mac_time ON reading (mac, time);
CREATE INDEX reading_time ON reading (time);
CREATE INDEX reading_newest ON reading (mac) WHERE source = 'advertisement';
CREATE INDEX reading_events ON reading (mac, time) WHERE events IS NOT NULL;
CREATE UNIQUE INDEX reading_history ON reading (mac, time) WHERE source = 'history';
CREATE TABLE identity (mac INTEGER NOT NULL, identity BLOB NOT NULL, PRIMARY KEY (mac, identity)) STRICT, WITHOUT ROWID;
CREATE TABLE latest (
    mac INTEGER NOT NULL, quantity TEXT NOT NULL, value TEXT NOT NULL, time REAL NOT NULL, counter INTEGER,
    PRIMARY KEY (mac, quantity)) STRICT, WITHOUT ROWID;
CREATE TABLE device (
    mac INTEGER PRIMARY KEY, name TEXT NOT NULL, model TEXT NOT NULL, time REAL NOT NULL, readings INTEGER NOT NULL
    ) STRICT;
CREATE TABLE summary (
    mac INTEGER NOT NULL, quantity TEXT NOT NULL, slot INTEGER NOT NULL, low REAL NOT NULL, high REAL NOT NULL,
    total REAL NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (mac, quantity, slot)) STRICT, WITHOUT ROWID;
CREATE TABLE hearing (
    hour INTEGER NOT NULL, proxy TEXT NOT NULL, mac INTEGER NOT NULL, heard INTEGER NOT NULL, alone INTEGER NOT NULL,
    frames INTEGER NOT NULL, PRIMARY KEY (hour, proxy, mac)) STRICT, WITHOUT ROWID;
CREATE TABLE sealed (
    id INTEGER PRIMARY KEY AUTOINCREMENT, mac INTEGER NOT NULL, time REAL NOT NULL, proxy TEXT NOT NULL,
    rssi INTEGER NOT NULL, address_type INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE (mac, data)) STRICT;
CREATE TABLE admitted (mac INTEGER PRIMARY KEY, time REAL NOT NULL) STRICT;
CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE cursor (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE batch (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL) STRICT;
INSERT INTO batch VALUES (1, 0);
"""

_TABLES = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"


class DamageError(ProxyListenerError):
    """The file is no sound journal of ours. The text says why."""


FAULTS = (sqlite3.Error, OSError, UnicodeDecodeError)
"""What using a database can raise. The last one when SQLite's message quotes a garbled schema."""

DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""Primary result codes of a file that is no sound database; anything else is the disk's trouble and may pass."""


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
    alarm: str | None = None
    fresh: bool = False
    unchecked: bool = False
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


def open_store(path: Path | None, *, check: bool = True) -> Store:
    """The journal at ``path``, made where there is none; a damaged or foreign file is put aside first.

    Without ``check`` only its header is looked at: after a fault of the disk the service cannot wait. Raises OSError
    or sqlite3.Error where the disk or the directory does not allow a journal at all.
    """
    if path is None:
        connection = _configure(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))
        _fill(connection)
        return Store(None, connection, fresh=True)
    path = path.absolute()
    alarm = None
    if path.exists():
        try:
            connection, whole = _open(path, check=check)
            return Store(path, connection, unchecked=not whole)
        except (DamageError, *FAULTS) as error:
            if not damaged(error):
                raise
            alarm = put_aside(path, str(error) if isinstance(error, DamageError) else f"is damaged ({error})")
    _create(path)
    connection, _ = _open(path, check=False)
    return Store(path, connection, alarm=alarm, fresh=True)


def put_aside(path: Path, why: str) -> str:
    """Renames the file and what belongs to it; returns the alarm in words."""
    stamp = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dT%H%M%SZ")
    aside, number = path.with_name(f"{path.name}.damaged-{stamp}"), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    alarm = f"history lost: {path.name} {why}; it was put aside as {aside.name} and a new history was started"
    log.error("history put aside", file=path.name, aside=aside.name, why=why)
    return alarm


def reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    uri = path.as_uri() + "?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=2)
    return _configure(connection)


def sound(path: Path) -> str | None:
    """Checks the whole file, however long that takes: None, or what is wrong with it."""
    try:
        with closing(reader(path)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchall()
            return None if found == [("ok",)] else f"is damaged ({str(found)[:200]})"
    except FAULTS as error:
        if damaged(error):
            return f"is damaged ({error})"
        raise


def _open(path: Path, *, check: bool) -> tuple[sqlite3.Connection, bool]:
    """The connection, and False where the check did not come to its end."""
    if not path.is_file():
        raise DamageError("is not a plain file")
    if path.stat().st_size == 0:
        raise DamageError("is empty")
    path.chmod(0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2)
    try:
        _configure(connection)
        _recognise(connection)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_checkpoint(TRUNCATE)"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        whole = _check(connection) if check else True
    except BaseException:
        connection.close()
        raise
    return connection, whole


def _recognise(connection: sqlite3.Connection) -> None:
    ((application,),) = connection.execute("PRAGMA application_id").fetchall()
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    if application != APPLICATION_ID:
        raise DamageError("is not a history of proxy-listener")
    if version != VERSION:
        raise DamageError(f"has format {version}, this program writes format {VERSION}")
    # By the tables' own text: no trigger or view of a stranger comes in, and no flipped bit hides in a name.
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        _fill(model)
        if connection.execute(_TABLES).fetchall() != model.execute(_TABLES).fetchall():
            raise DamageError("has other tables than a history of proxy-listener")


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


def _create(path: Path) -> None:
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        _fill(connection)
    for left in ("-wal", "-shm"):
        path.with_name(path.name + left).unlink(missing_ok=True)
    new.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _fill(connection: sqlite3.Connection) -> None:
    connection.executescript(
        f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; {SCHEMA} COMMIT;"
    )


def _configure(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Nothing that a foreign file's schema says is executed; no page of it is trusted."""
    if setconfig := getattr(connection, "setconfig", None):  # Python 3.12 and later
        setconfig(getattr(sqlite3, "SQLITE_DBCONFIG_DEFENSIVE"), True)  # noqa: B009  absent on 3.11, and from its types
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0", "cache_size = -4000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA journal_size_limit = 16777216")
    return connection
