"""JSON documents of the API: their types, and how values become documents.

In: attrs values of this program. Out: dictionaries whose keys are the names of the fields.

A MAC is text, an enum its value, a wall-clock time an ISO 8601 timestamp. Monotonic times never appear: every other
time is an age in seconds. Numbers are finite; NaN and infinity become null.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias, TypedDict

import attrs

from proxy_listener.history import Storage
from proxy_listener.model.advertisement import ADDRESS_TYPES, mac_text
from proxy_listener.model.reading import Reading, Value, timestamp
from proxy_listener.model.status import Admissions, DeviceStatus, DialInStatus, Heard, KeyState, ProxyStatus
from proxy_listener.reads import Progress, ReadReport

Document = dict[str, Any]

# Annotations are pairs of JSON Schema, for the description of the API.
Mac: TypeAlias = Annotated[str, ("pattern", "^([0-9A-F]{2}:){5}[0-9A-F]{2}$")]
Time: TypeAlias = Annotated[str, ("format", "date-time")]
Seconds: TypeAlias = Annotated[float, ("description", "seconds")]

MACS = {"mac", "unheard", "lost_without", "links"}
"""Fields that hold MACs: one, several, or as keys."""


class LatestValue(TypedDict):
    """The latest value of a quantity."""

    value: Value | None
    time: Time
    age: Seconds


class KeptFrames(TypedDict):
    """Encrypted frames of a device that are kept until its bindkey is entered."""

    frames: int
    since: Time


class EventFields(TypedDict):
    """An event, with its properties as further fields."""

    event: str
    type: str


class LastEvent(EventFields):
    """The last event of a device, with its properties as further fields."""

    time: Time
    age: Seconds


class Status(TypedDict):
    """The state of the service."""

    version: str
    pid: int
    uptime: Seconds
    storage: Storage
    outcomes: Mapping[str, int]
    skipped: Mapping[str, int]
    proxies: Sequence[ProxyStatus]
    admissions: Admissions
    dial_in: DialInStatus | None


class Health(TypedDict):
    """Whether readings can be stored and a proxy streams. ``cause`` says why not, or what happened to the history's
    file; empty where all is well.
    """

    ok: bool
    cause: str


Bucket: TypeAlias = Annotated[
    list[float],
    ("description", "time in seconds since 1970, least, mean, greatest"),
    ("minItems", 4),
    ("maxItems", 4),
]


class Series(TypedDict):
    """Curves by quantity; ``width`` is the seconds of one bucket."""

    since: float
    until: float
    width: Seconds
    series: Mapping[str, Sequence[Bucket]]


class ReadRequest(TypedDict, total=False):
    """``history``: also download the device's log. ``set_clock``: also set its clock to local time."""

    history: bool
    set_clock: bool


class ReadLine(TypedDict, total=False):
    """One line of a read's answer: ``progress``, or in the last line ``result``."""

    progress: Progress
    result: ReadReport


class CaptureLine(TypedDict):
    """A capture line: one advertisement."""

    time: float
    proxy: str
    mac: Mac
    address_type: Literal["public", "random"]
    rssi: int
    data: Annotated[str, ("description", "the advertising payload in hex")]


class Error(TypedDict):
    """The body of every error."""

    error: int
    message: str


def internal_fields(record: type) -> set[str]:
    """The fields of an attrs class that are marked as internal and never leave the program."""
    fields = attrs.fields(record) if attrs.has(record) else ()
    return {field.name for field in fields if field.metadata.get("internal")}


def plain(value: Any) -> Any:
    """A value as JSON types. The keys of an attrs value are the names of its fields."""
    if attrs.has(type(value)):
        names = [field.name for field in attrs.fields(type(value)) if field.name not in internal_fields(type(value))]
        fields = {name: getattr(value, name) for name in names}
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


def _age(time: float, now: float) -> float:
    return round(max(0.0, now - time), 1)


def _heard_document(heard: Heard) -> Document:
    known = 0 <= heard.address_type < len(ADDRESS_TYPES)
    return {**plain(heard), "address_type": ADDRESS_TYPES[heard.address_type] if known else None}


def _event_document(reading: Reading, now: float) -> Document:
    event = reading.events[-1]
    when = {"time": timestamp(reading.time), "age": _age(reading.time, now)}
    return {"event": event.event, "type": event.type, **plain(event.properties), **when}


_ENTER = (
    "Get it from the Xiaomi account that the device was added to, with a key extractor. Enter it with proxy-listener "
    "keys import, or as bindkey in its [[device]] entry in devices.toml, and reload."
)
"""Where a bindkey comes from and where it goes (docs/configuration.md#bindkeys)."""

_KEYS: Mapping[KeyState, tuple[str, str]] = {
    KeyState.MISSING: ("sends encrypted frames and has no bindkey", _ENTER),
    KeyState.WRONG: (
        "sends frames that its bindkey does not verify",
        f"Adding a device to the app again changes its bindkey. {_ENTER}",
    ),
}
"""State of a bindkey -> why its frames give nothing, and what to do about it."""

_NEIGHBOUR = " If it is not yours, nothing needs to be done."


def _key_advice(device: DeviceStatus) -> tuple[str, str]:
    cause, advice = _KEYS.get(device.key, ("", ""))
    return cause, advice + _NEIGHBOUR if advice and not device.listed else advice


def device_document(
    device: DeviceStatus, now: float, last_event: Reading | None = None, kept: KeptFrames | None = None
) -> Document:
    """A device, as every listing shows it. ``now`` is seconds since 1970; ``last_event`` the reading that has it;
    ``kept`` its frames that wait for a bindkey.
    """
    document: Document = plain(attrs.evolve(device, values={}, heard=()))
    document["values"] = {
        quantity: LatestValue(value=plain(value), time=timestamp(time), age=_age(time, now))
        for quantity, (value, time) in device.values.items()
    }
    document["event"] = _event_document(last_event, now) if last_event else None
    document["cause"], document["advice"] = _key_advice(device)
    document["kept"] = kept
    document["heard"] = [_heard_document(heard) for heard in device.heard]
    return document
