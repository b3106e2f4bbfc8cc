"""Draws a frame: each field with its bytes, its name and what it means, and why something could not be read.

In: an advertising payload or service data alone, the sender's address and bindkeys where they are known. Out: an
:class:`Explanation`, and the same as text, to paste into a bug report. The rule of this file: what a key opened is
shown, the key never.
"""

from collections.abc import Iterator, Sequence

import attrs

from proxy_listener.formats.xiaomi import hhcc, miscale
from proxy_listener.formats.xiaomi.mibeacon import CAPABILITY_IO, Bindkey, Frame, open_frame, parse_frame
from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.formats.xiaomi.objects import OBJECT_HEADER, Decoded, decode_objects, rows_of
from proxy_listener.model.advertisement import (
    BODY_COMPOSITION,
    MIBEACON,
    SERVICE_DATA_16,
    TUYA,
    WEIGHT_SCALE,
    Address,
    mac_text,
    service_data,
)
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.quantities import QUANTITIES
from proxy_listener.model.reading import Event, Value
from proxy_listener.model.secret import Secret

_NAMES = {
    MIBEACON: "MiBeacon",
    WEIGHT_SCALE: "Mi scale v1",
    BODY_COMPOSITION: "Mi scale v2",
    TUYA: "HHCCJCY10 or another of Tuya's",
}
_BARE_SIZES = {10: WEIGHT_SCALE, 13: BODY_COMPOSITION, 9: TUYA}
"""Service data of these sizes that is no MiBeacon frame may be one of these."""

_CLOCK = (("year", 2), ("month", 1), ("day", 1), ("hour", 1), ("minute", 1), ("second", 1))
_FIELDS = {
    WEIGHT_SCALE: (("control", 1), ("weight", 2), *_CLOCK),
    BODY_COMPOSITION: (("control", 1), ("control", 1), *_CLOCK, ("impedance", 2), ("weight", 2)),
    TUYA: (("moisture", 1), ("temperature", 2), ("illuminance", 3), ("battery", 1), ("conductivity", 2)),
}
"""Names and sizes of the formats that are not MiBeacon; the scales' numbers are little endian, Tuya's big."""

_STRUCTURES = {0x01: "flags", 0x08: "short name", 0x09: "complete name", 0xFF: "manufacturer data"}
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
_ABILITIES = {0: "connectable", 1: "central", 2: "can encrypt", 5: "I/O capability follows"}
_BONDING = ("", "bond before connecting", "bond after connecting", "combo")


@attrs.frozen
class Line:
    """One field: where it begins in its part, its bytes, its name, its meaning."""

    part: str
    offset: int
    data: bytes
    name: str
    meaning: str


@attrs.frozen
class Explanation:
    """What a frame is. ``reason``: why it gives no reading, or not all; empty where all was read."""

    lines: tuple[Line, ...]
    model: Model | None = None
    decoded: Decoded | None = None
    outcome: Outcome = Outcome.DECODED
    reason: str = ""


class _Stop(Exception):  # noqa: N818  the end of a drawing, not a fault
    def __init__(self, outcome: Outcome, reason: str) -> None:
        self.outcome, self.reason = outcome, reason


