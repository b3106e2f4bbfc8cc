"""What a device can report in, its Home Assistant discovery out: one document a device, which announces all entities.

::

    {"dev": {...}, "o": {...}, "state_topic": ..., "availability": [...], "qos": 1,
     "cmps": {"temperature": {"p": "sensor", "unique_id": ..., "value_template": ..., ...}, ...}}

The rule of this file: the document depends on what a device *is* (name, model, what it reports, the rooms of the house)
and never on what it measures, so it changes seldom and is published only when it did.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from proxy_listener import __version__
from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.status import ProxyState
from proxy_listener.sinks.mqtt.entities import DIAGNOSTIC, Form, component, entity_of, spoken
from proxy_listener.sinks.mqtt.topics import Topics, compact, device_id

ORIGIN = {"name": "proxy-listener", "sw": __version__}

EXPIRES = 3
"""Intervals of silence after which a periodic value is not known any more; fewer flap (facts: ecosystem)."""

ROOMS = 64

_FRESH = "{{ '' if value_json.get('delayed') else value }}"
"""Home Assistant ignores an event that renders to nothing: what was pressed hours ago, while the broker was away,
switches nothing now. The message itself is there for whoever wants it."""


@attrs.frozen
class Subject:
    """A device, as far as its discovery depends on it. ``product_id`` None: it is no MiBeacon device."""

    mac: Address
    name: str
    model: str
    kind: str
    sleepy: bool
    interval: float
    quantities: Mapping[str, Form]
    events: Mapping[str, Sequence[str]]


def device_payload(subject: Subject, rooms: Sequence[str], topics: Topics) -> str:
    """The discovery of a device."""
    id_ = device_id(subject.mac)
    components: dict[str, dict[str, Any]] = {}
    for quantity, form in sorted(subject.quantities.items()):
        components[quantity] = component(quantity, form)
        if entity_of(quantity, form).periodic and not subject.sleepy:
            components[quantity]["expire_after"] = int(EXPIRES * subject.interval)
    for kind, types in sorted(subject.events.items()):
        components[f"event_{kind}"] = _event(kind, types, topics.event(id_, kind))
    if rooms:
        components["room"] = _room(rooms)
    components["rssi"] = _rssi()
    return compact(
        {
            "dev": {
                "identifiers": [f"proxy_listener_{id_}"],
                "connections": [["bluetooth", mac_text(subject.mac)]],
                "name": subject.name,
                "manufacturer": "Xiaomi",
                "model": subject.kind or subject.model,
                "model_id": subject.model,
            },
            "o": ORIGIN,
            "state_topic": topics.state(id_),
            "availability": [{"topic": topics.bridge}, {"topic": topics.availability(id_)}],
            "availability_mode": "all",
            "qos": 1,
            "cmps": {key: _identified(found, id_, subject.name, key) for key, found in components.items()},
        }
    )


def proxy_payload(id_: str, name: str, room: str, topics: Topics) -> str:
    """The discovery of a proxy: whether it listens, what it is doing else, how much it hears."""
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
                "identifiers": [f"proxy_listener_{own}"],
                "name": name,
                "manufacturer": "ESPHome",
                "model": "Bluetooth proxy",
                "suggested_area": room,
            },
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
    """With the id that outlives a rename, and the one that a person reads when the entity is made.

    ``object_id`` is gone since Home Assistant 2026.4.
    """
    readable = re.sub(r"[^a-z0-9]+", "_", f"{name}_{key.removeprefix('event_')}".lower()).strip("_")
    return found | {
        "unique_id": f"proxy_listener_{id_}_{key.lower()}",
        "default_entity_id": f"{found['p']}.{readable}",
    }


def _event(kind: str, types: Sequence[str], topic: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "p": "event",
        "name": spoken(kind),
        "state_topic": topic,
        "event_types": list(types),
        "value_template": _FRESH,
    }
    if kind.startswith("button"):
        found["device_class"] = "button"
    elif kind == "motion":
        found["device_class"] = "motion"
    return found


def _room(rooms: Sequence[str]) -> dict[str, Any]:
    return {
        "p": "sensor",
        "name": "Room",
        "device_class": "enum",
        "options": list(rooms[:ROOMS]),
        "value_template": "{{ value_json.get('room') }}",
    }


def _rssi() -> dict[str, Any]:
    return {
        "p": "sensor",
        "name": "RSSI",
        "device_class": "signal_strength",
        "unit_of_measurement": "dBm",
        "state_class": "measurement",
        "entity_category": DIAGNOSTIC,
        "enabled_by_default": False,
        "value_template": "{{ value_json.get('rssi') }}",
    }
