"""The questions that the history answers, as functions of a connection that reads.

Invariant: text from outside is only ever a parameter, and a row that is garbled inside a sound page is left out of the
answer.
"""

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from proxy_listener.history.fold import position
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
    """An encrypted frame that waits for its key. ``data`` is the service data under ``uuid``; ``id`` is for
    :meth:`Tables.unseal`.
    """

    id: int
    mac: Address
    time: float
    proxy: str
    rssi: int
    address_type: int
    data: bytes
    uuid: int


_QUANTITY = re.compile(r"[a-z0-9_]{1,64}")
_FAR = 1e300

_POSITION = "(SELECT position FROM fold)"
"""Rows behind it are in no index yet; a query looks through them one by one."""

_NUMBER = "typeof(value) IN ('integer', 'real')"

_NEWEST_FIRST = "ORDER BY time DESC, id DESC LIMIT :limit"
_OLDEST_FIRST = "ORDER BY time ASC, id ASC LIMIT :limit"


def fetch(
    connection: sqlite3.Connection, query: str, values: Sequence[Any] | Mapping[str, Any] = ()
) -> list[tuple[Any, ...]]:
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
    (highest,) = connection.execute("SELECT max(id) FROM reading").fetchone()
    (number,) = connection.execute("SELECT max(number) FROM batch").fetchone()
    # A cursor is ahead of all rows where a damaged history was put aside, and the new one has got no row yet.
    (confirmed,) = connection.execute("SELECT max(position) FROM cursor").fetchone()
    return max(highest or 0, position(connection), confirmed or 0), number or 0


def known(connection: sqlite3.Connection, mac: Address, identity: bytes) -> bool:
    """Whether the table of authenticated identities holds this one."""
    found = connection.execute("SELECT 1 FROM identity WHERE mac = ? AND identity = ?", (mac, identity))
    return found.fetchone() is not None


def highest_identity(connection: sqlite3.Connection, mac: Address, prefix: bytes) -> bytes:
    """The highest of a device's identities that begin so, byte by byte; empty where there is none."""
    found = connection.execute(
        "SELECT identity FROM identity WHERE mac = ? AND identity BETWEEN ? AND ? ORDER BY identity DESC LIMIT 1",
        (mac, prefix, prefix + b"\xff" * 32),
    ).fetchone()
    return found[0] if found else b""


def logged(connection: sqlite3.Connection, mac: Address, time: float) -> bool:
    """Whether the entry of that time of a device's own log is in the history."""
    return connection.execute("SELECT 1 FROM by_log WHERE mac = ? AND time = ?", (mac, time)).fetchone() is not None


def newest(
    connection: sqlite3.Connection, mac: Address, tail: Sequence[int], count: int, more_seconds: float, more: int
) -> list[KnownFrame]:
    """The newest ``count`` advertised rows of a device, oldest first. Where it sends unauthenticated frames so fast
    that all of these are of the last ``more_seconds``, those of that time, at most ``more``. ``tail``: the ids of its
    rows that are not folded.
    """
    rows = _newest(connection, mac, tail, count)
    since = rows[0].time - more_seconds if rows else 0.0
    if len(rows) == count and rows[-1].time > since and any(row.trust != "authenticated" for row in rows):
        rows = [row for n, row in enumerate(_newest(connection, mac, tail, more)) if n < count or row.time > since]
    return rows[::-1]


def _newest(connection: sqlite3.Connection, mac: Address, tail: Sequence[int], count: int) -> list[KnownFrame]:
    found = fetch(
        connection,
        f"SELECT identity, trust, time, late FROM reading WHERE id IN (SELECT value FROM json_each(?) WHERE value > "  # noqa: S608  constants
        f"{_POSITION} UNION ALL SELECT id FROM (SELECT id FROM by_arrival WHERE mac = ? ORDER BY id DESC LIMIT ?)) "
        "AND source = 'advertisement' ORDER BY id DESC LIMIT ?",
        (json.dumps(list(tail)), mac, count, count),
    )
    return [KnownFrame(identity, trust, time, bool(late)) for identity, trust, time, late in found]


