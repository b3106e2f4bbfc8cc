"""The questions that the history answers, as functions of a connection that reads.

Invariant: text from outside is only ever a parameter, and a row that is garbled inside a sound page is left out of the
answer.
"""

import json
import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from proxy_listener.history.schema import SELECTED, SLOT, Row, row_of
from proxy_listener.model.advertisement import Address
from proxy_listener.model.history import KnownFrame, Reception
from proxy_listener.model.reading import Value


class Latest(NamedTuple):
    """A quantity's live state: the newest value that was not stale, its wall time and counter."""

    value: Value
    time: float
    counter: int | None


class StoredDevice(NamedTuple):
    """A device that the history knows: its name and model in its newest row, that row's time, and how many it had."""

    mac: Address
    name: str
    model: str
    time: float
    readings: int


class Point(NamedTuple):
    """What one bucket of a plot holds. ``time`` is the bucket's middle; buckets without a value are left out."""

    time: float
    low: float
    mean: float
    high: float
    samples: int


class Sealed(NamedTuple):
    """An encrypted frame that waits for its key. ``data`` is the service data; ``id`` is for :meth:`Tables.unseal`."""

    id: int
    mac: Address
    time: float
    proxy: str
    rssi: int
    address_type: int
    data: bytes


_QUANTITY = re.compile(r"[a-z0-9_]{1,64}")
_FAR = 1e300


