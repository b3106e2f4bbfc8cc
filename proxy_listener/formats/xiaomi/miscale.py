"""The Mi scales: service data of the SIG's Weight Scale and Body Composition services, filled in Xiaomi's way.

::

    little endian

    v1, 0x181D   [control][weight u16][year u16][month][day][hour][minute][second]
    v2, 0x181B   [control][control][year u16][month][day][hour][minute][second][impedance Ω u16][weight u16]

    v1 control   0 lb, 4 jin, 5 stabilized, 7 removed
    v2 controls  0.0 lb; 1.6 jin, 1.5 stabilized, 1.1 impedance measured, 1.7 removed

One payload is one weighing; another length is NOT_A_FRAME. The weight is in 1/200 kg, 1/100 lb or 1/100 jin; the bit
for small objects (v1 control 6, v2 control 0.2) changes none of that. ``mass`` is only given of a weight that is
stabilized while somebody stands on the scale: after stepping off, the scale repeats the old weight with the removed bit
for minutes, and again on every wake-up (docs/protocol/scales.md#the-removed-flag).
"""

import struct
from contextlib import suppress
from datetime import datetime

from proxy_listener.formats.drawing import Drawing
from proxy_listener.formats.format import Format, Frame, plain_frame
from proxy_listener.formats.layout import NOTHING_SKIPPED, Decoded, Found, Implausible, Skipped, Values
from proxy_listener.formats.xiaomi.models import SCALE_V1, SCALE_V2
from proxy_listener.model.advertisement import Address
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.quantities import IMPEDANCE, MASS

WEIGHT_SCALE = 0x181D
BODY_COMPOSITION = 0x181B

_V1 = struct.Struct("<BHHBBBBB")
_V2 = struct.Struct("<BBHBBBBBHH")

_CLOCK = (("year", 2), ("month", 1), ("day", 1), ("hour", 1), ("minute", 1), ("second", 1))
_FIELDS_V1 = (("control", 1), ("weight", 2), *_CLOCK)
_FIELDS_V2 = (("control", 1), ("control", 1), *_CLOCK, ("impedance", 2), ("weight", 2))

_POUND_KG = 0.45359237

OVERLOADED = 0xFFF0
"""From here on the number is no weight: an overloaded Mi scale 2 sends 0xFFF0, stabilized."""


def parse_v1(payload: bytes, _address: Address | None) -> Frame:
    """A scale's frame has no MAC, no counter and no encryption."""
    return _frame(SCALE_V1, payload, _V1.size)


def parse_v2(payload: bytes, _address: Address | None) -> Frame:
    """The same of the body composition scale."""
    return _frame(SCALE_V2, payload, _V2.size)


def _frame(model: Model, payload: bytes, size: int) -> Frame:
    if len(payload) != size:
        raise DecodeError(Outcome.NOT_A_FRAME, f"{len(payload)} bytes, a scale's frame has {size}")
    return plain_frame(model, payload)


def read(body: bytes, model: Model, _strict: bool) -> Found:
    """One weighing, with its time by the scale's own clock, which has no zone."""
    if model is SCALE_V1:
        control, raw, *clock = _V1.unpack(body)
        units, impedance = control, 0
    else:
        units, control, *clock, impedance, raw = _V2.unpack(body)
        impedance = impedance if control & 0x02 else 0
    stabilized, removed = control & 0x20, control & 0x80
    return _weighing(raw, clock, impedance, pounds=units & 0x01, final=bool(stabilized and not removed))


def _weighing(raw: int, clock: list[int], impedance: int, *, pounds: int, final: bool) -> Decoded:
    if raw >= OVERLOADED:
        raise Implausible("mass", f"0x{raw:04X}")
    # A jin is half a kilogram, so 1/100 jin and 1/200 kg are the same.
    mass = round(raw / 100 * _POUND_KG, 2) if pounds else raw / 200
    if mass > (MASS.high or 0):
        raise Implausible("mass", f"{mass} kg")
    final = final and raw > 0
    values: Values = {"mass_non_stabilized": mass, "stabilized": final}
    skipped = NOTHING_SKIPPED
    if final:
        values["mass"] = mass
        if impedance > (IMPEDANCE.high or 0):
            skipped = Skipped(implausible=("impedance",))
        elif impedance:
            values["impedance"] = impedance
    with suppress(ValueError):  # a clock that was never set may say month 0
        values["weighing"] = datetime(*clock).isoformat()  # type: ignore[arg-type]  # noqa: DTZ001  it has no zone
    return Decoded(values, (), skipped)


def draw_v1(drawing: Drawing, payload: bytes, offset: int) -> None:
    """Its fields, and what they say."""
    drawing.add_fields(payload, offset, _FIELDS_V1, "little")
    drawing.model = parse_v1(payload, None).model
    drawing.decoded = Decoded(*read(payload, drawing.model, False))


def draw_v2(drawing: Drawing, payload: bytes, offset: int) -> None:
    """Its fields, and what they say."""
    drawing.add_fields(payload, offset, _FIELDS_V2, "little")
    drawing.model = parse_v2(payload, None).model
    drawing.decoded = Decoded(*read(payload, drawing.model, False))


FORMAT_V1 = Format("Mi scale v1", parse_v1, read, draw_v1, lambda payload: len(payload) == _V1.size)
FORMAT_V2 = Format("Mi scale v2", parse_v2, read, draw_v2, lambda payload: len(payload) == _V2.size)
