"""Qingping's own format: service data 0xFDCD (at first 0xFFF9), of stock devices that are not bound to Mi Home.

::

    [control][device id][MAC, reversed: 6] then objects [type][length][data], little endian

    control   bit 6: an event frame; the lower bits and bit 7 differ between devices and decide nothing
    objects   01 temperature s16 0.1 °C, humidity u16 0.1 %      0F packet number
              02 battery %, FF: on mains                         11 light, yes or no
              04 door: 0 open, 1 closed, 2 left open             12 PM2.5 u16, PM10 u16, µg/m³
              07 pressure u16 0.1 hPa                            13 carbon dioxide u16 ppm
              08 motion, illuminance u24 lx                      15 VOC index u16
              09 illuminance u32 lx                              19 noise dB
              18 what the hardware has: constant, no measurement

Never encrypted. The packet number is the counter, where a frame has one. In an event frame the last three bytes of
object 08 are something else than lux, so it gives the motion only. A frame without objects is a sign of life. The body
here is bit 6 of the control byte and the objects. See docs/protocol/qingping.md.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

from proxy_listener.formats.drawing import Drawing, StopDrawing, joined, value_texts
from proxy_listener.formats.format import Format, Frame
from proxy_listener.formats.layout import (
    NOTHING_SKIPPED,
    Decoded,
    Events,
    Found,
    Implausible,
    ObjectRow,
    Skipped,
    Values,
    codes,
    flag,
    function,
    i16,
    layout,
    nothing,
    says,
    u8,
    u16,
    u32,
)
from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.quantities import (
    BATTERY,
    CARBON_DIOXIDE,
    HUMIDITY,
    ILLUMINANCE,
    LIGHT,
    MOTION,
    PM10,
    PM25,
    PRESSURE,
    SOUND_PRESSURE,
    TEMPERATURE,
    VOC_INDEX,
    Quantity,
)

UUID = 0xFDCD
CLEARGRASS = 0xFFF9
"""What Qingping used under its earlier name. It is the FIDO alliance's (Assigned Numbers, section 3.10)."""

MARK = b"Q"

MAKER = "Qingping"

HEADER, OBJECT_HEADER = 8, 2
EVENT = 1 << 6
PACKET = 0x0F

WIFI_ABOVE = 2
"""CGDN1 puts the MAC of its Wi-Fi into the frame. On its chip the one of Bluetooth is two above it (Espressif,
"Miscellaneous System APIs", MAC address allocation)."""


def _model(name: str, kind: str, *quantities: Quantity) -> Model:
    return Model(name, kind, maker=MAKER, quantities=quantities, encryption="none")


_CLIMATE = (TEMPERATURE, HUMIDITY, BATTERY)

CGDN1 = _model("CGDN1", "Air Monitor Lite", TEMPERATURE, HUMIDITY, CARBON_DIOXIDE, PM25, PM10)
CGF1W = _model("CGF1W", "Temperature/Humidity Sensor Pro E", *_CLIMATE)
CGM1 = _model("CGM1", "Lee Guitars Thermo-Hygrometer", *_CLIMATE)
CGP1W = _model("CGP1W", "Temperature/Humidity/Pressure Sensor", *_CLIMATE, PRESSURE)
CGP22C = _model("CGP22C", "CO2/Temperature/Humidity Sensor", *_CLIMATE, CARBON_DIOXIDE)
CGP23W = _model("CGP23W", "Temperature/Humidity/Pressure Sensor Pro", *_CLIMATE, PRESSURE)
CGR1PC = _model("CGR1PC", "Indoor Environment Monitor", TEMPERATURE, HUMIDITY)

PRODUCTS = (CGDN1, CGF1W, CGM1, CGP1W, CGP22C, CGP23W, CGR1PC)
"""Those that send in no other format. The others are rows of Xiaomi's table, and one model whichever format it is."""

_CGG1 = model_of(0x0347)

MODELS: Mapping[int, Model] = MappingProxyType(
    {
        0x01: _CGG1,
        0x04: model_of(0x03D6),  # CGH1
        0x07: _CGG1,
        0x09: CGP1W,
        0x0C: model_of(0x0576),  # CGD1
        0x0E: CGDN1,
        0x0F: CGM1,
        0x10: model_of(0x066F),  # CGDK2
        0x12: model_of(0x0A83),  # CGPR1
        0x15: CGF1W,
        0x16: _CGG1,
        0x18: CGP23W,
        0x1E: model_of(0x0C3C),  # CGC1
        0x24: CGDN1,
        0x26: CGP23W,
        0x33: CGP22C,
        0x4F: model_of(0x5808),  # CGG3
        0x52: CGR1PC,
        0x5D: CGP22C,
        0x62: CGR1PC,
    }
)
"""By device id: those of qingping-ble 1.3.0, which has all of ble_monitor's."""