def devices(connection: sqlite3.Connection) -> list[StoredDevice]:
    """Every device of the history."""
    known = {mac: StoredDevice(mac, *rest) for mac, *rest in fetch(connection, "SELECT * FROM device")}
    tail = fetch(
        connection,
        f"SELECT mac, name, model, latest, rows FROM (SELECT max(id) AS newest, max(time) AS latest, count(*) AS rows "  # noqa: S608  constants
        f"FROM reading WHERE id > {_POSITION} GROUP BY mac) JOIN reading ON id = newest",
    )
    for mac, name, model, time, rows in tail:
        before = known.get(mac, StoredDevice(mac, name, model, time, 0))
        known[mac] = StoredDevice(mac, name, model, max(time, before.time), before.readings + rows)
    return list(known.values())


def latest(connection: sqlite3.Connection, mac: Address, tail: Sequence[int]) -> dict[str, Latest]:
    """The live state of a device. ``tail``: the ids of its rows that are not folded."""
    state: dict[str, Latest] = {}
    found = fetch(connection, "SELECT quantity, value, time, counter FROM latest WHERE mac = ?", (mac,))
    for quantity, value, time, counter in found:
        with suppress(ValueError):
            state[quantity] = Latest(json.loads(value), time, counter)
    if tail:
        rows = f"SELECT {SELECTED} FROM reading WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"  # noqa: S608  constants
        for row in _rows(fetch(connection, rows, (json.dumps(list(tail)),))):
            reading = row.reading
            if reading.source != "history":
                fresh = {name: value for name, value in reading.values.items() if name not in reading.stale}
                state |= {name: Latest(value, reading.time, reading.counter) for name, value in fresh.items()}
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
    index = "by_event" if events else "by_time" if mac is None else "by_device"
    where = "time >= :since AND time < :until" + " AND mac = :mac" * (mac is not None)
    tail = where + " AND events IS NOT NULL" * events
    query = f"SELECT {SELECTED} FROM reading WHERE id IN ({_ids(index, where, tail, 'DESC')}) {_NEWEST_FIRST}"  # noqa: S608  constants
    values = {
        "mac": mac,
        "since": -_FAR if since is None else since,
        "until": _FAR if until is None else until,
        "limit": limit,
    }
    return _rows(fetch(connection, query, values))[::-1]


def last_events(connection: sqlite3.Connection) -> list[Row]:
    """The newest row of each device whose events were fired."""
    fired = "events IS NOT NULL AND (late = 0 OR fires = 1)"
    query = (
        f"SELECT {SELECTED} FROM reading WHERE id IN (SELECT (SELECT reading.id FROM by_event JOIN reading USING (id) "  # noqa: S608  constants
        f"WHERE by_event.mac = device.mac AND {fired} ORDER BY by_event.time DESC, id DESC LIMIT 1) FROM device "
        f"UNION ALL SELECT id FROM reading WHERE id > {_POSITION} AND {fired}) ORDER BY time, id"
    )
    return list({row.reading.mac: row for row in _rows(fetch(connection, query))}.values())


def page(
    connection: sqlite3.Connection, mac: Address | None, place: tuple[float, int], until: float, limit: int
) -> list[Row]:
    """The next rows behind ``place`` (time, id), in order of time."""
    index = "by_time" if mac is None else "by_device"
    where = "(time, id) > (:time, :id) AND time < :until" + " AND mac = :mac" * (mac is not None)
    query = f"SELECT {SELECTED} FROM reading WHERE id IN ({_ids(index, where, where, 'ASC')}) {_OLDEST_FIRST}"  # noqa: S608  constants
    values = {"mac": mac, "time": place[0], "id": place[1], "until": until, "limit": limit}
    return _rows(fetch(connection, query, values))


