r"""THE TABLE of BTHome objects: one row an id, for both versions. In: the objects of a frame. Out: values and events.

::

    version 2   [id][data: as many bytes as the id's row says] ...      no length, but for these three:
                [53 text][length][text]   [54 raw][length][bytes]   [3B command][arguments: low 5 bits][code][arguments]
    version 1   [format: 3 bits, length: 5 bits][id][data: length - 1] ...
                formats: 0 unsigned, 1 signed, 2 float of 2, 4 or 8 bytes, 3 text, 4 raw, 5 seconds since 1970

Numbers are little endian, divided by the row's scale. Nothing tells the length of an unknown id of version 2, so it
ends the walk, and what came before it counts. A value outside its range is left out, and the others count.

Several objects that say the same in one frame are different things: they are numbered by their position
(``temperature_1``, ``temperature_2``). A button that was not pressed (0x00) holds its place and is no event.

Source: bthome.io/format, bthome-ble 3.25.0. Ids and their oddities: docs/protocol/bthome.md.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias

import attrs

from proxy_listener.formats.layout import NOTHING_SKIPPED, Found, Skipped, Values
from proxy_listener.model import quantities as q
from proxy_listener.model.quantities import Quantity
from proxy_listener.model.reading import Event, Value
from proxy_listener.model.text import printable

PACKET_ID = 0x00

NUMBERED_LIMIT = 16
"""Objects of one kind in a frame, at most: 15 fit into a legacy advertisement."""

POUND_KG = 0.45359237

Kind: TypeAlias = Literal["number", "flag", "button", "dimmer", "command", "text", "raw", "time", "firmware", "nothing"]


@attrs.frozen
class BthomeRow:
    """One object. ``size``: bytes of its data in version 2, 0 where a length byte says it. ``scale``: a raw number
    times ``times`` divided by ``per``.
    """

    kind: Kind
    size: int
    quantity: Quantity | None = None
    signed: bool = False
    per: int = 1
    times: float = 1


def _u(quantity: Quantity, size: int, per: int = 1, times: float = 1) -> BthomeRow:
    return BthomeRow("number", size, quantity, per=per, times=times)


def _s(quantity: Quantity, size: int, per: int = 1, times: float = 1) -> BthomeRow:
    return BthomeRow("number", size, quantity, signed=True, per=per, times=times)


def _flag(quantity: Quantity) -> BthomeRow:
    return BthomeRow("flag", 1, quantity if quantity.form == "flag" else quantity.as_flag())


OBJECTS: Mapping[int, BthomeRow] = {
    PACKET_ID: BthomeRow("nothing", 1),
    0x01: _u(q.BATTERY, 1),
    0x02: _s(q.TEMPERATURE, 2, 100),
    0x03: _u(q.HUMIDITY, 2, 100),
    0x04: _u(q.PRESSURE, 3, 100),
    0x05: _u(q.ILLUMINANCE, 3, 100),
    0x06: _u(q.MASS, 2, 100),
    0x07: _u(q.MASS, 2, 100, POUND_KG),
    0x08: _s(q.DEW_POINT, 2, 100),
    0x09: _u(q.COUNT, 1),
    0x0A: _u(q.ENERGY, 3, 1000),
    0x0B: _u(q.POWER, 3, 100),
    0x0C: _u(q.VOLTAGE, 2, 1000),
    0x0D: _u(q.PM25, 2),
    0x0E: _u(q.PM10, 2),
    0x0F: _flag(q.GENERIC),
    0x10: _flag(q.POWER),
    0x11: _flag(q.OPENING),
    0x12: _u(q.CARBON_DIOXIDE, 2),
    0x13: _u(q.VOC, 2),
    0x14: _u(q.MOISTURE, 2, 100),
    0x15: _flag(q.BATTERY_LOW),
    0x16: _flag(q.BATTERY_CHARGING),
    0x17: _flag(q.CARBON_MONOXIDE),
    0x18: _flag(q.COLD),
    0x19: _flag(q.CONNECTIVITY),
    0x1A: _flag(q.DOOR),
    0x1B: _flag(q.GARAGE_DOOR),
    0x1C: _flag(q.GAS),
    0x1D: _flag(q.HEAT),
    0x1E: _flag(q.LIGHT),
    0x1F: _flag(q.LOCK),
    0x20: _flag(q.MOISTURE),
    0x21: _flag(q.MOTION),
    0x22: _flag(q.MOVING),
    0x23: _flag(q.OCCUPANCY),
    0x24: _flag(q.PLUG),
    0x25: _flag(q.PRESENCE),
    0x26: _flag(q.PROBLEM),
    0x27: _flag(q.RUNNING),
    0x28: _flag(q.SAFETY),
    0x29: _flag(q.SMOKE),
    0x2A: _flag(q.SOUND),
    0x2B: _flag(q.TAMPER),
    0x2C: _flag(q.VIBRATION),
    0x2D: _flag(q.WINDOW),
    0x2E: _u(q.HUMIDITY, 1),
    0x2F: _u(q.MOISTURE, 1),
    0x3A: BthomeRow("button", 1),
    0x3B: BthomeRow("command", 0),
    0x3C: BthomeRow("dimmer", 2),
    0x3D: _u(q.COUNT, 2),
    0x3E: _u(q.COUNT, 4),
    0x3F: _s(q.ROTATION, 2, 10),
    0x40: _u(q.DISTANCE_MM, 2),
    0x41: _u(q.DISTANCE, 2, 10),
    0x42: _u(q.DURATION, 3, 1000),
    0x43: _u(q.CURRENT, 2, 1000),
    0x44: _u(q.SPEED, 2, 100),
    0x45: _s(q.TEMPERATURE, 2, 10),
    0x46: _u(q.UV_INDEX, 1, 10),
    0x47: _u(q.VOLUME, 2, 10),
    0x48: _u(q.VOLUME_ML, 2),
    0x49: _u(q.VOLUME_FLOW_RATE, 2, 1000),
    0x4A: _u(q.VOLTAGE, 2, 10),
    0x4B: _u(q.GAS, 3, 1000),
    0x4C: _u(q.GAS, 4, 1000),
    0x4D: _u(q.ENERGY, 4, 1000),
    0x4E: _u(q.VOLUME, 4, 1000),
    0x4F: _u(q.WATER, 4, 1000),
    0x50: BthomeRow("time", 4, q.TIMESTAMP),
    0x51: _u(q.ACCELERATION, 2, 1000),
    0x52: _u(q.GYROSCOPE, 2, 1000),
    0x53: BthomeRow("text", 0, q.TEXT),
    0x54: BthomeRow("raw", 0, q.RAW),
    0x55: _u(q.VOLUME_STORAGE, 4, 1000),
    0x56: _u(q.CONDUCTIVITY, 2),
    0x57: _s(q.TEMPERATURE, 1),
    0x58: _s(q.TEMPERATURE, 1, 100, 35),
    0x59: _s(q.COUNT, 1),
    0x5A: _s(q.COUNT, 2),
    0x5B: _s(q.COUNT, 4),
    0x5C: _s(q.POWER, 4, 100),
    0x5D: _s(q.CURRENT, 2, 1000),
    0x5E: _u(q.DIRECTION, 2, 100),
    0x5F: _u(q.PRECIPITATION, 2, 10),
    0x60: _u(q.CHANNEL, 1),
    0x61: _u(q.ROTATIONAL_SPEED, 2),
    0x62: _s(q.SPEED, 4, 1_000_000),
    0x63: _s(q.ACCELERATION, 4, 1_000_000),
    0x64: _u(q.LIGHT_LEVEL, 1),
    0x65: _u(q.SETTINGS_REVISION, 1),
    0xF0: BthomeRow("nothing", 2),  # the maker's id of the device's type
    0xF1: BthomeRow("firmware", 4, q.FIRMWARE),
    0xF2: BthomeRow("firmware", 3, q.FIRMWARE),
}

PRESSES: Mapping[int, str] = {
    0x01: "press",
    0x02: "double_press",
    0x03: "triple_press",
    0x04: "long_press",
    0x05: "long_double_press",
    0x06: "long_triple_press",
    0x80: "hold_press",
    0x81: "hold_release",
    0xFE: "hold_press",  # Shelly's firmware 1.0.7 (home-assistant/core#96605)
}
TURNS: Mapping[int, str] = {0x01: "rotate_left", 0x02: "rotate_right"}
COMMANDS: Mapping[int, str] = {0x00: "off", 0x01: "on", 0x02: "toggle", 0x03: "step_up", 0x04: "step_down"}

CHANNEL = 0x60
_ARGUMENTS = 0x1F


class Object(NamedTuple):
    """One object: its id, where it begins and ends, its data, and of version 1 the data's format."""

    id: int
    at: int
    end: int
    data: bytes
    form: int | None = None


