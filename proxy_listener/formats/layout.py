"""The cells of object tables: what the bytes of one object mean, said once, compiled to a reader at import.

::

    layout(i16(TEMPERATURE, per=10), u16(HUMIDITY, per=10))     s16 LE, 0.1 °C; u16 LE, 0.1 %: four bytes
    codes({1: says(opening=True), 2: says(opening=False)})      one byte, each value with what it says
    function(lock, 9)                                           a Python function, for all else

In: one whole object. Out: its values and events. An object gives all of its values or none: a reader that finds one
outside its range raises :class:`Implausible`. All ones (of signed numbers the largest and the smallest) is how a device
says that it has no value, so it is outside every range.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import attrs

from proxy_listener.model.errors import DecodeError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.quantities import Quantity
from proxy_listener.model.reading import Event, Value

HEADER = 3
"""An object's id and length, before its data."""

Values: TypeAlias = dict[str, Value]
Events: TypeAlias = tuple[Event, ...]


class Skipped(NamedTuple):
    """What objects held beside what is published; it is counted.

    ``unknown``: ids of objects skipped, without a row or of a length that their row does not have. ``short``: the last
    object is cut off. ``implausible``: quantities found outside their range, and not among the values.
    """

    unknown: tuple[int, ...] = ()
    short: bool = False
    implausible: tuple[str, ...] = ()


NOTHING_SKIPPED = Skipped()
"""Of nearly every frame: one for all, because making it would cost as much as reading an object."""

Found: TypeAlias = tuple[Values, Events, Skipped]
"""What a body says. A plain tuple, because one is made for every frame, and a class takes three times as long."""


class Decoded(NamedTuple):
    """:data:`Found` with names, for everything but the hot path."""

    values: Values
    events: Events = ()
    skipped: Skipped = NOTHING_SKIPPED


Reader: TypeAlias = Callable[[bytes], Found]
"""``read(object)``: one object with its header, exactly as long as that says, and of a length that its row has."""
Meaning: TypeAlias = Callable[[bytes], tuple[Values, Events]]
"""``meaning(data)``: the same from the object's data alone, for rows that are functions."""


class Implausible(DecodeError):  # noqa: N818  the word of the closed list of outcomes
    """An object's bytes say what cannot be. ``quantity`` is the name of what."""

    def __init__(self, quantity: str, found: object) -> None:
        super().__init__(Outcome.IMPLAUSIBLE, f"{quantity}: {found} cannot be")
        self.quantity = quantity


@attrs.frozen
class Field:
    """Bytes of a layout. ``per`` is the scale: the raw number is divided by it, once. ``constant`` takes no bytes."""

    quantity: Quantity
    format: Literal["", "B", "b", "h", "H", "I", "f", "u24", "?"]
    per: int = 1
    constant: bool | None = None


@attrs.frozen(eq=False)
class ObjectRow:
    """One object: the lengths its data may have, how it is read; the fields of a layout, the codes of a byte."""

    lengths: frozenset[int]
    read: Reader
    fields: tuple[Field, ...] = ()
    codes: Mapping[int, "Code"] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Code:
    """What one value of a byte says."""

    values: Mapping[str, Value] = attrs.field(factory=dict)
    events: tuple[Event, ...] = ()


def u8(quantity: Quantity) -> Field:
    """One byte."""
    return Field(quantity, "B")


def i8(quantity: Quantity) -> Field:
    """One byte, signed."""
    return Field(quantity, "b")


def i16(quantity: Quantity, per: int = 1) -> Field:
    """Two bytes, signed."""
    return Field(quantity, "h", per)


def u16(quantity: Quantity, per: int = 1) -> Field:
    """Two bytes."""
    return Field(quantity, "H", per)


def u24(quantity: Quantity) -> Field:
    """Three bytes; alone in its layout."""
    return Field(quantity, "u24")


def u32(quantity: Quantity) -> Field:
    """Four bytes."""
    return Field(quantity, "I")