_UNKNOWN = "Qingping 0x"


@lru_cache(maxsize=256)
def _stranger(device_id: int) -> Model:
    return Model(f"{_UNKNOWN}{device_id:02X}", "Unknown device", maker=MAKER, encryption="none", known=False)


def unknown_product(name: str) -> Model | None:
    """The product that has this device id in its name, such as ``Qingping 0x7F``, because the id is in no row."""
    digits = name.removeprefix(_UNKNOWN)
    if not name.startswith(_UNKNOWN) or len(digits) != 2 or not set(digits) <= set("0123456789ABCDEF"):
        return None
    return _stranger(int(digits, 16))


def parse(payload: bytes, address: Address | None) -> Frame:
    """The header, and the packet number. WRONG_MAC where the MAC inside belongs to another sender."""
    if len(payload) < HEADER:
        raise DecodeError(Outcome.MALFORMED, f"{len(payload)} bytes, the header alone has {HEADER}")
    frame = Frame()
    frame.model = MODELS.get(payload[1]) or _stranger(payload[1])
    frame.mac = int.from_bytes(payload[2:HEADER], "little")
    if address is not None and not _sends(frame.model, frame.mac, address):
        raise DecodeError(Outcome.WRONG_MAC, f"the frame says {mac_text(frame.mac)}")
    frame.scheme, frame.tag = "plain", b""
    frame.body = bytes((payload[0] & EVENT,)) + payload[HEADER:] if len(payload) > HEADER else b""
    frame.counter = next((frame.body[at + 2] for at, after in _objects(frame.body) if _is_packet(frame.body, at)), None)
    return frame


def _sends(model: Model, mac: Address, address: Address) -> bool:
    return mac == address or (model is CGDN1 and mac + WIFI_ABOVE == address)


def _objects(body: bytes) -> Iterator[tuple[int, int]]:
    """Where each whole object begins and ends."""
    at, end = 1, len(body)
    while at + OBJECT_HEADER <= end:
        after = at + OBJECT_HEADER + body[at + 1]
        if after > end:
            return
        yield at, after
        at = after


def _is_packet(body: bytes, at: int) -> bool:
    return body[at] == PACKET and body[at + 1] == 1


def read(body: bytes, _model: Model, _strict: bool) -> Found:
    """The objects, in order. One that is not known, or has another length, is skipped by its length."""
    rows = _EVENT_ROWS if body[0] & EVENT else _ROWS
    values: Values = {}
    unknown: tuple[int, ...] = ()
    implausible: tuple[str, ...] = ()
    end = 1
    for at, after in _objects(body):
        end = after
        row = rows.get(body[at])
        if row is None or after - at - OBJECT_HEADER not in row.lengths:
            unknown += (body[at],)
            continue
        try:
            # A row skips three bytes: in MiBeacon an object's head has one more.
            found, _, _ = row.read(body[at - 1 : after])
        except Implausible as problem:
            implausible += (problem.quantity,)
        else:
            values.update(found)
    short = any(body[end:])  # zeros behind the last object are padding
    if unknown or short or implausible:
        return values, (), Skipped(unknown, short, implausible)
    return values, (), NOTHING_SKIPPED


MAINS = 0xFF


def _battery(data: bytes) -> tuple[Values, Events]:
    # Home Assistant's integration shows a device on mains as full, too.
    percent = 100 if data[0] == MAINS else data[0]
    if percent > 100:
        raise Implausible(BATTERY.name, percent)
    return {BATTERY.name: percent}, ()


def _motion_and_light(data: bytes) -> tuple[Values, Events]:
    lux = int.from_bytes(data[1:], "little")
    if ILLUMINANCE.high is not None and lux > ILLUMINANCE.high:
        raise Implausible(ILLUMINANCE.name, lux)
    return {MOTION.name: data[0] != 0, ILLUMINANCE.name: lux}, ()


def _motion(data: bytes) -> tuple[Values, Events]:
    return {MOTION.name: data[0] != 0}, ()