class Walk(NamedTuple):
    """The objects of a frame. ``unknown``: the ids that were not read; ``short``: the last object is cut off."""

    objects: tuple[Object, ...]
    unknown: tuple[int, ...] = ()
    short: bool = False


def walk_v2(body: bytes) -> Walk:
    """Up to the end, or to an unknown id."""
    found: list[Object] = []
    at, end = 0, len(body)
    while at < end:
        object_id = body[at]
        row = OBJECTS.get(object_id)
        if row is None:
            return Walk(tuple(found), (object_id,))
        start, size = at + 1, row.size
        if size == 0:
            if start >= end:
                return Walk(tuple(found), short=True)
            size = 1 + (body[start] & _ARGUMENTS) if row.kind == "command" else body[start]
            start += 1
        if start + size > end:
            return Walk(tuple(found), short=True)
        found.append(Object(object_id, at, start + size, body[start : start + size]))
        at = start + size
    return Walk(tuple(found))


def walk_v1(body: bytes) -> Walk:
    """Up to the end; unknown ids are passed over by their lengths."""
    found: list[Object] = []
    unknown: list[int] = []
    at, end = 0, len(body)
    while at < end:
        size = body[at] & 0x1F
        if size == 0 or at + 1 + size > end:
            return Walk(tuple(found), tuple(unknown), short=True)
        object_id = body[at + 1]
        if object_id in OBJECTS:
            after = at + 1 + size
            found.append(Object(object_id, at, after, body[at + 2 : after], body[at] >> 5))
        else:
            unknown.append(object_id)
        at += 1 + size
    return Walk(tuple(found), tuple(unknown))


