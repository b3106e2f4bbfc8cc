"""What a drawing does at an encrypted body: opens it with the bindkeys that were given, or says why it stays closed."""

from collections.abc import Callable
from typing import TypeVar

from proxy_listener.formats.bindkey import Bindkey, bindkeys
from proxy_listener.formats.drawing import Drawing, StopDrawing
from proxy_listener.formats.format import Frame
from proxy_listener.model.advertisement import Address
from proxy_listener.model.outcome import Outcome

F = TypeVar("F", bound=Frame)


def opened(
    drawing: Drawing,
    frame: F,
    payload: bytes,
    address: Address | None,
    open_: Callable[[F, bytes, Address, Bindkey], bytes | None],
    scheme: str,
) -> bytes:
    """The decrypted body. ``scheme``: what the format calls the encryption. StopDrawing where no key opens it."""
    if address is None:
        raise StopDrawing(
            Outcome.NO_BINDKEY,
            "encrypted, and decrypting takes the MAC, which this frame leaves out: give it with --mac",
        )
    if not drawing.keys:
        digits = "24" if frame.scheme == "legacy" else "32"
        raise StopDrawing(Outcome.NO_BINDKEY, f"encrypted, and no bindkey of {digits} hex digits was given")
    for key in bindkeys(drawing.keys):
        plain = open_(frame, payload, address, key) if key.scheme == frame.scheme else None
        if plain is not None:
            return plain
    fitting = [key for key in map(Bindkey, drawing.keys) if key.scheme == frame.scheme]
    if not fitting:
        raise StopDrawing(Outcome.DOWNGRADED, f"encrypted as {scheme}, and no key is of that length")
    raise StopDrawing(Outcome.WRONG_BINDKEY, f"{len(fitting)} of the keys given are of the length, none opens it")
