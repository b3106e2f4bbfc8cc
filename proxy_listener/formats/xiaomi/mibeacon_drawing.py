"""Draws a MiBeacon frame: header, optional fields, objects, and what a bindkey opened."""

from proxy_listener.formats.drawing import Drawing, StopDrawing, event_text, joined, value_texts
from proxy_listener.formats.opening import opened
from proxy_listener.formats.xiaomi.mibeacon import CAPABILITY_IO, MibeaconFrame, open_frame, parse_frame
from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.formats.xiaomi.objects import OBJECT_HEADER, decode_objects, rows_of
from proxy_listener.model.advertisement import mac_text
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome

_FLAGS = {
    0: "time request",
    3: "encrypted",
    4: "MAC",
    5: "capability",
    6: "objects",
    7: "mesh",
    8: "bound",
    9: "to bind",
}
_AUTHENTICATION = ("", "secure authentication", "standard authentication", "authentication 3")
HEADER_SIZE = 5
"""Control, product id, counter: what every frame has."""

_ABILITIES = {0: "connectable", 1: "central", 2: "can encrypt", 5: "I/O capability follows"}
_ENCRYPTIONS = {"legacy": "legacy", "ccm": "v4v5"}
_BONDING = ("", "bond before connecting", "bond after connecting", "combo")


def draw(drawing: Drawing, data: bytes, offset: int) -> None:
    """Add what can be read of a frame. StopDrawing or DecodeError where it cannot be read further."""
    header = HEADER_SIZE if len(data) >= HEADER_SIZE else 0
    if header:
        _head(drawing, data, offset)
    try:
        frame = parse_frame(data)
    except DecodeError:
        drawing.add("frame", offset + header, data[header:], "rest", "not read")
        raise
    _optional(drawing, frame, data, offset)
    address = drawing.address if drawing.address is not None else frame.mac
    if None not in {drawing.address, frame.mac} and drawing.address != frame.mac:
        raise StopDrawing(Outcome.WRONG_MAC, "the MAC inside is not the address that the frame came from")
    if not frame.body:
        raise StopDrawing(Outcome.EMPTY, "no objects: a sign of life")
    if frame.scheme == "plain":
        _objects(drawing, frame.model, frame.body, offset + frame.start, "frame", strict=False)
        return
    _sealed(drawing, frame, data, offset)
    body = opened(drawing, frame, data, address, open_frame, _ENCRYPTIONS[frame.scheme])
    _objects(drawing, frame.model, body, 0, "decrypted", strict=True)


def _head(drawing: Drawing, data: bytes, offset: int) -> None:
    control = data[0] | data[1] << 8
    bits = [name for bit, name in _FLAGS.items() if control >> bit & 1] + [_AUTHENTICATION[control >> 10 & 3]]
    drawing.add("frame", offset, data[:2], "control", joined([f"version {control >> 12}", *bits]))
    model = drawing.model = model_of(data[2] | data[3] << 8)
    about = f"{model.name}, {model.kind}" if model.known else "no such model here"
    drawing.add("frame", offset + 2, data[2:4], "product id", f"0x{model.product_id:04X}, {about}")
    drawing.add("frame", offset + 4, data[4:5], "counter", str(data[4]))


def _optional(drawing: Drawing, frame: MibeaconFrame, data: bytes, offset: int) -> None:
    at = 5
    if frame.mac is not None:
        drawing.add("frame", offset + at, data[at : at + 6], "MAC", mac_text(frame.mac))
        at += 6
    if frame.capability is not None:
        bits = [name for bit, name in _ABILITIES.items() if frame.capability >> bit & 1]
        bits.append(_BONDING[frame.capability >> 3 & 3])
        drawing.add("frame", offset + at, data[at : at + 1], "capability", joined(bits))
        if frame.capability & CAPABILITY_IO:
            io = data[at + 1 : max(frame.start, at + 2)]
            drawing.add("frame", offset + at + 1, io, "I/O capability")


def _sealed(drawing: Drawing, frame: MibeaconFrame, data: bytes, offset: int) -> None:
    at = frame.start + len(frame.body)
    drawing.add("frame", offset + frame.start, frame.body, "objects", f"encrypted, {_ENCRYPTIONS[frame.scheme]}")
    extended = int.from_bytes(data[at : at + 3], "little")
    counter = f"{extended}; with the counter {extended << 8 | data[4]}"
    drawing.add("frame", offset + at, data[at : at + 3], "extended", counter)
    drawing.add("frame", offset + at + 3, data[at + 3 :], "tag" if frame.tag else "unused")


def _objects(drawing: Drawing, model: Model, payload: bytes, offset: int, part: str, *, strict: bool) -> None:
    at = 0
    while at + OBJECT_HEADER <= len(payload):
        start, after = at + OBJECT_HEADER, at + OBJECT_HEADER + payload[at + 2]
        object_id = payload[at] | payload[at + 1] << 8
        drawing.add(part, offset + at, payload[at : at + 2], "object id", f"0x{object_id:04X}")
        drawing.add(part, offset + at + 2, payload[at + 2 : start], "length", str(payload[at + 2]))
        if after > len(payload):
            drawing.add(part, offset + start, payload[start:], "data", "cut off")
        else:
            meaning = _meaning(model, object_id, payload[at:after])
            drawing.add(part, offset + start, payload[start:after], "data", meaning)
        at = after
    if at < len(payload):
        drawing.add(part, offset + at, payload[at:], "rest", "too short for an object")
    drawing.decoded = decode_objects(payload, model, strict=strict)


def _meaning(model: Model, object_id: int, data: bytes) -> str:
    found = decode_objects(data, model, strict=False)
    said = [*value_texts(found), *(event_text(event) for event in found.events)]
    if said:
        return ", ".join(said)
    if found.skipped.implausible:
        return f"{', '.join(found.skipped.implausible)} out of range"
    row = rows_of(model).get(object_id)
    if row is None:
        return f"no such object of {model.name} here"
    if found.skipped.unknown:
        return f"this object has {' or '.join(map(str, sorted(row.lengths)))} bytes"
    return "known, nothing to tell"