def packet_id(walk: Walk) -> int | None:
    """The frame's counter; None where it has none."""
    return next((found.data[0] for found in walk.objects if found.id == PACKET_ID and found.data), None)


def says_something(walk: Walk) -> bool:
    """Whether there is more in it than a packet id, the device's type, and buttons that were not pressed."""
    return bool(walk.unknown or walk.short or any(_tells(found) for found in walk.objects))


def _tells(found: Object) -> bool:
    kind = OBJECTS[found.id].kind
    return kind != "nothing" and not (kind in {"button", "dimmer"} and found.data[:1] in {b"", b"\x00"})


def read(walk: Walk) -> Found:
    """What the objects say, with numbers where several say the same."""
    said = [(name, value) for name, value in _said(walk) if name]
    times: dict[str, int] = {}
    for name, _ in said:
        times[name] = times.get(name, 0) + 1
    values: Values = {}
    events: list[Event] = []
    implausible: list[str] = []
    position: dict[str, int] = {}
    for name, value in said:
        place = position[name] = position.get(name, 0) + 1
        if place > NUMBERED_LIMIT:
            continue
        full = f"{name}_{place}" if times[name] > 1 and name not in _ONE else name
        if isinstance(value, Event):
            events.append(attrs.evolve(value, event=full))
        elif isinstance(value, _Out):
            implausible.append(name)
        elif value is not None:
            values[full] = value
    if not implausible and not walk.unknown and not walk.short:
        return values, tuple(events), NOTHING_SKIPPED
    return values, tuple(events), Skipped(walk.unknown, walk.short, tuple(implausible))


