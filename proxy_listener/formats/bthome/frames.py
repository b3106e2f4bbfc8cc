"""BTHome's frames. In: service data 0xFCD2 of version 2, 0x181C and 0x181E of version 1. Out: frame and body.

::

    version 2, 0xFCD2     [info][MAC, reversed: 6, if info bit 1][objects]
           encrypted      [info][MAC][encrypted objects][counter: 4][tag: 4]
           info           0 encrypted, 1 MAC, 2 sends only when something happens, 5-7 version (2)
           AES-128-CCM, tag of 4, no associated data, nonce = MAC, D2 FC, info, counter

    version 1, 0x181C     [objects]
    version 1, 0x181E     [encrypted objects][counter: 4][tag: 4]
           AES-128-CCM, tag of 4, associated data 0x11, nonce = MAC, 1E 18, counter

The counter of an encrypted frame is 32 bits, little endian; of a plain one it is the packet id, an object of eight bits
that may be left out. A MAC inside is the device's, whoever sends the frame. See docs/protocol/bthome.md.
"""

from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidTag

from proxy_listener.formats.bindkey import Bindkey
from proxy_listener.formats.bthome.models import SENSOR, TRIGGERED, named
from proxy_listener.formats.bthome.objects import (
    OBJECTS,
    PACKET_ID,
    Walk,
    packet_id,
    read,
    says_something,
    walk_v1,
    walk_v2,
)
from proxy_listener.formats.drawing import Drawing, event_text, value_texts
from proxy_listener.formats.format import Format, Frame
from proxy_listener.formats.layout import Decoded, Found
from proxy_listener.formats.opening import opened
from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome

V2, V1, V1_ENCRYPTED = 0xFCD2, 0x181C, 0x181E

ENCRYPTED, HAS_MAC, TRIGGER_BASED = 1 << 0, 1 << 1, 1 << 2
VERSION = 2

MAC_BYTES, COUNTER_BYTES, TAG_BYTES = 6, 4, 4
_TAIL = COUNTER_BYTES + TAG_BYTES
SHORTEST = 2
"""Encrypted bytes, at least: an object has an id and a byte of data."""

ASSOCIATED_DATA_V1 = b"\x11"


def parse_v2(payload: bytes, _address: Address | None) -> Frame:
    """Version 2. A frame with nothing but a packet id has an empty body: a sign of life."""
    if not payload:
        raise DecodeError(Outcome.MALFORMED, "no bytes")
    info = payload[0]
    if info >> 5 != VERSION:
        raise DecodeError(Outcome.NOT_A_FRAME, f"version {info >> 5}")
    start = 1 + MAC_BYTES if info & HAS_MAC else 1
    if len(payload) < start:
        raise DecodeError(Outcome.MALFORMED, f"{len(payload)} bytes, the header says {start}")
    mac = int.from_bytes(payload[1:start], "little") if info & HAS_MAC else None
    model = TRIGGERED if info & TRIGGER_BASED else SENSOR
    if info & ENCRYPTED:
        return _sealed(model, payload, start, mac)
    return _plain(model, payload[start:], walk_v2(payload[start:]), mac)


def parse_v1(payload: bytes, _address: Address | None) -> Frame:
    """Version 1, plain."""
    return _plain(SENSOR, payload, walk_v1(payload), None)


def parse_v1_encrypted(payload: bytes, _address: Address | None) -> Frame:
    """Version 1, encrypted."""
    return _sealed(SENSOR, payload, 0, None)


def _plain(model: Model, body: bytes, walk: Walk, mac: Address | None) -> Frame:
    frame = Frame()
    frame.model, frame.mac, frame.scheme, frame.tag = model, mac, "plain", b""
    frame.counter = packet_id(walk)
    frame.body = body if says_something(walk) else b""
    return frame


def _sealed(model: Model, payload: bytes, start: int, mac: Address | None) -> Frame:
    end = len(payload) - _TAIL
    if end - start < SHORTEST:
        raise DecodeError(Outcome.MALFORMED, f"{max(0, end - start)} encrypted bytes, too few to hold an object")
    frame = Frame()
    frame.model, frame.mac, frame.scheme = model, mac, "ccm"
    frame.body, frame.tag = payload[start:end], payload[-TAG_BYTES:]
    frame.counter = int.from_bytes(payload[end:-TAG_BYTES], "little")
    return frame


def open_v2(frame: Frame, payload: bytes, address: Address, key: Bindkey) -> bytes | None:
    """The decrypted objects; None where the key does not fit."""
    mac = address if frame.mac is None else frame.mac
    return _open(frame, mac, V2.to_bytes(2, "little") + payload[:1], key, None)


def open_v1(frame: Frame, _payload: bytes, address: Address, key: Bindkey) -> bytes | None:
    """The same of version 1."""
    return _open(frame, address, V1_ENCRYPTED.to_bytes(2, "little"), key, ASSOCIATED_DATA_V1)


def _open(frame: Frame, mac: Address, middle: bytes, key: Bindkey, associated: bytes | None) -> bytes | None:
    if key.unseal is None:
        return None
    counter = (frame.counter or 0).to_bytes(COUNTER_BYTES, "little")
    try:
        return key.unseal(mac.to_bytes(MAC_BYTES, "big") + middle + counter, frame.body + frame.tag, associated)
    except InvalidTag:
        return None