class _Drawing:
    """Collects the lines of one frame, as far as it can be read."""

    def __init__(self, address: Address | None, keys: Sequence[Secret]) -> None:
        self.address = address
        self.keys = keys
        self.lines: list[Line] = []
        self.model: Model | None = None
        self.decoded: Decoded | None = None

    def add(self, part: str, offset: int, data: bytes, name: str, meaning: str = "") -> None:
        self.lines.append(Line(part, offset, data, name, meaning))

    def draw(self, data: bytes) -> None:
        ours = [uuid for uuid, _ in service_data(data) if uuid in _NAMES]
        if not ours:
            self.service(_uuid_of(data), data, 0)
            return
        at = 0
        while at + 1 < len(data) and at + 1 + data[at] <= len(data):
            after = at + 1 + data[at]
            kind, uuid = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "little")
            if data[at] == 0:
                self.add("advertisement", at, data[at:after], "padding")
            elif kind == SERVICE_DATA_16 and uuid in _NAMES:
                self.add("advertisement", at, data[at : at + 4], "service data", f"0x{uuid:04X}, {_NAMES[uuid]}")
                self.service(uuid, data[at + 4 : after], at + 4)
            else:
                self.add("advertisement", at, data[at:after], _STRUCTURES.get(kind, f"structure 0x{kind:02X}"))
            at = after

    def service(self, uuid: int, data: bytes, offset: int) -> None:
        if uuid == MIBEACON:
            self.mibeacon(data, offset)
            return
        at = 0
        for name, size in _FIELDS[uuid]:
            field = data[at : at + size]
            number = int.from_bytes(field, "big" if uuid == TUYA else "little")
            self.add("frame", offset + at, field, name, f"0x{number:02X}" if name == "control" else str(number))
            at += size
        decode = hhcc.decode if uuid == TUYA else miscale.decode
        self.model, self.decoded = decode(uuid, data)

    def mibeacon(self, data: bytes, offset: int) -> None:
        if len(data) >= 5:
            self.head(data, offset)
        try:
            frame = parse_frame(data)
        except DecodeError:
            self.add("frame", offset + min(len(data), 5), data[5:], "rest", "not read")
            raise
        self.optional(frame, data, offset)
        address = self.address if self.address is not None else frame.mac
        if None not in {self.address, frame.mac} and self.address != frame.mac:
            raise _Stop(Outcome.WRONG_MAC, "the MAC inside is not the address that the frame came from")
        if not frame.body:
            raise _Stop(Outcome.EMPTY, "no objects: a sign of life")
        if not frame.encrypted:
            self.objects(frame.body, offset + frame.start, "frame", strict=False)
            return
        self.sealed(frame, data, offset)
        self.objects(self.opened(frame, data, address), 0, "decrypted", strict=True)

    def head(self, data: bytes, offset: int) -> None:
        control = data[0] | data[1] << 8
        bits = [name for bit, name in _FLAGS.items() if control >> bit & 1] + [_AUTHENTICATION[control >> 10 & 3]]
        self.add("frame", offset, data[:2], "control", _joined([f"version {control >> 12}", *bits]))
        self.model = model_of(data[2] | data[3] << 8)
        about = f"{self.model.name}, {self.model.kind}" if self.model.known else "no such model here"
        self.add("frame", offset + 2, data[2:4], "product id", f"0x{self.model.product_id:04X}, {about}")
        self.add("frame", offset + 4, data[4:5], "counter", str(data[4]))

    def optional(self, frame: Frame, data: bytes, offset: int) -> None:
        at = 5
        if frame.mac is not None:
            self.add("frame", offset + at, data[at : at + 6], "MAC", mac_text(frame.mac))
            at += 6
        if frame.capability is not None:
            bits = [name for bit, name in _ABILITIES.items() if frame.capability >> bit & 1]
            bits.append(_BONDING[frame.capability >> 3 & 3])
            self.add("frame", offset + at, data[at : at + 1], "capability", _joined(bits))
            if frame.capability & CAPABILITY_IO:
                io = data[at + 1 : max(frame.start, at + 2)]
                self.add("frame", offset + at + 1, io, "I/O capability")

    def sealed(self, frame: Frame, data: bytes, offset: int) -> None:
        at = frame.start + len(frame.body)
        self.add("frame", offset + frame.start, frame.body, "objects", f"encrypted, {frame.scheme}")
        counter = f"{frame.extended}; with the counter {frame.counter32}"
        self.add("frame", offset + at, data[at : at + 3], "extended", counter)
        self.add("frame", offset + at + 3, data[at + 3 :], "tag" if frame.tag else "unused")

    def opened(self, frame: Frame, data: bytes, address: Address | None) -> bytes:
        if address is None:
            raise _Stop(
                Outcome.NO_BINDKEY,
                "encrypted, and decrypting takes the MAC, which this frame leaves out: give it with --mac",
            )
        if not self.keys:
            digits = "24" if frame.scheme == "legacy" else "32"
            raise _Stop(Outcome.NO_BINDKEY, f"encrypted, and no bindkey of {digits} hex digits was given")
        fitting = [key for key in map(Bindkey, self.keys) if key.scheme == frame.scheme]
        if not fitting:
            raise _Stop(Outcome.DOWNGRADED, f"encrypted as {frame.scheme}, and no key is of that length")
        for key in fitting:
            plain = open_frame(frame, data, address, key)
            if plain is not None:
                return plain
        raise _Stop(Outcome.WRONG_BINDKEY, f"{len(fitting)} of the keys given are of the length, none opens it")

    def objects(self, payload: bytes, offset: int, part: str, *, strict: bool) -> None:
        assert self.model is not None
        at = 0
        while at + OBJECT_HEADER <= len(payload):
            start, after = at + OBJECT_HEADER, at + OBJECT_HEADER + payload[at + 2]
            object_id = payload[at] | payload[at + 1] << 8
            self.add(part, offset + at, payload[at : at + 2], "object id", f"0x{object_id:04X}")
            self.add(part, offset + at + 2, payload[at + 2 : start], "length", str(payload[at + 2]))
            if after > len(payload):
                self.add(part, offset + start, payload[start:], "data", "cut off")
            else:
                self.add(part, offset + start, payload[start:after], "data", self.meaning(object_id, payload[at:after]))
            at = after
        if at < len(payload):
            self.add(part, offset + at, payload[at:], "rest", "too short for an object")
        self.decoded = decode_objects(payload, self.model, strict=strict)

    def meaning(self, object_id: int, data: bytes) -> str:
        assert self.model is not None
        found = decode_objects(data, self.model, strict=False)
        said = [*_values(found), *(_event(event) for event in found.events)]
        if said:
            return ", ".join(said)
        if found.skipped.implausible:
            return f"{', '.join(found.skipped.implausible)} out of range"
        row = rows_of(self.model).get(object_id)
        if row is None:
            return f"no such object of {self.model.name} here"
        if found.skipped.unknown:
            return f"this object has {' or '.join(map(str, sorted(row.lengths)))} bytes"
        return "known, nothing to tell"


