"""THE TABLE: object id -> layout and quantity.

::

    object = [id u16][length u8][data ...]         a body is a sequence of objects

An object is one row: a layout where the bytes are numbers, codes where a byte is one of a list of meanings, a function
for everything else. What an id means on one model only stands in ``_OF_MODEL``.

Ids from 0x4000 follow a rule of Xiaomi's MIoT definitions: 0x4000 + service * 1024 + (512 if an event) + number - 1000.
Standard numbers mean the same on every service, so ``_PROPERTIES`` and ``_EVENTS`` have one row for fifteen ids each
(docs/protocol/mibeacon-objects.md#the-miot-rule).
"""

from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

from proxy_listener.formats.layout import (
    HEADER,
    NOTHING_SKIPPED,
    Code,
    Decoded,
    Events,
    Found,
    Implausible,
    ObjectRow,
    Reader,
    Skipped,
    Values,
    codes,
    f32,
    fires,
    flag,
    function,
    i8,
    i16,
    layout,
    nothing,
    says,
    sets,
    u8,
    u16,
    u24,
    u32,
)
from proxy_listener.formats.xiaomi import bodies, locks, states
from proxy_listener.formats.xiaomi.buttons import (
    KEYS_AND_KNOB,
    KNOB,
    KNOB_F2,
    KNOB_K4,
    TIMERS,
    coded_press,
    cube,
    dimmer,
    keys_by_service,
    press_event,
    pressed,
)
from proxy_listener.formats.xiaomi.miot_locks import LOCKS
from proxy_listener.formats.xiaomi.models import MODELS, NUMBERED
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.models import Buttons, Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.quantities import (
    ASLEEP,
    BATTERY,
    BATTERY_LOW,
    BOTTOM_SUBMERSION,
    CONDUCTIVITY,
    CONSUMABLE,
    FORMALDEHYDE,
    HUMIDITY,
    ILLUMINANCE,
    LIGHT,
    MASS,
    MOISTURE,
    MOTION,
    MOTION_TIME,
    OCCUPANCY,
    OCCUPANCY_CLOSE_RANGE,
    POWER,
    PRESSURE_NOT_PRESENT_DURATION,
    PRESSURE_NOT_PRESENT_TIME_SET,
    PRESSURE_PRESENT_DURATION,
    PRESSURE_PRESENT_TIME_SET,
    PULSE_COUNT,
    RSSI,
    SNORING,
    TEMPERATURE,
    TOP_SPLASH,
)
from proxy_listener.model.reading import Event

Readers: TypeAlias = Mapping[bytes, tuple[Reader, int]]
"""An object's three header bytes -> its reader, and its size with them. An id with a length that its row has is one
look-up."""

OBJECT_HEADER = HEADER

_RESET = fires("device", "reset")


def _handle_lifted(*, to: bool) -> Code:
    return Code({"armed": to, "lock": to, "lock_method": "manual"}, (Event("lock", "lock_outside_the_door"),))


_CLOSED = says(opening=False, door_left_open=False, device_forcibly_removed=False)


_DOOR = {
    0: says(door=True, door_stuck=False, knock_on_the_door=False),
    1: says(door=False, door_left_open=False, pry_the_door=False),
    2: says(door=True, door_left_open=True),
    3: says(door=False, knock_on_the_door=True),
    4: says(door=True, pry_the_door=True),
    5: says(door=False, door_stuck=True),
}

_OPENING = {
    0: says(opening=True),
    1: says(opening=False, door_left_open=False),
    2: says(opening=True, door_left_open=True),
    3: _RESET,
}

_ASLEEP = {0: says(asleep=False), 1: says(asleep=True), 2: fires("button", "double_press")}

