"""What every format gives the engine. In: the payload of one service data element. Out: its frame, and what that says.

::

    payload --parse--> Frame --open, with a bindkey--> body --read--> values, events, skipped
                             --plain: the body as it is-----^

The engine asks a frame whether it is encrypted and how it was verified, and never which format it has.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

from proxy_listener.formats.bindkey import Bindkey, Scheme
from proxy_listener.formats.drawing import Drawing
from proxy_listener.formats.layout import Found
from proxy_listener.model.advertisement import Address
from proxy_listener.model.models import Model


# Neither frozen nor made with arguments: one is made for every frame heard, and setting slots costs least.
@attrs.define(init=False, weakref_slot=False)
class Frame:
    """A payload whose header was read.

    ``counter``: all bits of it, None where the format has none. ``body``: the measurements, plain or ciphertext; empty
    where the frame has none. ``tag``: empty but for ``ccm``. ``mac``: the one inside the payload, None where it has
    none.
    """

    model: Model = attrs.field(init=False)
    counter: int | None = attrs.field(init=False)
    scheme: Scheme = attrs.field(init=False)
    body: bytes = attrs.field(init=False)
    tag: bytes = attrs.field(init=False)
    mac: Address | None = attrs.field(init=False)

    @property
    def silent(self) -> bool:
        """The device's firmware advertises no values at all, so only a read over a connection brings them."""
        return False


def plain_frame(model: Model, body: bytes) -> Frame:
    """A frame of a format without counter and encryption."""
    frame = Frame()
    frame.model, frame.body = model, body
    frame.counter, frame.scheme, frame.tag, frame.mac = None, "plain", b"", None
    return frame


F = TypeVar("F", bound=Frame)


@attrs.frozen
class Format(Generic[F]):
    """One format, as a row of the table of formats.

    ``mark`` tells its frames from those of other formats under the same address, in identities that histories keep, so
    it never changes: one byte, of which no two formats have the same; empty for Xiaomi's, which one device never mixes.

    ``parse(payload, address)`` gives the frame; with an address, a MAC inside that differs is refused. ``read(body,
    model, strict)`` gives what the body says; strict, for a body that was decrypted: all that is known, or an error.
    ``open(frame, payload, address, bindkey)`` gives the decrypted body, None where the key does not fit. ``draw`` adds
    the payload's fields to a drawing for people. ``fits(payload)``: whether a payload without its UUID looks like this
    format. All raise DecodeError for bytes that give no reading.

    ``fresh``: its encrypted frames have a counter that does not return, so a recorded one is told from a new one.
    ``relayed``: a MAC inside is the device's, whoever sends the frame. ``named(name)``: the product that has this local
    name, for formats that have no product id.
    """

    name: str
    parse: Callable[[bytes, Address | None], F]
    read: Callable[[bytes, Model, bool], Found]
    draw: Callable[[Drawing, bytes, int], None]
    fits: Callable[[bytes], bool]
    open: Callable[[F, bytes, Address, Bindkey], bytes | None] | None = None
    mark: bytes = b""
    fresh: bool = True
    relayed: bool = False
    named: Callable[[str], Model | None] | None = None