def _uuid_of(data: bytes) -> int:
    """Of service data alone: MiBeacon, unless it has the size of another format and no model's product id."""
    uuid = _BARE_SIZES.get(len(data), MIBEACON)
    return MIBEACON if model_of(data[2] | data[3] << 8 if len(data) > 3 else 0).known else uuid


def examine(data: bytes, address: Address | None = None, keys: Sequence[Secret] = ()) -> Explanation:
    """What ``data`` is. Without an ``address`` the one inside the frame is taken."""
    drawing = _Drawing(address, keys)
    outcome, reason = Outcome.DECODED, ""
    try:
        drawing.draw(data)
    except DecodeError as problem:
        outcome, reason = problem.outcome, str(problem)
    except _Stop as end:
        outcome, reason = end.outcome, end.reason
    decoded = drawing.decoded
    if decoded is not None and not (decoded.values or decoded.events):
        outcome, reason = _nothing(decoded)
    return Explanation(tuple(drawing.lines), drawing.model, decoded, outcome, reason)


def _nothing(decoded: Decoded) -> tuple[Outcome, str]:
    if decoded.skipped.implausible:
        return Outcome.IMPLAUSIBLE, "nothing in it is within its range"
    if decoded.skipped.unknown:
        return Outcome.UNKNOWN_OBJECT, "none of its objects is known"
    if decoded.skipped.short:
        return Outcome.MALFORMED, "its only object is cut off"
    return Outcome.EMPTY, "its objects tell nothing"


def text(explanation: Explanation) -> str:
    """The drawing, one field a line, and below it what was read or why not."""
    return "\n".join(_text(explanation)) + "\n"


def explain(data: bytes, address: Address | None = None, keys: Sequence[Secret] = ()) -> str:
    """:func:`examine`, as text."""
    return text(examine(data, address, keys))


def _text(explanation: Explanation) -> Iterator[str]:
    width = max((len(line.data) for line in explanation.lines), default=0) * 3
    part = ""
    for line in explanation.lines:
        if line.part != part:
            part = line.part
            yield part
        yield f"{line.offset:5}  {line.data.hex(' '):{width}} {line.name:15} {line.meaning}".rstrip()
    if explanation.model is not None:
        yield f"model     {explanation.model.name}, {explanation.model.kind}"
    if explanation.decoded is not None:
        for value in _values(explanation.decoded):
            yield f"value     {value}"
        for event in explanation.decoded.events:
            yield f"event     {_event(event)}"
        for object_id in explanation.decoded.skipped.unknown:
            yield f"skipped   object 0x{object_id:04X}"
    yield f"outcome   {explanation.outcome}" + (f": {explanation.reason}" if explanation.reason else "")


def _values(decoded: Decoded) -> Iterator[str]:
    for name, value in decoded.values.items():
        yield f"{name} {_shown(name, value)}"


def _shown(name: str, value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    quantity = QUANTITIES.get(name)
    return f"{value} {quantity.unit.symbol}".rstrip() if quantity is not None else str(value)


def _event(event: Event) -> str:
    properties = "".join(f" {name}={value}" for name, value in event.properties.items())
    return f"{event.event} {event.type}{properties}"


def _joined(parts: Sequence[str]) -> str:
    return ", ".join(part for part in parts if part)
