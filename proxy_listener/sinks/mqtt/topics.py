"""The topics, and the payloads of states, events and past readings.

::

    <base>/bridge/state                  online | offline (last will)                    retained
    <base>/proxy/<id>/state              JSON: state and numbers of a proxy              retained
    <base>/device/<id>/state             JSON: newest value of every quantity            retained
    <base>/device/<id>/availability      online | offline                                retained
    <base>/device/<id>/event/<kind>      JSON: event_type, time, delayed, properties
    <base>/device/<id>/read              JSON: when it was read last, and is read next   retained
    <base>/device/<id>/history           JSON: a reading that the state did not show at its time

A topic consists of the configured base, a MAC and words of this program. Names of devices, rooms and proxies are
payload only: a rename changes no topic, and no name can forge one.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.reading import Event, Reading, Value, as_json, timestamp
from proxy_listener.model.status import ProxyStatus

ONLINE, OFFLINE = "online", "offline"

DELAYED = 5.0
"""Seconds after which an event is marked as delayed, on a connection that lasts. A light that goes on later is a
surprise to the person who pressed the button."""


@attrs.frozen
class Message:
    """One publication, QoS 1. An empty retained payload clears the topic."""

    topic: str
    payload: str
    retain: bool = False


def device_id(mac: Address) -> str:
    """``0xA4C1380283F4`` -> ``a4c1380283f4``."""
    return f"{mac:012x}"


def compact(document: Mapping[str, Any]) -> str:
    """JSON without spaces."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@attrs.frozen
class Topics:
    """The topics below ``base``, and Home Assistant's below ``prefix``."""

    base: str
    prefix: str

    @property
    def bridge(self) -> str:
        """Whether the service is connected."""
        return f"{self.base}/bridge/state"

    @property
    def birth(self) -> str:
        """Home Assistant's birth message. It is the only topic that is subscribed to."""
        return f"{self.prefix}/status"

    @property
    def service(self) -> str:
        """Home Assistant's identifier of this program, another one for each ``base``."""
        return "proxy_listener_service_" + re.sub(r"[^A-Za-z0-9]+", "_", self.base)

    @property
    def service_config(self) -> str:
        """Home Assistant's discovery of this program."""
        return f"{self.prefix}/device/{self.service}/config"

    def proxy(self, id_: str) -> str:
        """State and numbers of a proxy."""
        return f"{self.base}/proxy/{id_}/state"

    def state(self, id_: str) -> str:
        """A device's live state."""
        return f"{self.base}/device/{id_}/state"

    def availability(self, id_: str) -> str:
        """Whether a device is heard."""
        return f"{self.base}/device/{id_}/availability"

    def read(self, id_: str) -> str:
        """When a device was read over a connection, and is read next."""
        return f"{self.base}/device/{id_}/read"

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
    """A device's live state on one level: the newest reading's time and circumstances, then the values by quantity."""
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


def event_payload(event: Event, reading: Reading, now: float, *, waited: bool) -> str:
    """An event with its own time; ``delayed`` where it waited for the connection to the broker, or its time was more
    than :data:`DELAYED` before ``now``.
    """
    head = {
        "event_type": event.type,
        "time": timestamp(reading.time),
        "delayed": waited or now - reading.time > DELAYED,
        "proxy": reading.proxy,
        "room": reading.room,
        "trust": reading.trust,
    }
    return compact(dict(event.properties) | head)


def history_payload(reading: Reading) -> str:
    """The reading, as in every other output."""
    return as_json(reading)


def proxy_state_payload(proxy: ProxyStatus) -> str:
    """State and numbers of a proxy."""
    return compact(
        {
            "name": proxy.name,
            "room": proxy.room,
            "state": str(proxy.state),
            "cause": proxy.cause,
            "advice": proxy.advice,
            "version": proxy.version,
            "active": proxy.active,
            "rate": round(proxy.rate, 1),
            "advertisements": proxy.advertisements,
            "slots_free": proxy.slots_free,
            "slots_limit": proxy.slots_limit,
            "wifi_rssi": proxy.wifi_rssi,
        }
    )
