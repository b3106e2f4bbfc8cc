"""Topics and payloads: what a subscriber sees."""

import json
from typing import Any

from support.made_status import ID, MAC, NOW, proxy, reading

from proxy_listener.model.reading import Event
from proxy_listener.sinks.mqtt.topics import (
    DELAYED,
    Topics,
    device_id,
    event_payload,
    history_payload,
    proxy_state_payload,
    state_payload,
)

TOPICS = Topics("house/ble", "homeassistant")


def document(payload: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(payload)
    return found


def test_the_topics() -> None:
    """They are a contract: other programs subscribe to them."""
    assert device_id(MAC) == ID
    assert TOPICS.bridge == "house/ble/bridge/state"
    assert TOPICS.proxy(ID) == f"house/ble/proxy/{ID}/state"
    assert TOPICS.state(ID) == f"house/ble/device/{ID}/state"
    assert TOPICS.availability(ID) == f"house/ble/device/{ID}/availability"
    assert TOPICS.event(ID, "button_left") == f"house/ble/device/{ID}/event/button_left"
    assert TOPICS.history(ID) == f"house/ble/device/{ID}/history"
    assert TOPICS.birth == "homeassistant/status"
    assert TOPICS.device_config(ID) == f"homeassistant/device/proxy_listener_{ID}/config"
    assert TOPICS.proxy_config(ID) == f"homeassistant/device/proxy_listener_proxy_{ID}/config"


def test_a_state_is_on_one_level() -> None:
    """The newest reading's circumstances, then the values of all quantities."""
    found = document(state_payload(reading(), NOW + 60, {"temperature": 21.3, "battery": 87}))
    assert list(found) == ["time", "name", "model", "rssi", "proxy", "room", "trust", "temperature", "battery"]
    assert (found["time"], found["temperature"]) == ("2026-11-22T18:05:05.000Z", 21.3)


def test_an_event_is_delayed_after_five_seconds_or_an_outage() -> None:
    """Its properties cannot replace its type or time."""
    event = Event("dimmer", "rotate_left", {"steps": 3, "event_type": "press", "time": "never"})
    at_once = document(event_payload(event, reading(), NOW + DELAYED, waited=False))
    assert (at_once["event_type"], at_once["steps"], at_once["delayed"]) == ("rotate_left", 3, False)
    assert at_once["time"] == "2026-11-22T18:04:05.000Z"
    assert document(event_payload(event, reading(), NOW + DELAYED + 1, waited=False))["delayed"] is True
    assert document(event_payload(event, reading(), NOW, waited=True))["delayed"] is True
    assert DELAYED == 5.0


def test_a_past_reading_is_the_reading_itself() -> None:
    """With the keys that it has in every other output."""
    found = document(history_payload(reading(late=True)))
    assert (found["mac"], found["late"], found["values"]) == ("A4:C1:38:02:83:F4", True, {"temperature": 21.3})


def test_a_proxy_says_its_state_and_numbers() -> None:
    found = document(proxy_state_payload(proxy(rate=42.5678)))
    assert (found["state"], found["rate"], found["slots_free"]) == ("live", 42.6, 3)
    assert "address" not in found
