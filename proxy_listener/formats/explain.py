"""Explains an advertisement: every field with its bytes and meaning, and why something could not be read.

In: an advertising payload or service data alone, the sender's address and bindkeys where they are known. Out: an
:class:`Explanation`, and the same as text, to paste into a bug report. No key is in it.
"""

from collections.abc import Iterator, Sequence

import attrs

from proxy_listener.formats import FORMATS, MAIN_UUID
from proxy_listener.formats.drawing import Drawing, Line, StopDrawing, event_text, value_texts
from proxy_listener.formats.layout import Decoded
from proxy_listener.model.advertisement import COMPANY, MANUFACTURER_DATA, SERVICE_DATA_16, Address, payloads
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret

_MESH = {0x29: "mesh PB-ADV", 0x2A: "mesh message", 0x2B: "mesh beacon"}
_STRUCTURES = {
    0x01: "flags",
    0x08: "short name",
    0x09: "complete name",
    SERVICE_DATA_16: "service data",
    **_MESH,
    MANUFACTURER_DATA: "manufacturer data",
}
_ASSIGNED = frozenset({*range(0x01, 0x32), 0x3D, MANUFACTURER_DATA})
"""Types of advertising structures: Bluetooth Assigned Numbers, section 2.3."""

_FOREIGN_SERVICES = {
    0xFD6F: "exposure notification",
    0xFE2C: "Google Fast Pair",
    0xFEAA: "Eddystone",
}
_FOREIGN_COMPANIES = {0x0006: "Microsoft", 0x004C: "Apple", 0x0075: "Samsung", 0x038F: "Xiaomi", 0x0499: "Ruuvi"}
"""Names of what is met most: Assigned Numbers, sections 3.4 and 7.1."""


@attrs.frozen
class Explanation:
    """What a frame is. ``reason``: why it gives no reading, or not all; empty where all was read."""

    lines: tuple[Line, ...]
    model: Model | None = None
    decoded: Decoded | None = None
    outcome: Outcome = Outcome.DECODED
    reason: str = ""


def examine(data: bytes, address: Address | None = None, keys: Sequence[Secret] = ()) -> Explanation:
    """What ``data`` is. Without an ``address`` the one inside the frame is taken."""
    drawing = Drawing(address, keys)
    outcome, reason = Outcome.DECODED, ""
    try:
        _draw(drawing, data)
    except DecodeError as problem:
        outcome, reason = problem.outcome, str(problem)
    except StopDrawing as end:
        outcome, reason = end.outcome, end.reason
    decoded = drawing.decoded
    if decoded is not None and not (decoded.values or decoded.events):
        outcome, reason = _nothing(decoded)
    return Explanation(tuple(drawing.lines), drawing.model, decoded, outcome, reason)


def _draw(drawing: Drawing, data: bytes) -> None:
    ours = any(_ours(key, payload) for key, payload in payloads(data))
    if not ours and not _is_advertisement(data) and (_is_payload(data) or not _begins_advertisement(data)):
        FORMATS[_uuid_of(data)].draw(drawing, data, 0)
        return
    at = 0
    while at + 1 < len(data) and at + 1 + data[at] <= len(data):
        after = at + 1 + data[at]
        kind, number = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "little")
        key = COMPANY | number if kind == MANUFACTURER_DATA else number
        if data[at] == 0:
            drawing.add("advertisement", at, data[at:after], "padding")
        elif kind in {SERVICE_DATA_16, MANUFACTURER_DATA} and _ours(key, data[at + 4 : after]):
            about = f"0x{number:04X}, {FORMATS[key].name}"
            drawing.add("advertisement", at, data[at : at + 4], _STRUCTURES[kind], about)
            FORMATS[key].draw(drawing, data[at + 4 : after], at + 4)
        else:
            name = _STRUCTURES.get(kind, f"structure 0x{kind:02X}")
            drawing.add("advertisement", at, data[at:after], name, _foreign(kind, data[at + 2 : after]))
        at = after
    if at < len(data):
        drawing.add("advertisement", at, data[at:], "cut off" if any(data[at:]) else "padding")
    if not ours:
        raise StopDrawing(Outcome.NOT_OURS, "an advertisement, without a payload of a format that is decoded")


def _ours(key: int, payload: bytes) -> bool:
    """Manufacturer data is anything; of ours it is what fits."""
    return key in FORMATS and (key < COMPANY or FORMATS[key].fits(payload))


def _is_advertisement(data: bytes) -> bool:
    """Its structures have assigned types and fill the bytes exactly, but for zeros at the end."""
    at = 0
    while at + 1 < len(data) and data[at] and data[at + 1] in _ASSIGNED:
        at += 1 + data[at]
    return 0 < at <= len(data) and not any(data[at:])


def _begins_advertisement(data: bytes) -> bool:
    """Its first structure is whole and of an assigned type; the others may be cut off."""
    return len(data) > 1 and 0 < data[0] < len(data) and data[1] in _ASSIGNED


def _is_payload(data: bytes) -> bool:
    """It can be read as the service data of a format."""
    try:
        form = FORMATS[_uuid_of(data)]
        frame = form.parse(data, None)
        if frame.body and frame.scheme == "plain":
            form.read(frame.body, frame.model, True)
    except DecodeError:
        return False
    return True


def _foreign(kind: int, data: bytes) -> str:
    """What a structure that is not decoded is known to be."""
    number = int.from_bytes(data[:2], "little")
    if kind == SERVICE_DATA_16 and len(data) >= 2:
        return ", ".join(filter(None, (f"0x{number:04X}", _FOREIGN_SERVICES.get(number), "not decoded")))
    if kind == MANUFACTURER_DATA and len(data) >= 2:
        name = "Apple iBeacon" if data[:4] == b"\x4c\x00\x02\x15" else _FOREIGN_COMPANIES.get(number)
        return ", ".join(filter(None, (f"company 0x{number:04X}", name, "not decoded")))
    return "not decoded" if kind in _MESH else ""


def _uuid_of(data: bytes) -> int:
    """The format of service data alone: the main one, unless only another one fits."""
    fitting = [uuid for uuid, form in FORMATS.items() if form.fits(data)]
    return MAIN_UUID if not fitting or MAIN_UUID in fitting else fitting[0]


def _nothing(decoded: Decoded) -> tuple[Outcome, str]:
    if decoded.skipped.implausible:
        return Outcome.IMPLAUSIBLE, "nothing in it is within its range"
    if decoded.skipped.unknown:
        return Outcome.UNKNOWN_OBJECT, "none of its objects is known"
    if decoded.skipped.short:
        return Outcome.MALFORMED, "its only object is cut off"
    return Outcome.EMPTY, "its objects tell nothing"


def text(explanation: Explanation) -> str:
    """One field a line, and below them what was read or why not."""
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
        for value in value_texts(explanation.decoded):
            yield f"value     {value}"
        for event in explanation.decoded.events:
            yield f"event     {event_text(event)}"
        for object_id in explanation.decoded.skipped.unknown:
            yield f"skipped   object 0x{object_id:04X}"
    yield f"outcome   {explanation.outcome}" + (f": {explanation.reason}" if explanation.reason else "")