_STANDARD: Mapping[int, ObjectRow] = {
    0x0003: function(states.motion_detected, 1),
    0x0006: function(locks.fingerprint, 5),
    0x0007: codes(_DOOR, 1, 5),
    0x0008: codes({0: says(armed=True), 1: says(armed=False)}, 1, 5),
    0x000A: function(bodies.body_temperature, 2),
    0x000B: function(locks.lock(), 9),
    0x000C: layout(flag(MOISTURE)),
    0x000D: codes(states.SMOKE_CODES),
    0x000E: codes(states.GAS_CODES),
    0x000F: function(states.motion_alone, 3),
    0x0010: function(bodies.brushing, 1, 2),
    0x1002: layout(flag(ASLEEP)),
    0x1003: layout(i8(RSSI)),
    0x1004: layout(i16(TEMPERATURE, per=10)),
    0x1005: function(states.kettle, 2),
    0x1006: layout(u16(HUMIDITY, per=10)),
    0x1007: layout(u24(ILLUMINANCE)),
    0x1008: layout(u8(MOISTURE)),
    0x1009: layout(u16(CONDUCTIVITY)),
    0x100A: layout(u8(BATTERY)),
    0x100D: layout(i16(TEMPERATURE, per=10), u16(HUMIDITY, per=10)),
    0x100E: function(locks.bolts, 1),
    0x100F: codes({0: says(door=True), 1: says(door=False)}),
    0x1010: layout(u16(FORMALDEHYDE, per=100)),
    0x1012: layout(flag(POWER)),
    0x1013: layout(u8(CONSUMABLE)),
    0x1014: layout(flag(MOISTURE)),
    0x1015: codes(states.SMOKE_CODES),
    0x1016: codes(states.GAS_CODES),
    0x1017: function(states.idle, 4),
    0x1018: layout(flag(LIGHT)),
    0x1019: codes(_OPENING),
    0x101A: layout(u16(MASS, per=1000)),
    0x101B: function(states.motion_ended, 4),
    0x2000: function(bodies.fitted_temperature, 5),
    0x20E1: layout(u32(PULSE_COUNT)),
    0x3003: function(bodies.brushed, 5, 6),
    0x480C: codes({0: says(opening=True), 1: says(opening=False)}),
    0x4818: function(states.idle, 2),
    0x483C: layout(flag(OCCUPANCY)),
    0x483D: layout(u32(PRESSURE_PRESENT_DURATION)),
    0x483E: layout(u32(PRESSURE_NOT_PRESENT_DURATION)),
    0x483F: layout(u32(PRESSURE_PRESENT_TIME_SET)),
    0x4840: layout(u32(PRESSURE_NOT_PRESENT_TIME_SET)),
    0x484F: function(states.idle_minutes, 1),
    0x4850: layout(u8(MOTION_TIME)),
    0x4851: function(states.minutes("duration_detected"), 1, 2, 4),
    0x4852: function(states.minutes("duration_cleared"), 1, 2, 4),
    0x4A0F: codes({1: says(opening=True, device_forcibly_removed=True)}),
    0x4A12: codes({1: says(opening=True), 2: _CLOSED}),
    0x4A13: codes({1: fires("button", "press")}),
    0x4A1A: codes({1: says(opening=True, door_left_open=True)}),
    0x4A1C: function(states.reset, 1),
    0x4C14: nothing(1),  # mode
    0x4E1C: function(states.reset, 0, 1),
    0x5414: nothing(1),  # mode
}

_PROPERTIES: Mapping[int, ObjectRow] = {
    1001: layout(f32(TEMPERATURE)),
    1002: layout(u8(HUMIDITY)),
    1003: layout(u8(BATTERY)),
    1005: layout(f32(ILLUMINANCE)),
    1006: layout(flag(MOISTURE)),
    1008: layout(f32(HUMIDITY)),
    1078: layout(flag(OCCUPANCY)),
    1096: function(states.occupied, 4),
}

_EVENTS: Mapping[int, ObjectRow] = {
    1001: function(states.low_battery, 0, 1),
    1008: layout(f32(ILLUMINANCE), sets(MOTION, to=True)),
}

_PRESSES: Mapping[int, str] = {1012: "press", 1013: "double_press", 1014: "long_press"}

_PILLOW: Mapping[int, ObjectRow] = {
    0x4810: codes(_ASLEEP),
    0x4811: layout(flag(SNORING)),
    0x4E16: codes({1: says(bed_occupancy=True)}),
    0x4E17: codes({1: says(bed_occupancy=False)}),
    0x5010: codes(_ASLEEP),
    0x5011: layout(flag(SNORING)),
    0x5A16: codes({1: says(bed_occupancy=True), 2: says(bed_occupancy=False), 3: fires("button", "double_press")}),
}

_S400 = {0x6E16: function(bodies.s400, 9)}

_BAND: Mapping[int, ObjectRow] = {
    0x5422: codes(
        {0: says(charging_state="Charging"), 1: says(charging_state="Not Charging"), 2: says(charging_state="Full")}
    ),
    0x5810: codes({0: says(asleep=True), 1: says(asleep=False)}),
    0x6461: codes({0: says(wearing=True), 1: says(wearing=False)}),
}

_MOTION_SETTING = {0x4835: nothing(1)}
"""Minutes until it says "no motion", as set."""