def f32(quantity: Quantity) -> Field:
    """Four bytes, an IEEE 754 single."""
    return Field(quantity, "f")


def flag(quantity: Quantity) -> Field:
    """One byte; anything but 0 is true, and FF is no value."""
    return Field(quantity, "?")


def sets(quantity: Quantity, to: bool) -> Field:
    """No bytes: that the object comes at all says so."""
    return Field(quantity, "", constant=to)


def says(**values: Value) -> Code:
    """What a code says about states."""
    return Code(values)


def fires(event: str, kind: str) -> Code:
    """A code that is an event."""
    return Code(events=(Event(event, kind),))


def shortest(number: float) -> float:
    """A float32 as the shortest decimal that rounds back to it: 23.799999237060547 -> 23.8."""
    # Six digits hold every decimal of up to six that a sensor means, and are what all but odd numbers need.
    decimal = float("%.6g" % number)  # noqa: UP031  half the time of the f-string, on the hot path
    packed = _FLOAT.pack(number)
    if abs(decimal) <= _LARGEST and _FLOAT.pack(decimal) == packed and not 0 < abs(number) < _NORMAL:
        return decimal + 0.0  # so that -0.0 is 0.0
    for digits in range(1, 9):
        decimal = float(f"{number:.{digits}g}")
        if abs(decimal) <= _LARGEST and _FLOAT.pack(decimal) == packed:
            return decimal
    return float(f"{number:.9g}")


_LARGEST = 3.4028234663852886e38
"""The largest float32; its neighbours' short decimals may lie above it."""

_NORMAL = 2.0**-126
"""Below it a float32 holds fewer digits, and fewer than six may do."""

_FLOAT = struct.Struct("<f")
_SIZES = {"": 0, "B": 1, "b": 1, "h": 2, "H": 2, "I": 4, "f": 4, "u24": 3, "?": 1}


def layout(*fields: Field) -> ObjectRow:
    """The fields, in order, little endian, nothing between or behind them."""
    length = sum(_SIZES[field.format] for field in fields)
    carried = [field for field in fields if field.format]
    constants: Values = {field.quantity.name: field.constant for field in fields if field.constant is not None}
    read = _one(*carried) if len(carried) == 1 else _many(carried)
    return ObjectRow(frozenset({length}), _with(read, constants) if constants else read, fields)


def codes(table: Mapping[int, Code], *lengths: int) -> ObjectRow:
    """One byte with what each of its values says; an unlisted value is implausible. Further bytes are not read."""
    name = next((name for code in table.values() for name in code.values), "event")

    def read(payload: bytes) -> Found:
        code = table.get(payload[HEADER])
        if code is None:
            raise Implausible(name, f"code {payload[HEADER]}")
        return {**code.values}, code.events, NOTHING_SKIPPED

    return ObjectRow(frozenset(lengths or (1,)), read, codes=table)


def function(meaning: Meaning, *lengths: int) -> ObjectRow:
    """Bytes whose meaning depends on each other."""

    def read(payload: bytes) -> Found:
        values, events = meaning(payload[HEADER:])
        return values, events, NOTHING_SKIPPED

    return ObjectRow(frozenset(lengths), read)


def nothing(*lengths: int) -> ObjectRow:
    """A known object of which nothing is published."""
    return ObjectRow(frozenset(lengths), lambda _payload: ({}, (), NOTHING_SKIPPED))


def _with(inner: Reader, constants: Values) -> Reader:
    def read(payload: bytes) -> Found:
        values, events, skipped = inner(payload)
        return values | constants, events, skipped

    return read


_ABSENT = {"B": 0xFF, "H": 0xFFFF, "u24": 0xFFFFFF, "I": 0xFFFFFFFF, "?": 0xFF, "b": 0x7F, "h": 0x7FFF}
"""The raw number of each format that is no value; of the signed ones also the negative below its own."""


