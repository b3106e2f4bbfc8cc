"""The Mi scales: service data of the SIG's Weight Scale and Body Composition services, filled in Xiaomi's way.

::

    v1, 0x181D   [control][weight u16][year u16][month][day][hour][minute][second]
    v2, 0x181B   [control][control][year u16][month][day][hour][minute][second][impedance Ω u16][weight u16]

    v1 control   0 lb, 4 jin, 5 stabilized, 7 removed
    v2 controls  0.0 lb; 1.6 jin, 1.5 stabilized, 1.1 impedance measured, 1.7 removed

The weight is in 1/200 kg, 1/100 lb or 1/100 jin; the bit for small objects (v1 control 6, v2 control 0.2) changes none
of that. The rule of this file: ``mass`` is what somebody weighed, stabilized and still on the scale; after stepping
off, the scale repeats the old weight with the removed bit for minutes, and again on every wake-up.
"""

import struct
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from proxy_listener.formats.layout import NOTHING_SKIPPED, Skipped, Values
from proxy_listener.formats.xiaomi.models import SCALE_V1, SCALE_V2
from proxy_listener.formats.xiaomi.objects import Decoded
from proxy_listener.model.advertisement import BODY_COMPOSITION, WEIGHT_SCALE
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.quantities import IMPEDANCE, MASS

_V1 = struct.Struct("<BHHBBBBB")
_V2 = struct.Struct("<BBHBBBBBHH")
_SIZES: Mapping[int, int] = {WEIGHT_SCALE: _V1.size, BODY_COMPOSITION: _V2.size}

_POUND_KG = 0.45359237


def decode(uuid: int, data: bytes) -> tuple[Model, Decoded]:
    """Service data of 0x181D or 0x181B -> the scale and its weighing, by the scale's own clock, which has no zone."""
    if len(data) != _SIZES[uuid]:
        raise DecodeError(Outcome.NOT_A_FRAME, f"{len(data)} bytes, a scale's frame has {_SIZES[uuid]}")
    if uuid == WEIGHT_SCALE:
        control, raw, *clock = _V1.unpack(data)
        pounds, stabilized, removed = control & 0x01, control & 0x20, control & 0x80
        return SCALE_V1, _weighing(raw, clock, 0, pounds=pounds, final=bool(stabilized and not removed))
    units, control, *clock, impedance, raw = _V2.unpack(data)
    measured = impedance if control & 0x02 else 0
    stabilized, removed = control & 0x20, control & 0x80
    return SCALE_V2, _weighing(raw, clock, measured, pounds=units & 0x01, final=bool(stabilized and not removed))


def _weighing(raw: int, clock: list[int], impedance: int, *, pounds: int, final: bool) -> Decoded:
    # A jin is half a kilogram, so 1/100 jin and 1/200 kg are the same.
    mass = round(raw / 100 * _POUND_KG, 2) if pounds else raw / 200
    if mass > (MASS.high or 0):
        raise DecodeError(Outcome.IMPLAUSIBLE, f"mass: {mass} kg cannot be")
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