_SMOKE_2: Mapping[int, ObjectRow] = {
    0x4804: codes(states.SMOKE_2_CODES),
    0x4836: nothing(1),  # sensitivity, as set
    0x483B: nothing(1),  # silenced or not
    0x4882: nothing(4),  # seconds of an alarm
    0x4A11: function(states.smoke_2_alarm, 9),
    0x5884: layout(flag(BATTERY_LOW)),
}

_WATER: Mapping[int, ObjectRow] = {0x4806: layout(flag(BOTTOM_SUBMERSION))}

_OF_MODEL: Mapping[str, Mapping[int, ObjectRow]] = {
    "CGPR1": {0x000F: layout(u24(ILLUMINANCE), sets(MOTION, to=True))},
    "DSL-C08": {
        # Lifting the handle outside locks the door; the object elsewhere means "armed" only.
        0x0008: codes({0: _handle_lifted(to=True), 1: _handle_lifted(to=False)}, 1, 5),
        0x000B: function(locks.dsl_lock, 9),
    },
    "ES3": {0x5412: nothing(1)},  # a setting
    "ES5BB": {0x5413: layout(flag(OCCUPANCY_CLOSE_RANGE)), 0x5661: codes(states.RADAR_CODES)},
    "HS3BB": _MOTION_SETTING,
    "IZQ-BLE": {0x4C20: nothing(1)},  # its light, on or off
    "K9BB-1BTN": {0x4E0C: function(coded_press({1: "press", 8: "long_press", 15: "double_press"}), 1)},
    "M2456B1": _BAND,
    "M2457B1": _BAND,
    "MCCGQ02HL": {0x1007: function(states.light_flag, 3)},
    "MJTZC01YM": _S400,
    "MJTZC02YM": {0x4E16: function(bodies.s200, 9)},
    "MJTZC03YM": _S400,
    "MJTZC04YM": {0x4E16: function(bodies.s800, 9)},
    "MJYD02YL": {0x000F: function(states.motion_and_flag, 3), 0x1007: function(states.light_flag, 3)},
    "MJZNZ018H": _PILLOW,
    "MS1BB(MI)": {0x4804: codes({1: says(opening=True), 2: _CLOSED})},  # elsewhere 2.p.1004 is another status
    "PTH-1": {0x1010: layout(u16(FORMALDEHYDE, per=1000))},
    "PTX-AK2-QMIMB": keys_by_service(2, 4),
    "PTX-AK3-QMIMB": keys_by_service(2, 4, 5),
    "PTX-X6-QMIMB": KEYS_AND_KNOB,
    "PTX-F1-Display": {0x6012: layout(u8(HUMIDITY)), 0x605D: layout(u8(TEMPERATURE))},
    "RTCGQ02LM": {0x000F: function(states.motion_and_flag, 3), 0x1007: function(states.lux_and_light, 3)},
    "SJWS02LM": {
        **_WATER,
        0x4804: nothing(1),  # monitoring, idle, busy or delayed
        0x487B: layout(flag(TOP_SPLASH)),
        0x4A68: codes(
            {
                0: says(bottom_submersion=True),
                1: says(bottom_submersion=False),
                2: says(top_splash=True),
                3: says(top_splash=False),
            }
        ),
    },
    # 2 is clear on this one (xiaomi-ble); elsewhere whatever is not 0 is somebody.
    "XMOSB01XS": {0x484E: codes({0: says(occupancy=False), 1: says(occupancy=True), 2: says(occupancy=False)})},
    "XMMF01JQD": {0x1001: function(cube, 3)},
    "XMPIRO2SXS": _MOTION_SETTING,
    "YLKG07YL/YLKG08YL": {0x1001: function(dimmer, 3)},
    "ZNMS17LM": {0x000B: function(locks.lock(of_its_own=frozenset({"lock", "antilock", "childlock"})), 9)},
    "ZX1": _PILLOW,
    "ailol.remote.ts4": KNOB_F2,
    "cxw.remote.ble006": KNOB,
    "hoto.timer.kt": TIMERS,
    "lemesh.remote.ts4": KNOB_K4,
    "lemesh.remote.ts10": KNOB,
    "loock.safe.v1": {0x100F: codes({1: says(door=True), 0: says(door=False)})},
    "xiaomi.sensor_smoke.yg2": _SMOKE_2,
    "zhiee.flood.sj01": _WATER,
    **LOCKS,
}


def miot_id(service: int, number: int, *, event: bool) -> int:
    """The object id of a MIoT property or event: (2, 1001) -> 0x4801, (3, 1012, event) -> 0x4E0C."""
    return 0x4000 + service * 1024 + (512 if event else 0) + number - 1000


