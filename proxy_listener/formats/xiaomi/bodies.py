"""Body measurements: the S200, S400 and S800 scales, toothbrushes, the MMC-T201 thermometer.

::

    0x4E16  S200        [profile][0.01 kg u32][time u32]
    0x6E16  S400        [profile][bits 0-10 0.1 kg, 11-17 heart rate - 50, 18-31 0.1 Ω][time u32]
    0x4E16  S800        [u8][stage u32: bits 16-23][result u32: upper half 0.01 kg, or top byte heart rate - 50]
    0x0010  toothbrush  [0 start, else end] or with [counter at the start, score at the end]
    0x3003  toothbrush  [0 start, 1 end][time u32] or with [score]
    0x2000  MMC-T201    [skin 0.01 °C s16][board 0.01 °C s16][battery %]

``weighing`` is the scale's own clock in UTC. It joins the two frames of one weighing. Sources:
docs/protocol/mibeacon-objects.md#bodies.
"""

import math
import struct
from datetime import UTC, datetime

from proxy_listener.formats.layout import Events, Implausible, Values
from proxy_listener.model.quantities import BATTERY, HEART_RATE, IMPEDANCE, MASS, SCORE, TEMPERATURE, Quantity

_WEIGHING = struct.Struct("<BII").unpack
_TEMPERATURES = struct.Struct("<hhB").unpack

_NO_MASS = 0x7FF
"""S400 Pro (MJTZC03YM): all bits set where there is no weight."""
_NO_HEART_RATE = 127
_NO_IMPEDANCE = 0x3FFF
_NO_BYTE = 0xFF
_NO_TIMES = (0, 0xFFFFFFFF)
_NO_TEMPERATURES = (0x7FFF, -0x8000, -1)
"""All bits set, or a clock that was never set."""
_HEART_RATE_OFFSET = 50


def _within(quantity: Quantity, value: float) -> float:
    if not (quantity.low or 0) <= value <= (quantity.high or 0):
        raise Implausible(quantity.name, value)
    return value


def _weighed(profile: int, time: int, *, when: bool) -> Values:
    """Who was weighed, and with ``when`` the scale's time; both where the scale knows them."""
    values: Values = {} if profile == _NO_BYTE else {"profile_id": profile}
    if when and time not in _NO_TIMES:
        values["weighing"] = utc_text(time)
    return values


def utc_text(seconds: int) -> str:
    """Seconds since 1970, 32 bits -> ``2026-11-22T18:04:05Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6] + "Z"


def s200(data: bytes) -> tuple[Values, Events]:
    """0x4E16: sent once, when the weight is final. A weight of 0 means that the scale is empty."""
    profile, raw, time = _WEIGHING(data)
    values = _weighed(profile, time, when=raw != 0) | {"stabilized": raw != 0}
    if raw:
        values["mass"] = _within(MASS, raw / 100)
    return values, ()


def s400(data: bytes) -> tuple[Values, Events]:
    """0x6E16: weight with the impedance at 50 kHz (or alone: with socks on), then the impedance at 250 kHz alone.

    Decoders disagree about which frequency is "low"; these names are those of xiaomi-ble and Home Assistant.
    """
    profile, raw, time = _WEIGHING(data)
    mass, heart_rate, impedance = raw & 0x7FF, raw >> 11 & 0x7F, raw >> 18
    weighed, beats = mass not in {0, _NO_MASS}, heart_rate not in {0, _NO_HEART_RATE}
    measured = impedance not in {0, _NO_IMPEDANCE}
    values = _weighed(profile, time, when=weighed or beats or measured)
    if weighed:
        values["mass"] = _within(MASS, mass / 10)
    if beats:
        values["heart_rate"] = _within(HEART_RATE, heart_rate + _HEART_RATE_OFFSET)
    if measured:
        name = "impedance_low" if weighed or beats else "impedance_high"
        values[name] = _within(IMPEDANCE, impedance / 10)
    # The weight is final once nothing more is measured; all zero says that the person stepped off.
    values["stabilized"] = "impedance_high" in values or (weighed and not measured)
    return values, ()


_S800_WEIGHT, _S800_HEART = 0x05, 0x15
"""The stages of a measurement whose result is known."""


def s800(data: bytes) -> tuple[Values, Events]:
    """0x4E16 of the S800: a frame a stage; of most stages the result is not known, and 0 is no result."""
    _, stage, result = _WEIGHING(data)
    stage, mass, heart_rate = stage >> 16 & 0xFF, result >> 16, result >> 24
    if stage == _S800_WEIGHT and mass:
        return {"mass": _within(MASS, mass / 100)}, ()
    if stage == _S800_HEART and heart_rate:
        return {"heart_rate": _within(HEART_RATE, heart_rate + _HEART_RATE_OFFSET)}, ()
    return {}, ()


def brushing(data: bytes) -> tuple[Values, Events]:
    """0x0010."""
    started = data[0] == 0
    values: Values = {}
    told = len(data) > 1 and data[1] != _NO_BYTE
    if told and started:
        values["counter"] = data[1]
    elif told:
        values["score"] = int(_within(SCORE, data[1]))
    values["toothbrush"] = started
    return values, ()


def brushed(data: bytes) -> tuple[Values, Events]:
    """0x3003."""
    if data[0] > 1:
        raise Implausible("toothbrush", f"code {data[0]}")
    told = len(data) > 5 and data[5] != _NO_BYTE
    values: Values = {"score": int(_within(SCORE, data[5]))} if told else {}
    values["toothbrush"] = data[0] == 0
    return values, ()


def body_temperature(data: bytes) -> tuple[Values, Events]:
    """0x000A, MMC-W505: 0.01 °C; 0 is no value, and no body has -0.01 °C."""
    raw = int.from_bytes(data, "little", signed=True)
    return ({"temperature": _within_temperature(raw / 100)} if raw and raw not in _NO_TEMPERATURES else {}), ()


def fitted_temperature(data: bytes) -> tuple[Values, Events]:
    """0x2000, MMC-T201. Xiaomi does not publish the formula; this one fits what its app shows from 36.5 to 37.8 °C."""
    skin, board, battery = _TEMPERATURES(data)
    values: Values = {} if battery == _NO_BYTE else {"battery": int(_within(BATTERY, battery))}
    if skin in _NO_TEMPERATURES or board in _NO_TEMPERATURES:
        return values, ()
    body = 3.71934e-11 * math.exp(0.69314 * skin / 100) - 1.02801e-8 * math.exp(0.53871 * board / 100) + 36.413
    return values | {"temperature": _within_temperature(round(body, 2))}, ()


def _within_temperature(value: float) -> float:
    return _within(TEMPERATURE, value)