def _limits(field: Field) -> tuple[float, float]:
    """The range in raw numbers, so that what is compared is what came; no sentinel is in it."""
    quantity, absent = field.quantity, _ABSENT.get(field.format, float("inf"))
    low = float("-inf") if quantity.low is None else quantity.low * field.per
    high = float("inf") if quantity.high is None else quantity.high * field.per
    return max(low, -absent), min(high, absent - 1)


def _unpack(formats: str) -> Callable[[bytes], tuple[Any, ...]]:
    """The fields' bytes -> raw numbers."""
    return struct.Struct(f"<{HEADER}x{formats}").unpack


# One function for each shape of object rather than one that interprets fields: nine frames in ten are one of these, and
# this is the innermost call of the hot path.
def _one(field: Field) -> Reader:
    if field.format == "f":
        return _float(field)
    if field.format == "u24":
        return _three_bytes(field)
    if field.format == "?":
        return _flag(field)
    return _whole(field) if field.per == 1 else _scaled(field)


def _flag(field: Field) -> Reader:
    name, absent = field.quantity.name, _ABSENT["?"]

    def read(payload: bytes) -> Found:
        raw = payload[HEADER]
        if raw == absent:
            raise Implausible(name, raw)
        return {name: raw != 0}, (), NOTHING_SKIPPED

    return read


def _whole(field: Field) -> Reader:
    name, (low, high), unpack = field.quantity.name, _limits(field), _unpack(field.format)

    def read(payload: bytes) -> Found:
        (raw,) = unpack(payload)
        if not low <= raw <= high:
            raise Implausible(name, raw)
        return {name: raw}, (), NOTHING_SKIPPED

    return read


def _scaled(field: Field) -> Reader:
    name, per, (low, high), unpack = field.quantity.name, field.per, _limits(field), _unpack(field.format)

    def read(payload: bytes) -> Found:
        (raw,) = unpack(payload)
        if not low <= raw <= high:
            raise Implausible(name, raw / per)
        return {name: raw / per}, (), NOTHING_SKIPPED

    return read


def _three_bytes(field: Field) -> Reader:
    name, (low, high), unpack = field.quantity.name, _limits(field), _unpack("HB")

    def read(payload: bytes) -> Found:
        lower, upper = unpack(payload)
        raw = lower | upper << 16
        if not low <= raw <= high:
            raise Implausible(name, raw)
        return {name: raw}, (), NOTHING_SKIPPED

    return read


def _float(field: Field) -> Reader:
    name, (low, high), unpack = field.quantity.name, _limits(field), _unpack(field.format)

    def read(payload: bytes) -> Found:
        (raw,) = unpack(payload)
        if not low <= raw <= high:  # so written, NaN is outside
            raise Implausible(name, raw)
        return {name: shortest(raw)}, (), NOTHING_SKIPPED

    return read


def _many(fields: list[Field]) -> Reader:
    if len(fields) == 2:
        return _pair(*fields)
    unpack = _unpack("".join(field.format for field in fields))
    cells = [(field.quantity.name, field.per, *_limits(field)) for field in fields]

    def read(payload: bytes) -> Found:
        values: Values = {}
        for (name, per, low, high), raw in zip(cells, unpack(payload), strict=True):
            if not low <= raw <= high:
                raise Implausible(name, raw / per)
            values[name] = raw if per == 1 else raw / per
        return values, (), NOTHING_SKIPPED

    return read


def _pair(first: Field, second: Field) -> Reader:
    unpack = _unpack(first.format + second.format)
    name1, per1, (low1, high1) = first.quantity.name, first.per, _limits(first)
    name2, per2, (low2, high2) = second.quantity.name, second.per, _limits(second)

    def read(payload: bytes) -> Found:
        raw1, raw2 = unpack(payload)
        if not low1 <= raw1 <= high1:
            raise Implausible(name1, raw1 / per1)
        if not low2 <= raw2 <= high2:
            raise Implausible(name2, raw2 / per2)
        values: Values = {name1: raw1 if per1 == 1 else raw1 / per1, name2: raw2 if per2 == 1 else raw2 / per2}
        return values, (), NOTHING_SKIPPED

    return read