def points(
    connection: sqlite3.Connection, mac: Address, quantity: str, since: float, until: float, buckets: int
) -> list[Point]:
    """The buckets of a plot, of equal width. Those of ten minutes and more are made of the summaries, so a year of data
    takes well under a second.
    """
    if not _QUANTITY.fullmatch(quantity) or not until > since or buckets < 1:
        return []
    width = (until - since) / buckets
    value = 'CASE WHEN json_valid("values") THEN json_extract("values", :path) END AS value'
    if width >= SLOT:
        tail = f"SELECT time, {value} FROM reading WHERE id > {_POSITION} AND mac = :mac"  # noqa: S608  constants
        rows = (
            "SELECT slot, low, high, total, count FROM summary WHERE mac = :mac AND quantity = :quantity UNION ALL "  # noqa: S608  constants
            f"SELECT CAST(time / :slot AS INTEGER), value, value, value, 1 FROM ({tail}) WHERE {_NUMBER}"
        )
        at, within = "slot * :slot + :slot / 2", "slot >= :first AND slot < :last"
    else:
        where = "mac = :mac AND time >= :since AND time < :until"
        behind = f"SELECT id FROM reading WHERE id > {_POSITION} AND {where}"  # noqa: S608  constants
        ids = f"SELECT id FROM by_device WHERE {where} UNION ALL {behind}"  # noqa: S608  constants
        rows = (
            "SELECT time, value AS low, value AS high, value AS total, 1 AS count FROM "  # noqa: S608  constants
            f"(SELECT time, {value} FROM reading WHERE id IN ({ids})) WHERE {_NUMBER}"
        )
        at, within = "time", "true"
    query = (
        f"SELECT min(CAST(({at} - :since) / :width AS INTEGER), :buckets - 1) AS bucket, min(low), "  # noqa: S608  constants
        f"sum(total) / sum(count), max(high), sum(count) FROM ({rows}) WHERE {within} GROUP BY bucket ORDER BY bucket"
    )
    values = {
        "mac": mac,
        "quantity": quantity,
        "path": f'$."{quantity}"',
        "since": since,
        "until": until,
        "width": width,
        "buckets": buckets,
        "slot": float(SLOT),
        "first": since // SLOT,
        "last": -(-until // SLOT),
    }
    found = connection.execute(query, values)
    return [
        Point(since + (max(bucket, 0) + 0.5) * width, float(low), float(mean), float(high), count)
        for bucket, low, mean, high, count in found
    ]


def hours(connection: sqlite3.Connection, mac: Address, since: float) -> set[int]:
    """The hours (``time // 3600``) in which a device has a reading."""
    found = connection.execute(
        f"SELECT CAST(time / 3600 AS INTEGER) FROM by_device WHERE mac = ?1 AND time >= ?2 UNION "  # noqa: S608  constants
        f"SELECT CAST(time / 3600 AS INTEGER) FROM reading WHERE id > {_POSITION} AND mac = ?1 AND time >= ?2",
        (mac, since),
    )
    return {hour for (hour,) in found}


def log_times(connection: sqlite3.Connection, mac: Address) -> list[float]:
    """The times of the entries of a device's own log, oldest first."""
    found = connection.execute(
        f"SELECT time FROM by_log WHERE mac = ?1 UNION ALL "  # noqa: S608  constants
        f"SELECT time FROM reading WHERE id > {_POSITION} AND mac = ?1 AND source = 'history' ORDER BY time",
        (mac,),
    )
    return [time for (time,) in found]


def reception(connection: sqlite3.Connection, since: float) -> list[Reception]:
    """Which proxy heard which device, hour by hour, oldest first."""
    query = "SELECT proxy, mac, hour, heard, alone, frames FROM hearing WHERE hour >= ? ORDER BY hour"
    return [Reception(*row) for row in fetch(connection, query, (since // 3600,))]


def sealed(connection: sqlite3.Connection, mac: Address, after_id: int, limit: int) -> list[Sealed]:
    """The next frames of a device that wait for its key."""
    query = (
        "SELECT id, mac, time, proxy, rssi, address_type, data, uuid FROM sealed WHERE mac = ? AND id > ? "
        "ORDER BY id LIMIT ?"
    )
    return [Sealed(*row) for row in fetch(connection, query, (mac, after_id, limit))]


def _ids(index: str, where: str, tail: str, order: str) -> str:
    """A query for the first ids in order of time: ``where`` for an index, ``tail`` for the rows that are not in it."""
    indexed = f"SELECT id FROM {index} WHERE {where} ORDER BY time {order}, id {order} LIMIT :limit"  # noqa: S608  constants
    return f"SELECT id FROM ({indexed}) UNION ALL SELECT id FROM reading WHERE id > {_POSITION} AND {tail}"  # noqa: S608  constants


def _rows(records: Iterable[tuple[Any, ...]]) -> list[Row]:
    rows = []
    for record in records:
        with suppress(ValueError, TypeError):
            rows.append(row_of(record))
    return rows
