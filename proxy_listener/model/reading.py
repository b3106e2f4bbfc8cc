"""One frame, decoded, and its form as JSON.

Values are numbers, booleans or text, each in Home Assistant's unit for its quantity (°C, %, lx, µS/cm, kg, Ω, mg/m³,
V, s, min). The JSON keys and their order are a contract, because other programs read them.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import attrs

from proxy_listener.model.advertisement import Address, mac_text

Value: TypeAlias = bool | int | float | str
Source: TypeAlias = Literal["advertisement", "read", "history"]
Trust: TypeAlias = Literal["authenticated", "encrypted", "claimed"]
"""``authenticated``: a v4/v5 tag verified. ``encrypted``: legacy v2/v3, which proves nothing. ``claimed``: plain."""


@attrs.frozen
class Event:
    """Something that happened once: ``Event("dimmer", "rotate_left", {"steps": 3})``."""

    event: str
    type: str
    properties: Mapping[str, Value] = attrs.field(factory=dict)


@attrs.frozen
class Reading:
    """One frame, decoded, or the answer of an active read.

    ``counter`` has the extended counter as its upper bits; None where there is none. ``late`` means that a newer frame
    of the device was already known: its events are not fired unless ``fires`` says so (it was late by an instant
    only), and the values named in ``stale`` do not move the live state: a newer frame wrote them, or they leapt in a
    claimed frame and no second one has agreed.
    ``identity`` is what the duplicate rule knows the frame by; empty for reads and log entries, whose identity is
    (MAC, source, time).
    """

    time: float
    mac: Address
    name: str
    model: str
    source: Source
    proxy: str
    room: str
    rssi: int | None
    counter: int | None
    trust: Trust
    late: bool
    values: Mapping[str, Value]
    events: tuple[Event, ...] = ()
    fires: bool = True
    stale: frozenset[str] = frozenset()
    identity: bytes = b""


def timestamp(time: float) -> str:
    """Seconds since 1970 -> ``2026-11-22T18:04:05.123Z``."""
    return datetime.fromtimestamp(round(time * 1000) / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def as_json(reading: Reading) -> str:
    """The reading as one line of JSON, without the line's end. An event that fires although late says so."""
    document = {
        "time": timestamp(reading.time),
        "mac": mac_text(reading.mac),
        "name": reading.name,
        "model": reading.model,
        "source": reading.source,
        "proxy": reading.proxy,
        "room": reading.room,
        "rssi": reading.rssi,
        "counter": reading.counter,
        "trust": reading.trust,
        "late": reading.late,
        "values": dict(reading.values),
        "events": [
            {"event": event.event, "type": event.type, **event.properties}
            | ({"fired": True} if reading.late and reading.fires else {})
            for event in reading.events
        ],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