_ONE = frozenset({q.FIRMWARE.name})
"""What a device has one of: it is not numbered, and the last counts."""


class _Out:
    """A value outside its range."""


_OUT = _Out()

_Said: TypeAlias = "Value | Event | _Out | None"
"""None: nothing is said, and the place counts."""


def _said(walk: Walk) -> Iterator[tuple[str, _Said]]:
    channel: int | None = None
    for found in walk.objects:
        row = OBJECTS[found.id]
        if not found.data:
            # An empty text or raw object is to be passed over, says the specification; others only version 1 has.
            continue
        said = _READ[row.kind](row, found)
        name = row.quantity.name if row.quantity is not None else "" if row.kind == "nothing" else row.kind
        if found.id == CHANNEL and isinstance(said, int):
            channel = said
        if isinstance(said, Event) and channel is not None:
            said = attrs.evolve(said, properties={**said.properties, "channel": channel})
        yield name, said


def _number(row: BthomeRow, found: Object) -> _Said:
    raw: float | None
    if found.form == _FLOAT:
        raw = _float(found.data)
    else:
        signed = row.signed if found.form is None else found.form == _SIGNED
        raw = int.from_bytes(found.data, "little", signed=signed)
    quantity = row.quantity
    if raw is None or quantity is None or quantity.low is None or quantity.high is None:
        return _OUT
    value = raw if row.per == 1 else raw / row.per if row.times == 1 else round(raw * row.times / row.per, 2)
    return value if quantity.low <= value <= quantity.high else _OUT


_SIGNED, _FLOAT = 1, 2
_FLOATS = {2: struct.Struct("<e"), 4: struct.Struct("<f"), 8: struct.Struct("<d")}


def _float(data: bytes) -> float | None:
    packed = _FLOATS.get(len(data))
    if packed is None:
        return None
    (number,) = packed.unpack(data)
    return round(number, 6) if abs(number) < 2**53 else None  # so written, NaN is none


def _is_on(_row: BthomeRow, found: Object) -> _Said:
    return any(found.data)


def _press(_row: BthomeRow, found: Object) -> _Said:
    kind = PRESSES.get(found.data[0])
    return Event("button", kind) if kind is not None else None


def _turn(_row: BthomeRow, found: Object) -> _Said:
    kind = TURNS.get(found.data[0])
    return Event("dimmer", kind, {"steps": found.data[1]} if len(found.data) > 1 else {}) if kind is not None else None


def _command(_row: BthomeRow, found: Object) -> _Said:
    code, arguments = found.data[0], found.data[1:]
    properties: dict[str, Value] = {} if code in COMMANDS else {"code": code}
    if arguments:
        properties["args"] = arguments.hex()
    return Event("command", COMMANDS.get(code, "other"), properties)


def _text(_row: BthomeRow, found: Object) -> _Said:
    try:
        return printable(found.data.decode())
    except UnicodeDecodeError:
        return _OUT


def _hex(_row: BthomeRow, found: Object) -> _Said:
    return found.data.hex()


def _time(_row: BthomeRow, found: Object) -> _Said:
    return datetime.fromtimestamp(int.from_bytes(found.data[:4], "little"), UTC).isoformat()


def _firmware(_row: BthomeRow, found: Object) -> _Said:
    return ".".join(str(part) for part in reversed(found.data))


def _nothing(_row: BthomeRow, _found: Object) -> _Said:
    return None


_READ: Mapping[Kind, Callable[[BthomeRow, Object], _Said]] = {
    "number": _number,
    "flag": _is_on,
    "button": _press,
    "dimmer": _turn,
    "command": _command,
    "text": _text,
    "raw": _hex,
    "time": _time,
    "firmware": _firmware,
    "nothing": _nothing,
}
