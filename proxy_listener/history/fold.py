"""Folding: what can be derived from the newest rows goes into its tables, many rows at once.

A commit only appends rows to ``reading``, which has no index, so it writes one or two pages of the file. The indexes,
the identities, the live state, the counts and the summaries of these rows are written here, sorted, so that rows which
lie together share a page: once for thousands of rows, in one transaction. ``fold.position`` is the id up to which rows
are folded. Invariant: rows up to the position are in every derived table exactly once, rows behind it in none; so a
query asks the derived tables and looks through the rows behind the position.

Everything is computed from the rows themselves, so a crash before a fold loses nothing: the next start folds.
"""

import json
import sqlite3
from contextlib import suppress

from proxy_listener.history.schema import SLOT

_NUMBERS = """reading, json_each(CASE WHEN json_valid("values") THEN "values" ELSE '{}' END) AS each
    WHERE reading.id > ? AND each.type IN ('integer', 'real', 'true', 'false') AND abs(each.value) < 1e300"""
"""The numbers of the rows. A value beyond 1e300 is refused, so that no sum becomes infinite and stops the fold."""

_STEPS = f"""
INSERT OR IGNORE INTO by_device SELECT mac, time, id FROM reading WHERE id > ? ORDER BY mac, time, id;
INSERT OR IGNORE INTO by_time SELECT time, id FROM reading WHERE id > ? ORDER BY time, id;
INSERT OR IGNORE INTO by_arrival
    SELECT mac, id FROM reading WHERE id > ? AND source = 'advertisement' ORDER BY mac, id;
INSERT OR IGNORE INTO by_event
    SELECT mac, time, id FROM reading WHERE id > ? AND events IS NOT NULL ORDER BY mac, time, id;
INSERT OR IGNORE INTO by_log SELECT mac, time, id FROM reading WHERE id > ? AND source = 'history' ORDER BY mac, time;
INSERT OR IGNORE INTO identity SELECT mac, identity FROM reading
    WHERE id > ? AND trust = 'authenticated' AND length(identity) > 0 ORDER BY mac, identity;
INSERT INTO device SELECT reading.mac, name, model, latest, rows FROM
    (SELECT max(id) AS newest, max(time) AS latest, count(*) AS rows FROM reading WHERE id > ? GROUP BY mac)
    JOIN reading ON id = newest WHERE true
    ON CONFLICT (mac) DO UPDATE SET name = excluded.name, model = excluded.model, time = max(time, excluded.time),
    readings = readings + excluded.readings;
INSERT INTO summary SELECT mac, each.key, CAST(time / {SLOT} AS INTEGER), min(each.value), max(each.value),
    sum(each.value), count(*) FROM {_NUMBERS} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (mac, quantity, slot) DO UPDATE SET low = min(low, excluded.low), high = max(high, excluded.high),
    total = total + excluded.total, count = count + excluded.count
""".split(";")  # noqa: S608  constants
"""Each takes the position and adds what the rows behind it are to one derived table."""

_NEWEST_VALUES = """SELECT max(reading.id), mac, each.key FROM reading,
    json_each(CASE WHEN json_valid("values") THEN "values" ELSE '{}' END) AS each
    WHERE reading.id > ? AND source <> 'history' AND NOT EXISTS (
        SELECT 1 FROM json_each(CASE WHEN json_valid(stale) THEN stale ELSE '[]' END) AS old WHERE old.value = each.key)
    GROUP BY mac, each.key ORDER BY mac, each.key"""
"""The row that holds the live state of each quantity of a device."""


def position(connection: sqlite3.Connection) -> int:
    """Rows up to this id are folded."""
    found: int = connection.execute("SELECT position FROM fold").fetchone()[0]
    return found


def fold(connection: sqlite3.Connection) -> int:
    """Folds every row behind the position, in the caller's transaction. The new position."""
    start = position(connection)
    (end,) = connection.execute("SELECT max(id) FROM reading WHERE id > ?", (start,)).fetchone()
    if end is None:
        return start
    for step in _STEPS:
        connection.execute(step, (start,))
    _fold_latest(connection, start)
    connection.execute("UPDATE fold SET position = ?", (end,))
    return int(end)


def _fold_latest(connection: sqlite3.Connection, start: int) -> None:
    """By way of Python's JSON: SQLite's functions round a number to 15 digits."""
    newest = connection.execute(_NEWEST_VALUES, (start,)).fetchall()
    for id_, mac, quantity in newest:
        row = connection.execute('SELECT "values", time, counter FROM reading WHERE id = ?', (id_,)).fetchone()
        with suppress(ValueError, KeyError):  # a name that SQLite reads in another way, such as one with a zero byte
            value = json.dumps(json.loads(row[0])[quantity])
            connection.execute("INSERT OR REPLACE INTO latest VALUES (?, ?, ?, ?, ?)", (mac, quantity, value, *row[1:]))
