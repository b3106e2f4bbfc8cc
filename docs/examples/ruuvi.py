"""RuuviTag, data format 5: manufacturer data of company 0x0499. The example of docs/adding.md#a-format.

::

    [5][temperature s16 0.005 °C][humidity u16 0.0025 %][pressure u16, Pa - 50000][acceleration 3 * s16 mG]
    [power: 11 bits mV - 1600, 5 bits TX][movements u8][sequence u16][MAC: 6]                            big endian

A field of all ones is not there, nor a signed one with its smallest number. The sequence counts measurements in 16
bits; the counter is its lower eight, as the duplicate rule takes them. Source: docs.ruuvi.com, "Data format 5 (RAWv2)".
"""

import struct

from proxy_listener.formats.drawing import Drawing, StopDrawing
from proxy_listener.formats.format import Format, Frame
from proxy_listener.formats.layout import NOTHING_SKIPPED, Decoded, Found, Skipped, Values
from proxy_listener.model.advertisement import COMPANY, Address, mac_text
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.quantities import HUMIDITY, PRESSURE, TEMPERATURE, VOLTAGE

KEY = COMPANY | 0x0499

RUUVITAG = Model(
    "RuuviTag",
    "Temperature/Humidity/Pressure Sensor",
    maker="Ruuvi",
    quantities=(TEMPERATURE, HUMIDITY, PRESSURE, VOLTAGE),
    encryption="none",
)
PRODUCTS = (RUUVITAG,)

_FRAME = struct.Struct(">BhHHhhhHBH6s")
_FIELDS = (
    ("format", 1),
    ("temperature", 2),
    ("humidity", 2),
    ("pressure", 2),
    ("acceleration x", 2),
    ("acceleration y", 2),
    ("acceleration z", 2),
    ("power", 2),
    ("movements", 1),
    ("sequence", 2),
)
_NO_MAC = (1 << 48) - 1


def parse(payload: bytes, address: Address | None) -> Frame:
    """NOT_A_FRAME for Ruuvi's other formats, WRONG_MAC where the MAC inside is not the sender's."""
    if len(payload) != _FRAME.size or payload[0] != 5:
        raise DecodeError(Outcome.NOT_A_FRAME, "manufacturer data of Ruuvi in another format than 5")
    frame = Frame()
    mac = int.from_bytes(payload[-6:], "big")
    frame.model, frame.mac = RUUVITAG, None if mac == _NO_MAC else mac
    if address is not None and frame.mac is not None and frame.mac != address:
        raise DecodeError(Outcome.WRONG_MAC, f"the frame says {mac_text(frame.mac)}")
    frame.scheme, frame.tag, frame.body = "plain", b"", payload
    frame.counter = payload[-7]
    return frame


def read(body: bytes, _model: Model, _strict: bool) -> Found:
    """What is there, and within its range."""
    _, celsius, humidity, pressure, _, _, _, power, _, _, _ = _FRAME.unpack(body)
    found = (
        (TEMPERATURE, celsius / 200, celsius != -0x8000),
        (HUMIDITY, humidity / 400, humidity != 0xFFFF),
        (PRESSURE, (pressure + 50_000) / 100, pressure != 0xFFFF),
        (VOLTAGE, ((power >> 5) + 1600) / 1000, power >> 5 != 0x7FF),
    )
    values: Values = {}
    implausible: tuple[str, ...] = ()
    for quantity, value, there in found:
        if there and quantity.low is not None and quantity.high is not None:
            if quantity.low <= value <= quantity.high:
                values[quantity.name] = value
            else:
                implausible += (quantity.name,)
    return values, (), Skipped(implausible=implausible) if implausible else NOTHING_SKIPPED


def draw(drawing: Drawing, payload: bytes, offset: int) -> None:
    """Its fields, and what they say."""
    frame = parse(payload, None)
    drawing.model = frame.model
    drawing.add_fields(payload, offset, _FIELDS, "big")
    drawing.add(
        "frame", offset + len(payload) - 6, payload[-6:], "MAC", "none" if frame.mac is None else mac_text(frame.mac)
    )
    if None not in {drawing.address, frame.mac} and drawing.address != frame.mac:
        raise StopDrawing(Outcome.WRONG_MAC, "the MAC inside is not the address that the frame came from")
    drawing.decoded = Decoded(*read(frame.body, frame.model, False))


def fits(payload: bytes) -> bool:
    """Its length and its first byte."""
    return len(payload) == _FRAME.size and payload[0] == 5


FORMAT = Format("RuuviTag", parse, read, draw, fits, mark=b"R")
