"""Encrypted frames that were kept without being read, once their bindkey is there.

What comes in: a device and one kept frame. What goes out: its reading, or why there is none. The rule of this file:
such a reading is late. It goes to history with its own time, moves no live state and fires no event; and it goes there
once: what is known already is a repeat.
"""

from typing import Protocol

from proxy_listener.engine.dedup import Authenticated
from proxy_listener.engine.device import Device
from proxy_listener.engine.listener import Listener
from proxy_listener.formats.xiaomi.mibeacon import Bindkey, Frame, open_frame, parse_frame
from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.formats.xiaomi.objects import read_objects
from proxy_listener.model.errors import NoReadingError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading


class Sealed(Protocol):
    """A kept frame."""

    @property
    def time(self) -> float:
        """Wall seconds, when it was heard."""

    @property
    def proxy(self) -> str:
        """Through which proxy."""

    @property
    def rssi(self) -> int:
        """How strong, dBm; 0 is unknown."""

    @property
    def data(self) -> bytes:
        """Its service data."""


def unseal(listener: Listener, device: Device, sealed: Sealed) -> Reading:
    """The reading of a kept frame. NoReadingError says why there is none."""
    frame = parse_frame(sealed.data, device.address)
    key, body = _opened(frame, device, sealed.data)
    model = model_of(frame.product_id)
    found = read_objects(body, model, strict=True)
    listener.require_content(found, model)
    values, events, _ = found
    authentic = key.scheme == "v4v5"
    counter = frame.counter32 if authentic else frame.counter
    identity = Authenticated.identity(key.id, counter, frame.tag) if authentic else b""
    if authentic:
        if listener.devices.memory.known(device.address, identity):
            raise NoReadingError(Outcome.REPEAT)
        device.authenticated(key.id).reserve(counter)
    listener.devices.name(device, model, device.heard, proven=authentic)
    return Reading(
        time=sealed.time,
        mac=device.address,
        name=device.name,
        model=model.name,
        source="advertisement",
        proxy=sealed.proxy,
        room=listener.devices.room(sealed.proxy),
        rssi=sealed.rssi or None,
        counter=counter,
        trust="authenticated" if authentic else "encrypted",
        late=True,
        values=values,
        events=events,
        fires=False,
        stale=frozenset(values),
        identity=identity,
    )


def _opened(frame: Frame, device: Device, data: bytes) -> tuple[Bindkey, bytes]:
    for key in device.keys:
        if key.scheme == frame.scheme:
            body = open_frame(frame, data, device.address, key)
            if body is not None:
                return key, body
    raise NoReadingError(Outcome.WRONG_BINDKEY if device.keys else Outcome.NO_BINDKEY)