def fetch(connection: sqlite3.Connection, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of an answer. In text that is not UTF-8, a mark stands in the place of each broken byte."""
    try:
        return connection.execute(query, values).fetchall()
    except sqlite3.OperationalError as error:
        if hasattr(error, "sqlite_errorcode"):
            raise
    # An error without a code is Python's: it cannot decode a column. Decode this one answer the slow way.
    connection.text_factory = lambda text: text.decode(errors="replace")
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.text_factory = str


def place(connection: sqlite3.Connection) -> tuple[int, int]:
    """The highest id that any reading ever had, and the number of the last batch."""
    (sequence,) = connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'reading'").fetchone()
    (number,) = connection.execute("SELECT max(number) FROM batch").fetchone()
    return sequence or 0, number or 0


def known(connection: sqlite3.Connection, mac: Address, identity: bytes) -> bool:
    """Whether the unique index of authenticated identities holds this one."""
    found = connection.execute("SELECT 1 FROM identity WHERE mac = ? AND identity = ?", (mac, identity))
    return found.fetchone() is not None


def highest_identity(connection: sqlite3.Connection, mac: Address, prefix: bytes) -> bytes:
    """The highest of a device's identities that begin so, byte by byte; empty where there is none."""
    found = connection.execute(
        "SELECT identity FROM identity WHERE mac = ? AND identity BETWEEN ? AND ? ORDER BY identity DESC LIMIT 1",
        (mac, prefix, prefix + b"\xff" * 32),
    ).fetchone()
    return found[0] if found else b""


def newest(
    connection: sqlite3.Connection, mac: Address, count: int, more_seconds: float, more: int
) -> list[KnownFrame]:
    """The newest ``count`` advertised rows of a device, oldest first. Where it sends unauthenticated frames so fast
    that all of these are of the last ``more_seconds``, those of that time, at most ``more``.
    """
    rows = _newest(connection, mac, count)
    since = rows[0].time - more_seconds if rows else 0.0
    if len(rows) == count and rows[-1].time > since and any(row.trust != "authenticated" for row in rows):
        rows = [row for n, row in enumerate(_newest(connection, mac, more)) if n < count or row.time > since]
    return rows[::-1]


def _newest(connection: sqlite3.Connection, mac: Address, count: int) -> list[KnownFrame]:
    found = fetch(
        connection,
        "SELECT identity, trust, time, late FROM reading WHERE mac = ? AND source = 'advertisement' "
        "ORDER BY id DESC LIMIT ?",
        (mac, count),
    )
    return [KnownFrame(identity, trust, time, bool(late)) for identity, trust, time, late in found]


def devices(connection: sqlite3.Connection) -> list[StoredDevice]:
    """Every device of the history."""
    return [StoredDevice(*found) for found in fetch(connection, "SELECT mac, name, model, time, readings FROM device")]


def latest(connection: sqlite3.Connection, mac: Address) -> dict[str, Latest]:
    """The live state of a device."""
    state: dict[str, Latest] = {}
    found = fetch(connection, "SELECT quantity, value, time, counter FROM latest WHERE mac = ?", (mac,))
    for quantity, value, time, counter in found:
        with suppress(ValueError):
            state[quantity] = Latest(json.loads(value), time, counter)
    return state


def after(connection: sqlite3.Connection, row_id: int, upto: int, limit: int) -> list[Row]:
    """The rows behind an id, in order, none newer than ``upto``."""
    query = f"SELECT {SELECTED} FROM reading WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"  # noqa: S608  constants
    return _rows(fetch(connection, query, (row_id, upto, limit)))


def readings(
    connection: sqlite3.Connection,
    mac: Address | None,
    since: float | None,
    until: float | None,
    limit: int,
    *,
    events: bool = False,
) -> list[Row]:
    """The newest ``limit`` rows of ``[since, until)``, oldest first; with ``events`` only those that have some."""
    where = ["time >= ?", "time < ?"] + ["mac = ?"] * (mac is not None) + ["events IS NOT NULL"] * events
    values: list[Any] = [-_FAR if since is None else since, _FAR if until is None else until]
    values += [mac] if mac is not None else []
    query = f"SELECT {SELECTED} FROM reading WHERE {' AND '.join(where)} ORDER BY time DESC, id DESC LIMIT ?"  # noqa: S608  constants
    return _rows(fetch(connection, query, (*values, limit)))[::-1]


def last_events(connection: sqlite3.Connection) -> list[Row]:
    """The newest row of each device whose events were fired."""
    query = (
        f"SELECT {SELECTED} FROM device JOIN reading ON reading.id = (SELECT id FROM reading WHERE mac = device.mac "  # noqa: S608  constants
        "AND events IS NOT NULL AND (late = 0 OR fires = 1) ORDER BY time DESC, id DESC LIMIT 1)"
    )
    return _rows(fetch(connection, query))


def page(
    connection: sqlite3.Connection, mac: Address | None, place: tuple[float, int], until: float, limit: int
) -> list[Row]:
    """The next rows behind ``place`` (time, id), in order of time."""
    device = "AND mac = ?" if mac is not None else ""
    query = (
        f"SELECT {SELECTED} FROM reading WHERE (time, id) > (?, ?) AND time < ? {device} "  # noqa: S608  constants
        "ORDER BY time, id LIMIT ?"
    )
    return _rows(fetch(connection, query, (*place, until, *([mac] if mac is not None else []), limit)))


def points(
    connection: sqlite3.Connection, mac: Address, quantity: str, since: float, until: float, buckets: int
) -> list[Point]:
    """The buckets of a plot, of equal width. Those of ten minutes and more are made of the summaries, so a year of data
    takes well under a second.
    """
    if not _QUANTITY.fullmatch(quantity) or not until > since or buckets < 1:
        return []
    width = (until - since) / buckets
    if width >= SLOT:
        query = (
            "SELECT min(CAST((slot * ?1 + ?1 / 2 - ?2) / ?3 AS INTEGER), ?4 - 1) AS bucket, min(low), "
            "sum(total) / sum(count), max(high), sum(count) FROM summary WHERE mac = ?5 AND quantity = ?6 "
            "AND slot >= ?7 AND slot < ?8 GROUP BY bucket ORDER BY bucket"
        )
        slots = (since // SLOT, -(-until // SLOT))
        found = connection.execute(query, (float(SLOT), since, width, buckets, mac, quantity, *slots))
    else:
        query = (
            "SELECT min(CAST((time - ?1) / ?2 AS INTEGER), ?3 - 1) AS bucket, min(value), avg(value), max(value), "
            "count(*) FROM (SELECT time, "
            'CASE WHEN json_valid("values") THEN json_extract("values", ?4) END AS value '
            "FROM reading WHERE mac = ?5 AND time >= ?1 AND time < ?6) "
            "WHERE typeof(value) IN ('integer', 'real') GROUP BY bucket ORDER BY bucket"
        )
        found = connection.execute(query, (since, width, buckets, f'$."{quantity}"', mac, until))
    return [
        Point(since + (max(bucket, 0) + 0.5) * width, float(low), float(mean), float(high), count)
        for bucket, low, mean, high, count in found
    ]


def hours(connection: sqlite3.Connection, mac: Address, since: float) -> set[int]:
    """The hours (``time // 3600``) in which a device has a reading."""
    found = connection.execute(
        "SELECT DISTINCT CAST(time / 3600 AS INTEGER) FROM reading WHERE mac = ? AND time >= ?", (mac, since)
    )
    return {hour for (hour,) in found}


def log_times(connection: sqlite3.Connection, mac: Address) -> list[float]:
    """The times of the entries of a device's own log, oldest first."""
    found = connection.execute("SELECT time FROM reading WHERE mac = ? AND source = 'history' ORDER BY time", (mac,))
    return [time for (time,) in found]


def reception(connection: sqlite3.Connection, since: float) -> list[Reception]:
    """Which proxy heard which device, hour by hour, oldest first."""
    query = "SELECT proxy, mac, hour, heard, alone, frames FROM hearing WHERE hour >= ? ORDER BY hour"
    return [Reception(*row) for row in fetch(connection, query, (since // 3600,))]


def sealed(connection: sqlite3.Connection, mac: Address, after_id: int, limit: int) -> list[Sealed]:
    """The next frames of a device that wait for its key."""
    query = (
        "SELECT id, mac, time, proxy, rssi, address_type, data FROM sealed WHERE mac = ? AND id > ? ORDER BY id LIMIT ?"
    )
    return [Sealed(*row) for row in fetch(connection, query, (mac, after_id, limit))]


def _rows(records: Iterable[tuple[Any, ...]]) -> list[Row]:
    rows = []
    for record in records:
        with suppress(ValueError, TypeError):
            rows.append(row_of(record))
    return rows