_ROWS: Mapping[int, ObjectRow] = {
    0x01: layout(i16(TEMPERATURE, per=10), u16(HUMIDITY, per=10)),
    0x02: function(_battery, 1),
    0x04: codes(
        {
            0: says(door=True, door_left_open=False),
            1: says(door=False, door_left_open=False),
            2: says(door=True, door_left_open=True),
        }
    ),
    0x07: layout(u16(PRESSURE, per=10)),
    0x08: function(_motion_and_light, 4),
    0x09: layout(u32(ILLUMINANCE)),
    PACKET: nothing(1),
    0x11: layout(flag(LIGHT)),
    0x12: layout(u16(PM25), u16(PM10)),
    0x13: layout(u16(CARBON_DIOXIDE)),
    0x15: layout(u16(VOC_INDEX)),
    0x18: nothing(2),  # taken for carbon dioxide of 290 ppm: qingping-ble#72, #96, #115
    0x19: layout(u8(SOUND_PRESSURE)),
}
_EVENT_ROWS = {**_ROWS, 0x08: function(_motion, 4)}  # qingping-ble#84, #97

_NAMES = {
    0x01: "climate",
    0x02: "battery",
    0x04: "door",
    0x07: "pressure",
    0x08: "motion",
    0x09: "illuminance",
    PACKET: "packet number",
    0x11: "light",
    0x12: "particles",
    0x13: "carbon dioxide",
    0x15: "VOC index",
    0x18: "hardware",
    0x19: "noise",
}


def draw(drawing: Drawing, payload: bytes, offset: int) -> None:
    """Its header and objects. StopDrawing or DecodeError where it cannot be read further."""
    frame = parse(payload, None)
    model = drawing.model = frame.model
    drawing.add("frame", offset, payload[:1], "control", joined(["event" if payload[0] & EVENT else "periodic"]))
    about = f"{model.name}, {model.kind}" if model.known else "no such model here"
    drawing.add("frame", offset + 1, payload[1:2], "device id", f"0x{payload[1]:02X}, {about}")
    drawing.add("frame", offset + 2, payload[2:HEADER], "MAC", mac_text(frame.mac or 0))
    if drawing.address is not None and not _sends(model, frame.mac or 0, drawing.address):
        raise StopDrawing(Outcome.WRONG_MAC, "the MAC inside is not the address that the frame came from")
    if not frame.body:
        raise StopDrawing(Outcome.EMPTY, "no objects: a sign of life")
    body, end = frame.body, 1
    for at, after in _objects(body):
        end = after
        name, meaning = _NAMES.get(body[at], f"object 0x{body[at]:02X}"), _meaning(frame, at, after)
        drawing.add("frame", offset + at + HEADER - 1, body[at:after], name, meaning)
    if end < len(body):
        drawing.add("frame", offset + end + HEADER - 1, body[end:], "cut off" if any(body[end:]) else "padding")
    drawing.decoded = Decoded(*read(body, model, False))


def _meaning(frame: Frame, at: int, after: int) -> str:
    body = frame.body
    if _is_packet(body, at):
        return str(body[at + 2])
    found = Decoded(*read(body[:1] + body[at:after], frame.model, False))
    if found.skipped.implausible:
        return f"{joined(found.skipped.implausible)} out of range"
    return joined(value_texts(found)) or ("not known" if found.skipped.unknown else "nothing to tell")


def _fits(payload: bytes) -> bool:
    """A known device, and objects that fill the rest, but for zeros."""
    if len(payload) < HEADER or payload[1] not in MODELS:
        return False
    body = payload[HEADER - 1 :]
    end = max((after for _, after in _objects(body)), default=1)
    return end > 1 and not any(body[end:])


def parse_cleargrass(payload: bytes, address: Address | None) -> Frame:
    """The same under FIDO's UUID: phones send passkeys there, so anything that does not fit is NOT_A_FRAME."""
    try:
        frame = parse(payload, address)
    except DecodeError as problem:
        raise DecodeError(Outcome.NOT_A_FRAME, str(problem)) from None
    if not frame.model.known:
        raise DecodeError(Outcome.NOT_A_FRAME, "no device of ClearGrass")
    return frame


FORMAT = Format("Qingping", parse, read, draw, _fits, mark=MARK)

FORMATS: Mapping[int, Format[Frame]] = {
    UUID: FORMAT,
    CLEARGRASS: Format("ClearGrass", parse_cleargrass, read, draw, _fits, mark=MARK),
}
"""By UUID. One device sends under one of them only, so they share a mark."""
