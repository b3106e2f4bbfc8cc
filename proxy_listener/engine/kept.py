"""Encrypted frames that were kept without being read, once their bindkey is there.

What comes in: a device and one kept frame. What goes out: its reading, or why there is none. Such a reading is late: it
goes to history with its own time, moves no live state and fires no event. It goes there once: a frame that is known
already is a repeat.
"""

from typing import Any

from proxy_listener.engine.dedup import Authenticated, stream_id
from proxy_listener.engine.device import Device
from proxy_listener.engine.listener import Listener
from proxy_listener.engine.memory import KeptFrame
from proxy_listener.formats import FORMATS
from proxy_listener.formats.bindkey import Bindkey
from proxy_listener.formats.format import Format, Frame
from proxy_listener.model.errors import NoReadingError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading


def open_kept(listener: Listener, device: Device, kept: KeptFrame) -> Reading:
    """The reading of a kept frame. NoReadingError says why there is none."""
    form = FORMATS[kept.uuid]
    frame = form.parse(kept.data, device.address)
    key, body = _opened(form, frame, device, kept.data)
    # A format whose frames name no product: what is known of the device by other frames.
    model = device.model if frame.model.generic and device.model is not None else frame.model
    found = form.read(body, model, True)
    listener.require_content(found, model)
    values, events, _ = found
    if model.unsure:
        values = device.sent_twice(values, model.unsure)
    authentic = frame.scheme == "ccm" and form.fresh
    stream = stream_id(key.id, form.mark)
    identity = Authenticated.identity(stream, frame.counter or 0, frame.tag) if authentic else b""
    if authentic:
        if listener.devices.memory.known(device.address, identity):
            raise NoReadingError(Outcome.REPEAT)
        device.streams.authenticated(stream).reserve(frame.counter or 0)
    if not values and not events:
        raise NoReadingError(Outcome.HELD)
    listener.devices.name(device, model, device.heard, proven=authentic)
    return Reading(
        time=kept.time,
        mac=device.address,
        name=device.name,
        model=model.name,
        source="advertisement",
        proxy=kept.proxy,
        room=listener.devices.room(kept.proxy),
        rssi=kept.rssi or None,
        counter=frame.counter,
        trust="authenticated" if authentic else "encrypted",
        late=True,
        values=values,
        events=events,
        fires=False,
        stale=frozenset(values),
        identity=identity,
    )


def _opened(form: Format[Any], frame: Frame, device: Device, data: bytes) -> tuple[Bindkey, bytes]:
    for key in device.keys:
        if key.scheme == frame.scheme and form.open is not None:
            body = form.open(frame, data, device.address, key)
            if body is not None:
                return key, body
    raise NoReadingError(Outcome.WRONG_BINDKEY if device.keys else Outcome.NO_BINDKEY)
