"""Where things are published, and how a state, an event and a past reading look there.

::

    <base>/bridge/state                  online | offline (last will)                    retained
    <base>/proxy/<id>/state              JSON: how the proxy is                          retained
    <base>/device/<id>/state             JSON: newest value of every quantity            retained
    <base>/device/<id>/availability      online | offline                                retained
    <base>/device/<id>/event/<kind>      JSON: event_type, time, delayed, properties
    <base>/device/<id>/history           JSON: a reading that the state did not show in its time

The rule of this file: a topic is made of the configured base, a MAC and our own words. A name from outside is payload,
so a rename moves no topic and no name can forge one.
"""

import json
from collections.abc import Mapping
from typing import Any

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.reading import Event, Reading, Value, as_json, timestamp

ONLINE, OFFLINE = "online", "offline"

DELAYED = 60.0
"""Seconds after which an event is told as delayed: a broker that restarts is back by then, and a light that goes on
later than that surprises whoever pressed the button."""


@attrs.frozen
class Message:
    """One publication, QoS 1. An empty retained payload makes the broker forget the topic."""

    topic: str
    payload: str
    retain: bool = False


def device_id(mac: Address) -> str:
    """``0xA4C1380283F4`` -> ``a4c1380283f4``."""
    return f"{mac:012x}"


def compact(document: Mapping[str, Any]) -> str:
    """JSON without spaces, as the documents of readings are."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@attrs.frozen
class Topics:
    """The topics below ``base``, and Home Assistant's below ``prefix``."""

    base: str
    prefix: str

    @property
    def bridge(self) -> str:
        """Whether the service is there."""
        return f"{self.base}/bridge/state"

    @property
    def birth(self) -> str:
        """Where Home Assistant says that it has started: all that is subscribed to."""
        return f"{self.prefix}/status"

    def proxy(self, id_: str) -> str:
        """How a proxy is."""
        return f"{self.base}/proxy/{id_}/state"

    def state(self, id_: str) -> str:
        """A device's live state."""
        return f"{self.base}/device/{id_}/state"

    def availability(self, id_: str) -> str:
        """Whether a device is heard."""
        return f"{self.base}/device/{id_}/availability"

    def history(self, id_: str) -> str:
        """A device's past readings."""
        return f"{self.base}/device/{id_}/history"

    def event(self, id_: str, kind: str) -> str:
        """A device's events of one kind."""
        return f"{self.base}/device/{id_}/event/{kind}"

    def device_config(self, id_: str) -> str:
        """Home Assistant's discovery of a device."""
        return f"{self.prefix}/device/proxy_listener_{id_}/config"

    def proxy_config(self, id_: str) -> str:
        """Home Assistant's discovery of a proxy."""
        return f"{self.prefix}/device/proxy_listener_proxy_{id_}/config"


def state_payload(newest: Reading, time: float, values: Mapping[str, Value]) -> str:
    """A device's live state: how it was heard last, then its values by quantity, on one level."""
    head = {
        "time": timestamp(time),
        "name": newest.name,
        "model": newest.model,
        "rssi": newest.rssi,
        "proxy": newest.proxy,
        "room": newest.room,
        "trust": newest.trust,
    }
    return compact(head | dict(values))


def event_payload(event: Event, reading: Reading, now: float) -> str:
    """An event with its own time; ``delayed`` where that was more than a minute ago."""
    head = {
        "event_type": event.type,
        "time": timestamp(reading.time),
        "delayed": now - reading.time > DELAYED,
        "proxy": reading.proxy,
        "room": reading.room,
        "trust": reading.trust,
    }
    return compact(dict(event.properties) | head)


def history_payload(reading: Reading) -> str:
    """The reading itself, as it is everywhere else."""
    return as_json(reading)
