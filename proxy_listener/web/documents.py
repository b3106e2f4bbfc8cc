"""Values of the house -> JSON documents, their keys the fields' names.

The rule of this file: a MAC is text, an enum its word, a time of the wall an ISO timestamp; what is monotonic never
leaves, so everything else that tells time is an age in seconds. Numbers are finite.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from proxy_listener.model.advertisement import ADDRESS_TYPES, mac_text
from proxy_listener.model.reading import Reading, timestamp
from proxy_listener.model.status import DeviceStatus, Heard, ProxyStatus

Document = dict[str, Any]

MACS = {"mac", "unheard", "lost_without"}
"""Fields that hold MACs: one, several, or as keys."""


def plain(value: Any) -> Any:
    """Any value that an action answers with, as JSON knows it."""
    if attrs.has(type(value)):
        shown = [field.name for field in attrs.fields(type(value)) if not field.metadata.get("internal")]
        fields = {name: getattr(value, name) for name in shown}
        return {name: plain(_with_macs(held) if name in MACS else held) for name, held in fields.items()}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        return [plain(item) for item in value]
    return value if isinstance(value, bool | int | None) else str(value)


def _with_macs(value: Any) -> Any:
    if isinstance(value, int):
        return mac_text(value)
    if isinstance(value, Mapping):
        return {mac_text(mac): item for mac, item in value.items()}
    return value if value is None else [mac_text(mac) for mac in value]


def text(document: Any) -> str:
    """One line of JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def proxy_document(proxy: ProxyStatus) -> Document:
    """A proxy, as every listing shows it."""
    document: Document = plain(proxy)
    return document


def heard_document(heard: Heard) -> Document:
    """How one proxy hears a device."""
    document: Document = plain(heard)
    known = 0 <= heard.address_type < len(ADDRESS_TYPES)
    document["address_type"] = ADDRESS_TYPES[heard.address_type] if known else None
    return document


def event_document(reading: Reading, now: float) -> Document:
    """The last event of a reading that has some, with when that was."""
    event = reading.events[-1]
    when = {"time": timestamp(reading.time), "age": round(max(0.0, now - reading.time), 1)}
    return {"event": event.event, "type": event.type, **plain(event.properties), **when}


def device_document(device: DeviceStatus, now: float, happened: Reading | None = None) -> Document:
    """A device, as every listing shows it, and what happened last there.

    ``now`` is seconds since 1970, from which the values' ages follow.
    """
    document: Document = plain(attrs.evolve(device, values={}, heard=()))
    document["values"] = {
        quantity: {"value": plain(value), "time": timestamp(time), "age": round(max(0.0, now - time), 1)}
        for quantity, (value, time) in device.values.items()
    }
    document["event"] = event_document(happened, now) if happened else None
    document["heard"] = [heard_document(heard) for heard in device.heard]
    return document
