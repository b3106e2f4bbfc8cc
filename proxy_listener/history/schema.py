"""The tables of the history, and a reading's form as one row of the table ``reading``.

A :class:`Row` goes in and a tuple of SQLite values comes out (:func:`record_of`), and back again (:func:`row_of`).
Invariant: there and back changes nothing, not even 1 into 1.0.

To add a column: a field of :class:`Reading`, a :class:`Column` of that name in :data:`COLUMNS`, and a step in
:data:`proxy_listener.history.migration.MIGRATIONS`. Nothing else names the columns.
"""

import json
from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

import attrs

from proxy_listener.model.reading import Event, Reading

FIRST_TABLES = """
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
"""The tables of format 1. It was released, so this text never changes; a later format is this and the migrations.

Files are recognised by the text of their tables, so a file made by this program must have the same text, down to the
line breaks, as one that was migrated.
"""

SECOND_TABLES = (
    """CREATE TABLE appended (
    id INTEGER PRIMARY KEY, mac INTEGER NOT NULL, time REAL NOT NULL, name TEXT NOT NULL, model TEXT NOT NULL,
    source TEXT NOT NULL, proxy TEXT NOT NULL, room TEXT NOT NULL, rssi INTEGER, counter INTEGER, trust TEXT NOT NULL,
    late INTEGER NOT NULL, "values" TEXT NOT NULL, events TEXT, fires INTEGER NOT NULL, stale TEXT,
    identity BLOB NOT NULL) STRICT""",
    """CREATE TABLE by_device (mac INTEGER NOT NULL, time REAL NOT NULL, id INTEGER NOT NULL,
    PRIMARY KEY (mac, time, id)) STRICT, WITHOUT ROWID""",
    "CREATE TABLE by_time (time REAL NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (time, id)) STRICT, WITHOUT ROWID",
    "CREATE TABLE by_arrival (mac INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (mac, id)) STRICT, WITHOUT ROWID",
    """CREATE TABLE by_event (mac INTEGER NOT NULL, time REAL NOT NULL, id INTEGER NOT NULL,
    PRIMARY KEY (mac, time, id)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE by_log (mac INTEGER NOT NULL, time REAL NOT NULL, id INTEGER NOT NULL,
    PRIMARY KEY (mac, time)) STRICT, WITHOUT ROWID""",
    "CREATE TABLE fold (only INTEGER PRIMARY KEY CHECK (only = 1), position INTEGER NOT NULL) STRICT",
    "INSERT INTO fold SELECT 1, coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'reading'), 0)",
    "INSERT INTO appended SELECT * FROM reading ORDER BY id",
    "INSERT INTO by_device SELECT mac, time, id FROM reading ORDER BY mac, time, id",
    "INSERT INTO by_time SELECT time, id FROM reading ORDER BY time, id",
    "INSERT INTO by_arrival SELECT mac, id FROM reading WHERE source = 'advertisement' ORDER BY mac, id",
    "INSERT INTO by_event SELECT mac, time, id FROM reading WHERE events IS NOT NULL ORDER BY mac, time, id",
    "INSERT INTO by_log SELECT mac, time, id FROM reading WHERE source = 'history' ORDER BY mac, time",
    "DROP TABLE reading",
    "ALTER TABLE appended RENAME TO reading",
    "ALTER TABLE sealed ADD COLUMN uuid INTEGER NOT NULL DEFAULT 65173",
)
"""Format 2: ``reading`` has no index and no AUTOINCREMENT, so that a commit writes the page that it appends to and no
other. Its indexes are tables, which :mod:`proxy_listener.history.fold` fills. A frame that waits for a key has its
UUID; those of format 1 are all MiBeacon's, 0xFE95.
"""

REMOVE_FROM_INDEXES = """CREATE TEMP TRIGGER reading_removed AFTER DELETE ON main.reading BEGIN
    DELETE FROM by_device WHERE mac = old.mac AND time = old.time AND id = old.id;
    DELETE FROM by_time WHERE time = old.time AND id = old.id;
    DELETE FROM by_arrival WHERE mac = old.mac AND id = old.id;
    DELETE FROM by_event WHERE mac = old.mac AND time = old.time AND id = old.id;
    DELETE FROM by_log WHERE mac = old.mac AND time = old.time AND id = old.id;
END"""
"""For a connection that removes rows; not in the file, because nothing in a foreign file's schema may run."""

PAGE_SIZE = 1024
"""Bytes. A commit of a few rows writes whole pages: 1.0 KiB a reading at 10/s where pages of 4096 bytes take 1.4."""

SLOT = 600
"""Seconds of one row of ``summary``, from which plots of more than a few days are drawn."""


@attrs.frozen
class Row:
    """A reading and its place in the journal. Ids only grow.

    ``stored`` is False only in a live feed while storage fails: followers get the reading before it is committed.
    """

    id: int
    reading: Reading
    stored: bool = True


class Column(NamedTuple):
    """A column of ``reading``, which has the name of the :class:`Reading` field that it holds.

    ``write`` makes the field an SQLite value, ``read`` makes it the field again; None where they are the same.
    """

    name: str
    write: Callable[[Any], Any] | None = None
    read: Callable[[Any], Any] | None = None


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _write_events(events: tuple[Event, ...]) -> str | None:
    return _json([[event.event, event.type, dict(event.properties)] for event in events]) if events else None


def _read_events(text: str | None) -> tuple[Event, ...]:
    return tuple(Event(*event) for event in json.loads(text)) if text else ()


def _write_stale(stale: frozenset[str]) -> str | None:
    return _json(sorted(stale)) if stale else None


def _read_stale(text: str | None) -> frozenset[str]:
    return frozenset(json.loads(text)) if text else frozenset()


COLUMNS = (
    Column("mac"),
    Column("time"),
    Column("name"),
    Column("model"),
    Column("source"),
    Column("proxy"),
    Column("room"),
    Column("rssi"),
    Column("counter"),
    Column("trust"),
    Column("late", int, bool),
    Column("values", lambda values: _json(dict(values)), json.loads),
    Column("events", _write_events, _read_events),
    Column("fires", int, bool),
    Column("stale", _write_stale, _read_stale),
    Column("identity"),
)
"""The columns of ``reading`` behind its ``id``, in the order of a record."""

_NAMES = [f'"{name}"' for name in ("id", *(column.name for column in COLUMNS))]

# Behind the table's name, because SQLite takes a quoted name that no column has for a text.
SELECTED = ", ".join(f"reading.{name}" for name in _NAMES)
"""What a SELECT names to get records."""

_MARKS = ", ".join("?" * len(_NAMES))
INSERT = f"INSERT INTO reading ({', '.join(_NAMES)}) VALUES ({_MARKS}) ON CONFLICT DO NOTHING"  # noqa: S608  constants
"""Takes a record."""

_fields = attrgetter(*(column.name for column in COLUMNS))


def record_of(row: Row) -> tuple[Any, ...]:
    """The row as SQLite values. ValueError for a number that JSON has not (NaN)."""
    fields = zip(COLUMNS, _fields(row.reading), strict=True)
    return (row.id, *(value if column.write is None else column.write(value) for column, value in fields))


def row_of(record: tuple[Any, ...]) -> Row:
    """The row whose :func:`record_of` is ``record``. ValueError or TypeError where a damaged file garbled it."""
    fields = zip(COLUMNS, record[1:], strict=True)
    values = {column.name: value if column.read is None else column.read(value) for column, value in fields}
    return Row(record[0], Reading(**values))
