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

import attrs

from proxy_listener import __version__
from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.events import EventKind
from proxy_listener.model.quantities import Form, Quantity
from proxy_listener.model.status import ProxyState
from proxy_listener.sinks.mqtt.topics import Topics, compact, device_id

DIAGNOSTIC = "diagnostic"

ORIGIN = {"name": "proxy-listener", "sw": __version__}

ROOMS = 64

_FRESH = "{{ '' if value_json.get('delayed') else value }}"
"""Home Assistant ignores an event that renders to nothing, so a button that was pressed hours ago, while the broker was
away, switches nothing now. The message itself is published all the same."""

_PLATFORMS: Mapping[Form, str] = {"number": "sensor", "flag": "binary_sensor", "text": "sensor"}


@attrs.frozen
class Subject:
    """A device, as far as its discovery depends on it. ``lifetimes``: quantity -> seconds after which its value is not
    known any more.
    """

    mac: Address
    name: str
    model: str
    kind: str
    maker: str
    quantities: tuple[Quantity, ...]
    events: tuple[EventKind, ...]
    lifetimes: Mapping[str, int]


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
    if rooms:
        components["room"] = _room(rooms)
    components["rssi"] = _rssi()
    return compact(
        {
            "dev": {
                "identifiers": [f"proxy_listener_{id_}"],
                "connections": [["bluetooth", mac_text(subject.mac)]],
                "name": subject.name,
                "manufacturer": subject.maker,
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


def component(quantity: Quantity) -> dict[str, Any]:
    """The entity of a quantity, without what depends on the device."""
    name = quantity.name
    found: dict[str, Any] = {"p": _PLATFORMS[quantity.form], "name": spoken(name)}
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
        found["state_class"] = "measurement"
    if quantity.diagnostic:
        found["entity_category"] = DIAGNOSTIC
    if not quantity.enabled:
        found["enabled_by_default"] = False
    return found


def spoken(name: str) -> str:
    """``door_left_open`` -> ``Door left open``."""
    return name.replace("_", " ").capitalize()


def proxy_payload(id_: str, name: str, room: str, topics: Topics) -> str:
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
    """Add the id that stays when the device is renamed, and the one that a person sees.

    ``object_id`` does not exist any more since Home Assistant 2026.4.
    """
    readable = re.sub(r"[^a-z0-9]+", "_", f"{name}_{key.removeprefix('event_')}".lower()).strip("_")
    return found | {
        "unique_id": f"proxy_listener_{id_}_{key.lower()}",
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
