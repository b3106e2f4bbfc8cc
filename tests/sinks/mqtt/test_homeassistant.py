"""Home Assistant's discovery: a golden document for each model, and its schema's rules over all of them.

The golden files are written anew by ``GOLDEN=write pytest tests/sinks/test_homeassistant.py``; what changed is then for
a person to read.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from support.made_status import ID

from proxy_listener.formats.xiaomi.models import HHCCJCY10, MODELS, SCALE_V1, SCALE_V2, Model
from proxy_listener.model.quantities import QUANTITIES
from proxy_listener.sinks.mqtt.entities import _EITHER, _ENTITIES
from proxy_listener.sinks.mqtt.homeassistant import Subject, device_payload, proxy_payload
from proxy_listener.sinks.mqtt.reports import reports, types_of, words
from proxy_listener.sinks.mqtt.topics import Topics

GOLDEN = Path(__file__).parents[2] / "data" / "homeassistant"
TOPICS = Topics("proxy-listener", "homeassistant")
ROOMS = ("Bedroom", "Kitchen")

ALL = {model.name: model for model in (*MODELS.values(), SCALE_V1, SCALE_V2, HHCCJCY10)}
"""A device's name decides what it is announced as; product ids that share one announce the same."""

SENSOR_UNITS = {
    "battery": {"%"},
    "conductivity": {"µS/cm"},
    "duration": {"s", "min"},
    "humidity": {"%"},
    "illuminance": {"lx"},
    "moisture": {"%"},
    "signal_strength": {"dBm"},
    "temperature": {"°C"},
    "weight": {"kg"},
}
"""Home Assistant's sensor device classes with a unit, and the units of ours that it takes for them."""

BINARY_CLASSES = [
    "battery",
    "battery_charging",
    "carbon_monoxide",
    "cold",
    "connectivity",
    "door",
    "garage_door",
    "gas",
    "heat",
    "light",
    "lock",
    "moisture",
    "motion",
    "moving",
    "occupancy",
    "opening",
    "plug",
    "power",
    "presence",
    "problem",
    "running",
    "safety",
    "smoke",
    "sound",
    "tamper",
    "update",
    "vibration",
    "window",
]
EVENT_CLASSES = {"button", "doorbell", "motion"}
CATEGORIES = {"diagnostic"}


def subject(model: Model) -> Subject:
    found = reports(model)
    return Subject(
        mac=int(ID, 16),
        name="Bedroom thing",
        model=model.name,
        kind=model.kind,
        sleepy=model.sleepy,
        interval=model.interval,
        quantities=found.quantities,
        events=found.events,
    )


def payload(model: Model) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(device_payload(subject(model), ROOMS, TOPICS))
    return found


def golden(name: str) -> Path:
    return GOLDEN / (re.sub(r"[^A-Za-z0-9.-]+", "_", name) + ".json")


@pytest.fixture(params=sorted(ALL), scope="module")
def model(request: pytest.FixtureRequest) -> Model:
    return ALL[request.param]


def test_golden(model: Model) -> None:
    """The document of each model, as it was last read by a person. The version of this program is left out."""
    found = payload(model)
    found["o"].pop("sw")
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("GOLDEN") == "write":
        golden(model.name).write_text(text)
    assert golden(model.name).read_text() == text


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {golden(name).name for name in ALL}


def test_the_root_has_what_is_mandatory(model: Model) -> None:
    """Device, origin and components; a topic, availability of service and device, and QoS shared by all entities."""
    found = payload(model)
    assert found["dev"]["identifiers"] == [f"proxy_listener_{ID}"]
    assert found["o"]["name"] == "proxy-listener"
    assert found["state_topic"] == f"proxy-listener/device/{ID}/state"
    assert [entry["topic"] for entry in found["availability"]] == [
        "proxy-listener/bridge/state",
        f"proxy-listener/device/{ID}/availability",
    ]
    assert (found["availability_mode"], found["qos"]) == ("all", 1)
    assert found["cmps"]


def test_every_component_has_its_platform_and_ids(model: Model) -> None:
    """``p`` and ``unique_id`` each; ``default_entity_id`` in the platform's domain, and never ``object_id``."""
    components = payload(model)["cmps"].values()
    assert len({entry["unique_id"] for entry in components}) == len(components)
    for entry in components:
        assert entry["p"] in {"sensor", "binary_sensor", "event"}
        assert re.fullmatch(rf"{entry['p']}\.bedroom_thing_[a-z0-9_]+", entry["default_entity_id"])
        assert "object_id" not in entry
        assert entry["name"]
        assert entry.get("entity_category", "diagnostic") in CATEGORIES


