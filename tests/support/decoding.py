"""Payloads to what they say, the way the listener goes, without its state."""

from proxy_listener.formats import FORMATS
from proxy_listener.formats.bindkey import Bindkey
from proxy_listener.formats.layout import Decoded
from proxy_listener.model.advertisement import payloads
from proxy_listener.model.secret import Secret


def decode(uuid, payload, address=None, key=None):
    """One service data payload: its model and what it says. None for no body, no key, a wrong key."""
    form = FORMATS[uuid]
    frame = form.parse(payload, address)
    encrypted = frame.scheme != "plain"
    body = frame.body
    if body and encrypted:
        if isinstance(key, str):
            key = Bindkey(Secret(key))
        body = form.open(frame, payload, address, key) if key else None
    return (frame.model, Decoded(*form.read(body, frame.model, encrypted))) if body else None


def read(payload, address, key=None):
    """The first service data of ours in an advertising payload."""
    for uuid, data in payloads(payload):
        if uuid in FORMATS:
            return decode(uuid, data, address, key)
    return None