def _standard() -> dict[int, ObjectRow]:
    rows: dict[int, ObjectRow] = {}
    for service in range(1, 16):
        rows |= {miot_id(service, number, event=False): row for number, row in _PROPERTIES.items()}
        rows |= {miot_id(service, number, event=True): row for number, row in _EVENTS.items()}
    return {**rows, **_STANDARD}


def _buttons(buttons: Buttons) -> dict[int, ObjectRow]:
    rows = {0x1001: pressed(buttons)} if buttons.classic or buttons.numbered else {}
    if not buttons.classic:
        for number, kind in _PRESSES.items():
            row = press_event(buttons, kind)
            rows |= {miot_id(service, number, event=True): row for service in range(1, 16)}
    return rows


def rows_of(model: Model) -> Mapping[int, ObjectRow]:
    """Every object that a model may send: object id -> row."""
    own = _OF_MODEL.get(model.name, {})
    return {**_ROWS, **(_buttons(model.buttons) if model.buttons else {}), **own}


_ROWS = _standard()


@cache
def _entry(object_id: int, length: int, read: Reader) -> tuple[bytes, tuple[Reader, int]]:
    """Shared between the tables of all models: separate entries would take a megabyte."""
    return object_id.to_bytes(2, "little") + bytes([length]), (read, HEADER + length)


def _readers(rows: Mapping[int, ObjectRow]) -> Readers:
    return dict(_entry(object_id, length, row.read) for object_id, row in rows.items() for length in row.lengths)


def _readers_of(model: Model) -> Readers:
    if model.name in _OF_MODEL:
        return _readers(rows_of(model))
    if model.buttons is None:
        return _STANDARD_READERS
    return _STRANGER if model.buttons is NUMBERED else _readers(rows_of(model))


_STANDARD_READERS = _readers(_ROWS)
_STRANGER = _readers(_ROWS | _buttons(NUMBERED))
_READERS: Mapping[int | None, Readers] = {product_id: _readers_of(model) for product_id, model in MODELS.items()}
"""Most models send standard objects only, and share one table."""


def decode_objects(payload: bytes, model: Model, *, strict: bool) -> Decoded:
    """:func:`read_objects`, with names."""
    return Decoded(*read_objects(payload, model, strict))


def read_objects(payload: bytes, model: Model, strict: bool) -> Found:
    """A frame's objects, in order. ``strict``, for frames that were decrypted: all that are known, or a DecodeError.

    An object that is longer than its row is read by its first bytes: locks put a time behind a battery. An object
    without a row, or shorter than its row, is skipped by its length: new firmware may add one. The result has no names
    and ``strict`` is positional, because every frame would pay for both.
    """
    # Nine frames in ten are one object that has a row.
    try:
        read, size = _READERS.get(model.product_id, _STRANGER)[payload[:HEADER]]
        if len(payload) == size:
            return read(payload)
    except KeyError:
        pass
    except Implausible as problem:
        if strict:
            raise
        return {}, (), Skipped(implausible=(problem.quantity,))
    return _walk(payload, model, strict)


def _walk(payload: bytes, model: Model, strict: bool) -> Found:
    readers = _READERS.get(model.product_id, _STRANGER)
    values: Values = {}
    events: Events = ()
    unknown: tuple[int, ...] = ()
    implausible: tuple[str, ...] = ()
    at, end = 0, len(payload)
    while at + HEADER <= end:
        after = at + HEADER + payload[at + 2]
        if after > end:
            break
        reader = readers.get(payload[at : at + HEADER]) or _shorter(readers, payload[at : at + HEADER])
        if reader is None:
            unknown += (payload[at] | payload[at + 1] << 8,)
        else:
            read, size = reader
            try:
                found, fired, _ = read(payload[at : at + size])
            except Implausible as problem:
                if strict:
                    raise
                implausible += (problem.quantity,)
            else:
                values.update(found)
                events += fired
        at = after
    short = at < end
    if short and strict and any(payload[at:]):  # zeros behind the last object are padding
        raise DecodeError(Outcome.MALFORMED, "the last object is cut off")
    if unknown or short or implausible:
        return values, events, Skipped(unknown, short, implausible)
    return values, events, NOTHING_SKIPPED


def _shorter(readers: Readers, header: bytes) -> tuple[Reader, int] | None:
    """The reader of the longest length below that of an object; None where its id has no row."""
    for length in range(min(header[2] - 1, _LONGEST), -1, -1):
        if reader := readers.get(header[:2] + bytes((length,))):
            return reader
    return None


_LONGEST = max(header[2] for readers in (_STRANGER, *_READERS.values()) for header in readers)
"""Bytes of the longest object that has a row."""