def test_sensors_keep_to_their_class(model: Model) -> None:
    """Each device class has a unit that it takes; statistics are kept of numbers only, options of enums only."""
    for entry in payload(model)["cmps"].values():
        if entry["p"] != "sensor":
            continue
        class_ = entry.get("device_class")
        if class_ == "enum":
            assert entry["options"]
            assert not {"state_class", "unit_of_measurement"} & entry.keys()
        elif class_ is not None:
            assert entry["unit_of_measurement"] in SENSOR_UNITS[class_]
        if "state_class" in entry:
            assert entry["state_class"] == "measurement"


def test_flags_keep_to_their_class(model: Model) -> None:
    for entry in payload(model)["cmps"].values():
        if entry["p"] == "binary_sensor":
            assert entry.get("device_class") in {None, *BINARY_CLASSES}
            assert not {"state_class", "unit_of_measurement", "expire_after"} & entry.keys()


def test_events_have_their_types(model: Model) -> None:
    """On a topic of their own, with every type that can come, and without a state that would outlive them."""
    for key, entry in payload(model)["cmps"].items():
        if entry["p"] == "event":
            kind = key.removeprefix("event_")
            assert entry["state_topic"] == f"proxy-listener/device/{ID}/event/{kind}"
            assert entry["event_types"]
            assert len(set(entry["event_types"])) == len(entry["event_types"])
            assert entry.get("device_class") in {None, *EVENT_CLASSES}
            assert "delayed" in entry["value_template"]


def test_only_periodic_values_of_wakeful_models_expire(model: Model) -> None:
    """A sleepy device is silent for hours and none the worse for it; elsewhere three intervals are the least."""
    for key, entry in payload(model)["cmps"].items():
        if "expire_after" in entry:
            assert not model.sleepy
            assert entry["expire_after"] >= 3 * model.interval
            assert key in {"temperature", "humidity", "moisture", "illuminance", "conductivity", "formaldehyde"}


def test_the_signal_is_there_for_who_wants_it(model: Model) -> None:
    rssi = payload(model)["cmps"]["rssi"]
    assert (rssi["entity_category"], rssi["enabled_by_default"]) == ("diagnostic", False)


def test_every_word_of_the_model_table_is_understood(model: Model) -> None:
    """What a row says its model reports is a quantity or an event with a row of its own here."""
    found = reports(model)
    for quantity, form in found.quantities.items():
        assert (quantity, form) in _EITHER or _ENTITIES[quantity].form == form
    assert all(types for types in found.events.values())
    assert found.quantities or found.events or words(model) == ["standard objects"]


def test_the_table_has_a_row_for_every_quantity() -> None:
    assert {*_ENTITIES, *(name for name, _ in _EITHER)} == {*QUANTITIES, "firmware"}


def test_soil_and_leak_are_told_apart() -> None:
    """One name, two meanings: a percentage of soil, a flag of a leak sensor."""
    soil, leak = payload(ALL["HHCCJCY01"])["cmps"]["moisture"], payload(ALL["SJWS01LM"])["cmps"]["moisture"]
    assert (soil["p"], soil["unit_of_measurement"]) == ("sensor", "%")
    assert (leak["p"], leak["device_class"]) == ("binary_sensor", "moisture")


def test_a_light_switch_button_is_no_light_sensor() -> None:
    """The words behind "buttons" are the buttons' names."""
    assert not reports(ALL["YLYB01YL-BHFRC"]).quantities
    assert "button_light" in reports(ALL["YLYB01YL-BHFRC"]).events


def test_a_type_that_a_device_sent_is_announced_beyond_the_usual() -> None:
    assert types_of("button_left", ["triple_press"]) == ("press", "double_press", "long_press", "triple_press")
    assert types_of("gesture", ["wave"]) == ("wave",)


def test_without_rooms_there_is_no_room() -> None:
    """An enum without options is refused."""
    assert "room" not in json.loads(device_payload(subject(ALL["LYWSD03MMC"]), (), TOPICS))["cmps"]


def test_a_name_without_latin_letters_still_makes_an_id() -> None:
    found = json.loads(device_payload(subject(ALL["LYWSD03MMC"]), ROOMS, TOPICS))
    named = json.loads(proxy_payload(ID, "厨房", "厨房", TOPICS))
    assert found["cmps"]["battery"]["default_entity_id"] == "sensor.bedroom_thing_battery"
    assert named["cmps"]["state"]["default_entity_id"] == "sensor.state"


def test_a_proxy_is_a_device_too() -> None:
    """Whether it listens is what an automation watches."""
    found = json.loads(proxy_payload(ID, "kitchen-proxy", "Kitchen", TOPICS))
    listening = found["cmps"]["listening"]
    assert (listening["p"], listening["device_class"]) == ("binary_sensor", "connectivity")
    assert "silent" in found["cmps"]["state"]["options"]
    assert found["state_topic"] == f"proxy-listener/proxy/{ID}/state"
