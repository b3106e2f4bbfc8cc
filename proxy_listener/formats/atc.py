"""Thermometers with custom firmware: service data 0x181A, as the firmware of pvvx and of atc1441 fills it.

The UUID is the SIG's Environmental Sensing, so the length and the MAC inside tell these frames from others.

::

    15   [MAC, reversed: 6][0.01 °C s16][0.01 % u16][mV u16][battery %][counter][flags]      pvvx, little endian
    14   the same without flags
    13   [MAC: 6][0.1 °C s16][humidity %][battery %][mV u16][counter]                        atc1441, big endian
    11   [counter][encrypted: 6][tag: 4]     pvvx:    [0.01 °C s16][0.01 % u16][battery %][flags]
     8   [counter][encrypted: 3][tag: 4]     atc1441: [°C * 2 + 80][% * 2][battery %, bit 7: trigger]

    flags   0 reed switch is open, 1 trigger output, 2 the output follows thresholds, 3 and 4 which, 5 key pressed

    AES-128-CCM, tag of 4, associated data 0x11,
    nonce = MAC reversed (6), and of the advertising structure: length, type 0x16, UUID (1A 18), counter

The counter of the encrypted forms has eight bits and is all of the nonce that changes: after 256 measurements a nonce
returns, and a recorded frame looks like a new one. Such frames are ``encrypted``, not ``authenticated``.
See docs/protocol/atc.md.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Literal

from cryptography.exceptions import InvalidTag

from proxy_listener.formats.bindkey import Bindkey
from proxy_listener.formats.drawing import Drawing, StopDrawing
from proxy_listener.formats.format import Format, Frame
from proxy_listener.formats.layout import NOTHING_SKIPPED, Decoded, Found, Skipped, Values
from proxy_listener.formats.opening import opened
from proxy_listener.model.advertisement import SERVICE_DATA_16, Address, mac_text
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.quantities import BATTERY, HUMIDITY, OPENING, POWER, TEMPERATURE, VOLTAGE, Quantity

UUID = 0x181A
MARK = b"A"

ATC = Model(
    "ATC", "Thermometer with custom firmware", quantities=(TEMPERATURE, HUMIDITY, BATTERY), interval=900.0, generic=True
)
"""The frame does not say which hardware it is. The pause between two measurements is set by the owner."""

PRODUCTS = (ATC,)

MAC_BYTES, TAG_BYTES = 6, 4
ASSOCIATED_DATA = b"\x11"

_REED, _OUTPUT, _FOLLOWS = 1 << 0, 1 << 1, 1 << 2
_TRIGGER = 1 << 7

_PVVX = struct.Struct("<hHHBB")
_ATC1441 = struct.Struct(">hBBHB")
_PVVX_SEALED = struct.Struct("<hHBB")
_ATC1441_SEALED = struct.Struct("BBB")


def parse(payload: bytes, address: Address | None) -> Frame:
    """One of the five forms, by its length. WRONG_MAC where the MAC inside is another than the sender's."""
    size = len(payload)
    frame = Frame()
    frame.model = ATC
    if size in _PLAIN:
        order, counter = _PLAIN[size]
        frame.mac = int.from_bytes(payload[:MAC_BYTES], order)
        if address is not None and frame.mac != address:
            raise DecodeError(Outcome.WRONG_MAC, f"the frame says {mac_text(frame.mac)}")
        frame.scheme, frame.body, frame.tag, frame.counter = "plain", payload[MAC_BYTES:], b"", payload[counter]
    elif size in _SEALED:
        frame.mac = None
        frame.scheme, frame.body, frame.tag = "ccm", payload[1:-TAG_BYTES], payload[-TAG_BYTES:]
        frame.counter = payload[0]
    else:
        raise DecodeError(Outcome.NOT_A_FRAME, f"{size} bytes, frames of pvvx and atc1441 have 8, 11, 13, 14 or 15")
    return frame


def open_frame(frame: Frame, payload: bytes, address: Address, key: Bindkey) -> bytes | None:
    """The decrypted body; None where the key does not fit."""
    if key.unseal is None:
        return None
    # The length counts type and UUID.
    structure = bytes((len(payload) + 3, SERVICE_DATA_16)) + UUID.to_bytes(2, "little")
    nonce = address.to_bytes(MAC_BYTES, "little") + structure + payload[:1]
    try:
        return key.unseal(nonce, frame.body + frame.tag, ASSOCIATED_DATA)
    except InvalidTag:
        return None


