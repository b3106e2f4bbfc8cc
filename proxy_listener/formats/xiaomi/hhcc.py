"""HHCCJCY10, the pink plant sensor ("TY"): service data 0xFD50, Tuya's id.

::

    [moisture %][temperature s16 0.1 °C][illuminance lx u24][battery %][conductivity µS/cm u16]      big endian

The rule of this file: nine bytes, all of them plausible, or nothing. The same sensor sends 12-byte frames that are
something else (ble_monitor #809), and so do Tuya's other devices.
"""

import struct

from proxy_listener.formats.layout import Implausible
from proxy_listener.formats.xiaomi.models import HHCCJCY10
from proxy_listener.formats.xiaomi.objects import Decoded
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.quantities import BATTERY, CONDUCTIVITY, ILLUMINANCE, MOISTURE, TEMPERATURE, Quantity

_FRAME = struct.Struct(">BhBHBH")


def decode(uuid: int, data: bytes) -> tuple[Model, Decoded]:  # noqa: ARG001  the same call as the scales'
    """Service data of 0xFD50 -> the sensor and its values."""
    if len(data) != _FRAME.size:
        raise DecodeError(Outcome.NOT_A_FRAME, f"{len(data)} bytes, HHCCJCY10's frame has {_FRAME.size}")
    moisture, temperature, light_high, light_low, battery, conductivity = _FRAME.unpack(data)
    found: tuple[tuple[Quantity, float], ...] = (
        (TEMPERATURE, temperature / 10),
        (MOISTURE, moisture),
        (ILLUMINANCE, light_high << 16 | light_low),
        (BATTERY, battery),
        (CONDUCTIVITY, conductivity),
    )
    for quantity, value in found:
        if quantity.low is None or quantity.high is None or not quantity.low <= value <= quantity.high:
            raise Implausible(quantity.name, value)
    return HHCCJCY10, Decoded({quantity.name: value for quantity, value in found})
