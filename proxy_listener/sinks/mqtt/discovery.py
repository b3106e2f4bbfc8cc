"""What a device sends in, its Home Assistant discovery out: one document a device, which announces all its entities.

::

    {"dev": {...}, "o": {...}, "state_topic": ..., "availability": [...], "qos": 1,
     "cmps": {"temperature": {"p": "sensor", "unique_id": ..., "value_template": ..., ...}, ...}}

The document depends on what a device is (name, model, what it sends, the rooms of the house) and never on what it
measures, so it changes seldom and is published only when it does (docs/protocol/home-assistant.md).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import attrs

from proxy_listener import __version__
from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.events import EventKind
from proxy_listener.model.quantities import Form, Quantity
from proxy_listener.model.status import ProxyState
from proxy_listener.sinks.mqtt.topics import OFFLINE, ONLINE, Topics, compact, device_id

DIAGNOSTIC = "diagnostic"

ORIGIN = {"name": "proxy-listener", "sw": __version__}

ROOMS = 64

_FRESH = "{{ '' if value_json.get('delayed') else value }}"
"""Home Assistant ignores an event that renders to nothing, so a button that was pressed hours ago, while the broker was
away, switches nothing now. The message itself is published all the same."""

_FRESH_TYPE = "{{ '' if value_json.get('delayed') else value_json.event_type }}"
_TRIGGERS = {
    "press": "button_short_press",
    "double_press": "button_double_press",
    "long_press": "button_long_press",
}
"""Types of device triggers that Home Assistant has words for (mqtt/strings.json); it shows others as they are."""

PREFIX = "proxy_listener_"

_PLATFORMS: Mapping[Form, str] = {"number": "sensor", "flag": "binary_sensor", "text": "sensor"}


@attrs.frozen
class Subject:
    """A device, as far as its discovery depends on it. ``lifetimes``: quantity -> seconds after which its value is not
    known any more. ``area`` is proposed to Home Assistant, which takes it when it first sees the device; ``page`` is
    the URL of this program's page.
    """

    mac: Address
    name: str
    model: str
    kind: str
    maker: str
    quantities: tuple[Quantity, ...]
    events: tuple[EventKind, ...]
    lifetimes: Mapping[str, int]
    area: str | None = None
    firmware: str | None = None
    page: str | None = None
    read: bool = False  # it is read over a connection


def device_payload(subject: Subject, rooms: Sequence[str], topics: Topics) -> str:
    """The discovery of a device."""
    id_ = device_id(subject.mac)
    components: dict[str, dict[str, Any]] = {}
    for quantity in sorted(subject.quantities, key=lambda quantity: quantity.name):
        components[quantity.name] = component(quantity)
        if quantity.name in subject.lifetimes:
            components[quantity.name]["expire_after"] = subject.lifetimes[quantity.name]
    for kind in sorted(subject.events, key=lambda kind: kind.name):
        components[f"event_{kind.name}"] = _event(kind, topics.event(id_, kind.name))
        if kind.control:
            components |= _triggers(kind, topics.event(id_, kind.name))
    if rooms:
        components["room"] = _room(rooms)
    components["rssi"] = _rssi()
    if subject.read:
        for when in ("last", "next"):
            components[f"{when}_read"] = _read(when, topics.read(id_))
    return compact(
        {
            "dev": {
                "identifiers": [f"{PREFIX}{id_}"],
                "connections": [["bluetooth", mac_text(subject.mac)]],
                "name": subject.name,
                "manufacturer": subject.maker,
                "model": subject.kind or subject.model,
                "model_id": subject.model,
            }
            | _known(sw_version=subject.firmware, suggested_area=subject.area)
            | _placed(topics, subject.page, f"#/device/{quote(mac_text(subject.mac))}"),
            "o": ORIGIN,
            "state_topic": topics.state(id_),
            "availability": [{"topic": topics.bridge}, {"topic": topics.availability(id_)}],
            "availability_mode": "all",
            "qos": 1,
            "cmps": {key: _identified(found, id_, subject.name, key) for key, found in components.items()},
        }
    )


def component(quantity: Quantity) -> dict[str, Any]:
    """The entity of a quantity, without what depends on the device."""
    name = quantity.name
    found: dict[str, Any] = {"p": _PLATFORMS[quantity.form], "name": quantity.label or spoken(name)}
    if quantity.form == "flag":
        test = "'None' if v is none else 'ON' if v else 'OFF'"
        found["value_template"] = f"{{% set v = value_json.get('{name}') %}}{{{{ {test} }}}}"
    else:
        found["value_template"] = f"{{{{ value_json.get('{name}') }}}}"
    if quantity.device_class:
        found["device_class"] = quantity.device_class
    if quantity.unit.symbol:
        found["unit_of_measurement"] = quantity.unit.symbol
    if quantity.statistics:
        found["state_class"] = quantity.total or "measurement"
    if quantity.diagnostic:
        found["entity_category"] = DIAGNOSTIC
    if not quantity.enabled:
        found["enabled_by_default"] = False
    return found | _known(icon=quantity.icon)


def spoken(name: str) -> str:
    """``door_left_open`` -> ``Door left open``."""
    return name.replace("_", " ").capitalize()


def service_payload(topics: Topics, page: str | None) -> str:
    """The discovery of this program: whether it is connected. Devices and proxies are reached through it."""
    connected = {
        "p": "binary_sensor",
        "name": "Connected",
        "device_class": "connectivity",
        "entity_category": DIAGNOSTIC,
        "state_topic": topics.bridge,
        "payload_on": ONLINE,
        "payload_off": OFFLINE,
    }
    name = "proxy-listener"
    return compact(
        {
            "dev": {"identifiers": [topics.service], "name": name, "model": "Service", "sw_version": __version__}
            | _known(configuration_url=page),
            "o": ORIGIN,
            "qos": 1,
            "cmps": {"connected": _identified(connected, topics.service.removeprefix(PREFIX), name, "connected")},
        }
    )


def proxy_payload(
    id_: str, name: str, room: str, topics: Topics, *, version: str | None = None, page: str | None = None
) -> str:
    """The discovery of a proxy: whether it is live, its state, how much it hears, its free connection slots."""
    components: dict[str, dict[str, Any]] = {
        "listening": {
            "p": "binary_sensor",
            "name": "Listening",
            "device_class": "connectivity",
            "value_template": f"{{{{ 'ON' if value_json.state == '{ProxyState.LIVE}' else 'OFF' }}}}",
        },
        "state": {
            "p": "sensor",
            "name": "State",
            "device_class": "enum",
            "options": [str(state) for state in ProxyState],
            "value_template": "{{ value_json.state }}",
        },
        "rate": {
            "p": "sensor",
            "name": "Advertisements",
            "unit_of_measurement": "1/s",
            "state_class": "measurement",
            "value_template": "{{ value_json.rate }}",
            "enabled_by_default": False,
        },
        "slots_free": {
            "p": "sensor",
            "name": "Free connection slots",
            "state_class": "measurement",
            "value_template": "{{ value_json.slots_free }}",
            "enabled_by_default": False,
        },
    }
    own = f"proxy_{id_}"
    return compact(
        {
            "dev": {
                "identifiers": [f"{PREFIX}{own}"],
                "name": name,
                "manufacturer": "ESPHome",
                "model": "Bluetooth proxy",
                "suggested_area": room,
            }
            | _known(sw_version=version)
            | _placed(topics, page),
            "o": ORIGIN,
            "state_topic": topics.proxy(id_),
            "availability": [{"topic": topics.bridge}],
            "qos": 1,
            "cmps": {
                key: _identified(found | {"entity_category": DIAGNOSTIC}, own, name, key)
                for key, found in components.items()
            },
        }
    )


def _identified(found: dict[str, Any], id_: str, name: str, key: str) -> dict[str, Any]:
    """Add the id that stays when the device is renamed, and the one that a person sees.

    ``object_id`` does not exist any more since Home Assistant 2026.4.
    """
    if "automation_type" in found:
        return found  # a device trigger is no entity
    readable = re.sub(r"[^a-z0-9]+", "_", f"{name}_{key.removeprefix('event_')}".lower()).strip("_")
    return found | {
        "unique_id": f"{PREFIX}{id_}_{key.lower()}",
        "default_entity_id": f"{found['p']}.{readable}",
    }


def _event(kind: EventKind, topic: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "p": "event",
        "name": spoken(kind.name),
        "state_topic": topic,
        "event_types": list(kind.types),
        "value_template": _FRESH,
    }
    if kind.device_class:
        found["device_class"] = kind.device_class
    return found


def _triggers(kind: EventKind, topic: str) -> dict[str, dict[str, Any]]:
    """A device trigger for each type, for automations that are made by choosing a device and what happens to it."""
    return {
        f"trigger_{kind.name}_{type_}": {
            "p": "device_automation",
            "automation_type": "trigger",
            "type": _TRIGGERS.get(type_, type_),
            "subtype": spoken(kind.name),
            "topic": topic,
            "payload": type_,
            "value_template": _FRESH_TYPE,
        }
        for type_ in kind.types
    }


def _known(**fields: str | None) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _placed(topics: Topics, page: str | None, place: str = "") -> dict[str, Any]:
    return {"via_device": topics.service} | _known(configuration_url=page and f"{page}/{place}")


def _room(rooms: Sequence[str]) -> dict[str, Any]:
    return {
        "p": "sensor",
        "name": "Room",
        "device_class": "enum",
        "options": list(rooms[:ROOMS]),
        "value_template": "{{ value_json.get('room') }}",
    }


def _read(when: str, topic: str) -> dict[str, Any]:
    return {
        "p": "sensor",
        "name": spoken(f"{when}_read"),
        "device_class": "timestamp",
        "entity_category": DIAGNOSTIC,
        "state_topic": topic,
        "value_template": f"{{{{ value_json.{when} }}}}",
    }


def _rssi() -> dict[str, Any]:
    return {
        "p": "sensor",
        "name": "Signal strength",
        "device_class": "signal_strength",
        "unit_of_measurement": "dBm",
        "state_class": "measurement",
        "entity_category": DIAGNOSTIC,
        "enabled_by_default": False,
        "value_template": "{{ value_json.get('rssi') }}",
    }
