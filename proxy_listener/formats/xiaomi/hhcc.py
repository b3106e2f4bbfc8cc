"""HHCCJCY10, the pink plant sensor ("TY"): service data 0xFD50, Tuya's id.

::

    [moisture %][temperature s16 0.1 °C][illuminance lx u24][battery %][conductivity µS/cm u16]      big endian

Nine bytes, all of them plausible, or nothing. The same sensor also sends 12-byte frames, which are something else
(ble_monitor #809), and so do Tuya's other devices
(docs/protocol/scales.md#hhccjcy10).
"""

import struct

from proxy_listener.formats.drawing import Drawing
from proxy_listener.formats.format import Format, Frame, plain_frame
from proxy_listener.formats.layout import Decoded, Found, Implausible
from proxy_listener.formats.xiaomi.models import HHCCJCY10
from proxy_listener.model.advertisement import Address
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.quantities import BATTERY, CONDUCTIVITY, ILLUMINANCE, MOISTURE, TEMPERATURE, Quantity

UUID = 0xFD50

_FRAME = struct.Struct(">BhBHBH")
_FIELDS = (("moisture", 1), ("temperature", 2), ("illuminance", 3), ("battery", 1), ("conductivity", 2))


def parse(payload: bytes, _address: Address | None) -> Frame:
    """The frame has no MAC, no counter and no encryption."""
    if len(payload) != _FRAME.size:
        raise DecodeError(Outcome.NOT_A_FRAME, f"{len(payload)} bytes, HHCCJCY10's frame has {_FRAME.size}")
    return plain_frame(HHCCJCY10, payload)


def read(body: bytes, _model: Model, _strict: bool) -> Found:
    """The sensor's five values."""
    moisture, temperature, light_high, light_low, battery, conductivity = _FRAME.unpack(body)
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
    return Decoded({quantity.name: value for quantity, value in found})


def draw(drawing: Drawing, payload: bytes, offset: int) -> None:
    """Its fields, and what they say."""
    drawing.add_fields(payload, offset, _FIELDS, "big")
    drawing.model = parse(payload, None).model
    drawing.decoded = Decoded(*read(payload, drawing.model, False))


FORMAT = Format("HHCCJCY10 or another of Tuya's", parse, read, draw, lambda payload: len(payload) == _FRAME.size)