def read_v2(body: bytes, _model: Model, _strict: bool) -> Found:
    """What the objects say, up to an unknown one."""
    return read(walk_v2(body))


def read_v1(body: bytes, _model: Model, _strict: bool) -> Found:
    """What the known objects say."""
    return read(walk_v1(body))


def draw_v2(drawing: Drawing, payload: bytes, offset: int) -> None:
    """Information byte, MAC, objects. StopDrawing or DecodeError where it cannot be read further."""
    frame = parse_v2(payload, None)
    info = payload[0]
    bits = ((ENCRYPTED, "encrypted"), (HAS_MAC, "MAC"), (TRIGGER_BASED, "trigger-based"))
    said = ", ".join([f"version {info >> 5}", *(name for bit, name in bits if info & bit)])
    drawing.add("frame", offset, payload[:1], "information", said)
    start = 1
    if frame.mac is not None:
        start += MAC_BYTES
        drawing.add("frame", offset + 1, payload[1:start], "MAC", mac_text(frame.mac))
    address = drawing.address if frame.mac is None else frame.mac
    _draw(drawing, frame, payload, (offset, start), (walk_v2, open_v2, address))


def draw_v1(drawing: Drawing, payload: bytes, offset: int) -> None:
    """Objects."""
    _draw(drawing, parse_v1(payload, None), payload, (offset, 0), (walk_v1, open_v1, drawing.address))


def draw_v1_encrypted(drawing: Drawing, payload: bytes, offset: int) -> None:
    """Encrypted objects, and what they say with a bindkey."""
    _draw(drawing, parse_v1_encrypted(payload, None), payload, (offset, 0), (walk_v1, open_v1, drawing.address))


def _draw(
    drawing: Drawing,
    frame: Frame,
    payload: bytes,
    place: tuple[int, int],
    form: tuple[Callable[[bytes], Walk], Callable[[Frame, bytes, Address, Bindkey], bytes | None], Address | None],
) -> None:
    (offset, start), (walk_of, open_, address) = place, form
    drawing.model = frame.model
    if frame.scheme == "plain":
        _draw_objects(drawing, payload[start:], offset + start, "frame", walk_of)
        return
    end = len(payload) - _TAIL
    drawing.add("frame", offset + start, frame.body, "objects", "encrypted, AES-CCM")
    drawing.add("frame", offset + end, payload[end:-TAG_BYTES], "counter", str(frame.counter))
    drawing.add("frame", offset + len(payload) - TAG_BYTES, frame.tag, "tag")
    body = opened(drawing, frame, payload, address, open_, "AES-CCM")
    _draw_objects(drawing, body, 0, "decrypted", walk_of)


def _draw_objects(drawing: Drawing, body: bytes, offset: int, part: str, walk_of: Callable[[bytes], Walk]) -> None:
    walk = walk_of(body)
    at = 0
    for found in walk.objects:
        if at < found.at:
            drawing.add(part, offset + at, body[at : found.at], "object", "not known here")
        alone = Decoded(*read(Walk((found,))))
        said = [*value_texts(alone), *(event_text(event) for event in alone.events)]
        if alone.skipped.implausible:
            said.append(f"{', '.join(alone.skipped.implausible)} out of range")
        name = "packet id" if found.id == PACKET_ID else f"object 0x{found.id:02X}"
        meaning = ", ".join(said) or (str(found.data[0]) if found.id == PACKET_ID and found.data else "nothing to tell")
        drawing.add(part, offset + found.at, body[found.at : found.end], name, meaning)
        at = found.end
    if at < len(body):
        drawing.add(part, offset + at, body[at:], "rest", "cut off" if walk.short else "not known here")
    drawing.decoded = Decoded(*read(walk))


def _fits_v2(payload: bytes) -> bool:
    """A version-2 information byte without reserved bits, and whole objects up to the end or to an unknown one; of
    encrypted ones only the first.
    """
    if not payload or payload[0] & 0xF8 != VERSION << 5:
        return False
    if payload[0] & ENCRYPTED:
        return len(payload) > _TAIL + SHORTEST
    walk = walk_v2(payload[7 if payload[0] & HAS_MAC else 1 :])
    return bool(walk.objects) and not walk.short


def _fits_v1(payload: bytes) -> bool:
    walk = walk_v1(payload)
    return (
        bool(walk.objects)
        and not walk.unknown
        and not walk.short
        and all(found.id in OBJECTS for found in walk.objects)
    )


_MARK_V1, _MARK_V2 = b"1", b"2"

FORMATS: dict[int, Format[Any]] = {
    V2: Format("BTHome v2", parse_v2, read_v2, draw_v2, _fits_v2, open_v2, mark=_MARK_V2, relayed=True, named=named),
    V1: Format("BTHome v1", parse_v1, read_v1, draw_v1, _fits_v1, mark=_MARK_V1, named=named),
    V1_ENCRYPTED: Format(
        "BTHome v1, encrypted",
        parse_v1_encrypted,
        read_v1,
        draw_v1_encrypted,
        lambda _payload: False,
        open_v1,
        mark=_MARK_V1,
        named=named,
    ),
}
"""UUID of the service data -> format."""
