"""The drawing of a frame for people: its fields, each with its bytes, its name and what it means.

A format adds the fields of a payload to a :class:`Drawing`, as far as it can read them. What a bindkey opened is drawn,
the bindkey never.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import attrs

from proxy_listener.formats.layout import Decoded
from proxy_listener.model.advertisement import Address
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.quantities import row_of
from proxy_listener.model.reading import Event, Value
from proxy_listener.model.secret import Secret


@attrs.frozen
class Line:
    """One field: where it begins in its part, its bytes, its name, its meaning."""

    part: str
    offset: int
    data: bytes
    name: str
    meaning: str


class StopDrawing(Exception):  # noqa: N818  the end of a drawing, not a fault
    """The frame cannot be read further; the reason is for people."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason


@attrs.define
class Drawing:
    """Collects the lines of one frame. ``address`` and ``keys``: what is known of the sender."""

    address: Address | None
    keys: Sequence[Secret]
    lines: list[Line] = attrs.field(factory=list)
    model: Model | None = None
    decoded: Decoded | None = None

    def add(self, part: str, offset: int, data: bytes, name: str, meaning: str = "") -> None:
        """One more field."""
        self.lines.append(Line(part, offset, data, name, meaning))

    def add_fields(
        self, data: bytes, offset: int, fields: Iterable[tuple[str, int]], order: Literal["little", "big"]
    ) -> None:
        """Fields of fixed sizes, one behind the other: ``(name, bytes)``, each drawn as a number."""
        at = 0
        for name, size in fields:
            field = data[at : at + size]
            number = int.from_bytes(field, order)
            self.add("frame", offset + at, field, name, f"0x{number:02X}" if name == "control" else str(number))
            at += size


def joined(parts: Iterable[str]) -> str:
    """The parts that are not empty, as a list for people."""
    return ", ".join(part for part in parts if part)


def value_texts(decoded: Decoded) -> Iterator[str]:
    """Each value with its name and unit."""
    for name, value in decoded.values.items():
        yield f"{name} {_value_text(name, value)}"


def _value_text(name: str, value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    quantity = row_of(name)
    return f"{value} {quantity.unit.symbol}".rstrip() if quantity is not None else str(value)


def event_text(event: Event) -> str:
    """An event with its properties."""
    properties = "".join(f" {name}={value}" for name, value in event.properties.items())
    return f"{event.event} {event.type}{properties}"