def read(body: bytes, _model: Model, _strict: bool) -> Found:
    """The values of a body, whose length says which form it has."""
    values = _BODIES[len(body)](body)
    if values["temperature"] == 0 and values["humidity"] == 0:
        # Firmware 4.7 sent this pair for good with some sensors (pvvx/ATC_MiThermometer#484).
        del values["temperature"], values["humidity"]
        return values, (), Skipped(implausible=("temperature", "humidity"))
    implausible = tuple(name for name, value in values.items() if not _possible(name, value))
    for name in implausible:
        del values[name]
    return values, (), Skipped(implausible=implausible) if implausible else NOTHING_SKIPPED


def _possible(name: str, value: object) -> bool:
    quantity = _RANGES.get(name)
    if quantity is None or not isinstance(value, int | float) or quantity.low is None or quantity.high is None:
        return True
    return quantity.low <= value <= quantity.high


_RANGES: Mapping[str, Quantity] = {quantity.name: quantity for quantity in (TEMPERATURE, HUMIDITY, VOLTAGE)}


def _pvvx(body: bytes) -> Values:
    celsius, humidity, millivolts, battery, _ = _PVVX.unpack_from(body)
    values = _measured(celsius / 100, humidity / 100, battery)
    values["voltage"] = millivolts / 1000
    if len(body) > _PVVX.size:
        values |= _flags(body[_PVVX.size])
    return values


def _atc1441(body: bytes) -> Values:
    celsius, humidity, battery, millivolts, _ = _ATC1441.unpack(body)
    values = _measured(celsius / 10, humidity, battery)
    values["voltage"] = millivolts / 1000
    return values


def _pvvx_sealed(body: bytes) -> Values:
    celsius, humidity, battery, flags = _PVVX_SEALED.unpack(body)
    return _measured(celsius / 100, humidity / 100, battery) | _flags(flags)


def _atc1441_sealed(body: bytes) -> Values:
    celsius, humidity, battery = _ATC1441_SEALED.unpack(body)
    return _measured(celsius / 2 - 40, humidity / 2, battery & ~_TRIGGER)


def _measured(celsius: float, humidity: float, battery: int) -> Values:
    # A fresh battery is told as more than 100.
    return {"temperature": celsius, "humidity": humidity, "battery": min(battery, 100)}


def _flags(flags: int) -> Values:
    values: Values = {OPENING.name: flags & _REED != 0}
    if flags & _FOLLOWS:
        values[POWER.name] = flags & _OUTPUT != 0
    return values


_PLAIN: Mapping[int, tuple[Literal["little", "big"], int]] = {15: ("little", 13), 14: ("little", 13), 13: ("big", 12)}
"""Length -> byte order, and where the counter is."""

_SEALED = frozenset({11, 8})

_BODIES: Mapping[int, Callable[[bytes], Values]] = {
    9: _pvvx,
    8: _pvvx,
    7: _atc1441,
    6: _pvvx_sealed,
    3: _atc1441_sealed,
}
"""Length of a body -> its reader."""

_PVVX_FIELDS = (("temperature", 2), ("humidity", 2), ("voltage", 2), ("battery", 1), ("counter", 1), ("flags", 1))
_ATC1441_FIELDS = (("temperature", 2), ("humidity", 1), ("battery", 1), ("voltage", 2), ("counter", 1))


def draw(drawing: Drawing, payload: bytes, offset: int) -> None:
    """Its fields, and what they say. StopDrawing or DecodeError where it cannot be read further."""
    frame = parse(payload, None)
    drawing.model = frame.model
    if frame.scheme == "plain":
        drawing.add("frame", offset, payload[:MAC_BYTES], "MAC", mac_text(frame.mac or 0))
        little = _PLAIN[len(payload)][0] == "little"
        fields = _PVVX_FIELDS[: 6 if len(payload) == 15 else 5] if little else _ATC1441_FIELDS
        drawing.add_fields(payload[MAC_BYTES:], offset + MAC_BYTES, fields, "little" if little else "big")
        if drawing.address is not None and drawing.address != frame.mac:
            raise StopDrawing(Outcome.WRONG_MAC, "the MAC inside is not the address that the frame came from")
        body = frame.body
    else:
        drawing.add("frame", offset, payload[:1], "counter", str(payload[0]))
        drawing.add("frame", offset + 1, frame.body, "values", "encrypted, AES-CCM")
        drawing.add("frame", offset + len(payload) - TAG_BYTES, frame.tag, "tag")
        body = opened(drawing, frame, payload, drawing.address, open_frame, "AES-CCM")
    drawing.decoded = Decoded(*read(body, frame.model, False))


def _fits(payload: bytes) -> bool:
    """Only the plain forms have something to recognise: Telink's addresses, which all of this hardware has."""
    return len(payload) in _PLAIN and TELINK in {payload[:3], payload[3:6][::-1]}


TELINK = bytes.fromhex("a4c138")

FORMAT = Format("ATC and pvvx", parse, read, draw, _fits, open_frame, mark=MARK, fresh=False)
