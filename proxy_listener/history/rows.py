"""What the journal keeps, as values, and a reading's form as one row of its table.

A :class:`Reading` goes in and a tuple of SQLite values comes out (``columns``), and the other way round
(``row_of``). The rule of this file: the way there and back changes nothing, not even 1 into 1.0.
"""

import json
from typing import Any, NamedTuple

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.reading import Event, Reading, Value

COLUMNS = (
    'id, mac, time, name, model, source, proxy, room, rssi, counter, trust, late, "values", events, fires, stale, '
    "identity"
)
"""The columns of the table ``reading``, in the order of :func:`columns`."""

SLOT = 600
"""Seconds of one row of ``summary``, from which plots of more than a few days are drawn."""


@attrs.frozen
class Row:
    """A reading and its place in the journal. Ids only grow.

    ``stored`` is False only in a live feed while storage fails: the reading is told, but not committed yet.
    """

    id: int
    reading: Reading
    stored: bool = True


class Known(NamedTuple):
    """What the duplicate rule needs of a row: its identity, counter, trust, wall time, and whether it was late.

    ``lasting`` is for whoever knows that its device went on with the frame until ``time``.
    """

    identity: bytes
    counter: int | None
    trust: str
    time: float
    late: bool
    lasting: bool = False


class Latest(NamedTuple):
    """A quantity's live state: the newest value that was not stale, its wall time and counter."""

    value: Value
    time: float
    counter: int | None


class Device(NamedTuple):
    """A device that the journal knows: how its newest reading named it, when that was, and how many there were."""

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


class Hearing(NamedTuple):
    """How many of a device's frames one proxy heard within one hour (``time // 3600``), how many of these nobody else
    did, and how many any proxy did.
    """

    proxy: str
    mac: Address
    hour: int
    heard: int
    alone: int
    frames: int


class Sealed(NamedTuple):
    """An encrypted frame that waits for its key. ``data`` is the service data; ``id`` is for :meth:`Journal.unseal`."""

    id: int
    mac: Address
    time: float
    proxy: str
    rssi: int
    address_type: int
    data: bytes


@attrs.frozen
class Storage:
    """How the journal's storage is. ``waiting`` readings are not committed yet, ``lost`` never will be."""

    ok: bool
    error: str | None  # what the last failed commit said
    waiting: int
    lost: int  # pushed out of the full buffer while storage failed
    clashes: int  # refused by a unique index: the journal had them
    refused: int  # not storable: a number beyond 64 bits, text that is no Unicode
    alarm: str | None  # what happened to a damaged or foreign file
    size: int  # bytes of the file in use, which [history] max_size bounds


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def columns(row: Row) -> tuple[Any, ...]:
    """The row as SQLite values. ValueError for a number that JSON has not (NaN)."""
    r = row.reading
    events = [[event.event, event.type, dict(event.properties)] for event in r.events]
    return (
        row.id,
        r.mac,
        r.time,
        r.name,
        r.model,
        r.source,
        r.proxy,
        r.room,
        r.rssi,
        r.counter,
        r.trust,
        int(r.late),
        _compact(dict(r.values)),
        _compact(events) if events else None,
        int(r.fires),
        _compact(sorted(r.stale)) if r.stale else None,
        r.identity,
    )


def row_of(record: tuple[Any, ...]) -> Row:
    """The row whose :func:`columns` are ``record``. ValueError or TypeError where a damaged file garbled it."""
    (id_, mac, time, name, model, source, proxy, room, rssi, counter, trust, late, values, events, *rest) = record
    fires, stale, identity = rest
    return Row(
        id_,
        Reading(
            time=time,
            mac=mac,
            name=name,
            model=model,
            source=source,
            proxy=proxy,
            room=room,
            rssi=rssi,
            counter=counter,
            trust=trust,
            late=bool(late),
            values=json.loads(values),
            events=tuple(Event(*event) for event in json.loads(events)) if events else (),
            fires=bool(fires),
            stale=frozenset(json.loads(stale)) if stale else frozenset(),
            identity=identity,
        ),
    )
