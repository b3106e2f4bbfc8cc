"""Home Assistant's discovery: a golden document for each model, and its schema's rules over all of them."""

import json
import re
from typing import Any

import attrs
import pytest
from support.generated import BY_NAME, COMMAND, DISCOVERY, ROOMS, TOPICS, payload, subject
from support.made_status import ID

from proxy_listener.model.models import Model
from proxy_listener.model.quantities import MOISTURE, QUANTITIES, quantity_of, row_of
from proxy_listener.sinks.mqtt.discovery import component, device_payload, proxy_payload, service_payload
from proxy_listener.sinks.mqtt.topics import Topics

SENSOR_UNITS = {
    "battery": {"%"},
    "carbon_dioxide": {"ppm"},
    "carbon_monoxide": {"ppm", "mg/m³"},
    "conductivity": {"µS/cm"},
    "current": {"A", "mA"},
    "distance": {"mm", "cm", "m"},
    "duration": {"s", "min", "h"},
    "energy": {"Wh", "kWh"},
    "gas": {"L", "m³"},
    "humidity": {"%"},
    "illuminance": {"lx"},
    "moisture": {"%"},
    "pm1": {"µg/m³"},
    "pm10": {"µg/m³"},
    "pm25": {"µg/m³"},
    "power": {"W", "kW"},
    "precipitation": {"cm", "mm"},
    "pressure": {"hPa", "kPa", "mbar"},
    "signal_strength": {"dBm"},
    "sound_pressure": {"dB"},
    "speed": {"m/s", "km/h"},
    "temperature": {"°C"},
    "volatile_organic_compounds": {"µg/m³", "mg/m³"},
    "voltage": {"V", "mV"},
    "volume": {"mL", "L", "m³"},
    "volume_flow_rate": {"L/min", "m³/h"},
    "volume_storage": {"mL", "L", "m³"},
    "water": {"L", "m³"},
    "weight": {"kg", "g"},
}
"""Home Assistant's sensor device classes with a unit, and metric units that it takes for them
(homeassistant/components/sensor/const.py, DEVICE_CLASS_UNITS)."""

COUNTS_UP = {"total", "total_increasing"}
STATE_CLASSES = {
    "energy": COUNTS_UP,
    "gas": COUNTS_UP,
    "volume": COUNTS_UP,
    "water": COUNTS_UP,
    "precipitation": COUNTS_UP | {"measurement"},
}
"""Those that take another state class than "measurement" (the same file, DEVICE_CLASS_STATE_CLASSES)."""

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


@pytest.fixture(params=sorted(BY_NAME), scope="module")
def model(request: pytest.FixtureRequest) -> Model:
    return BY_NAME[request.param]


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DISCOVERY.read_text())
    return found


def test_golden(model: Model, golden: dict[str, Any]) -> None:
    """Each model's document is the one in the repository, its keys in the same order."""
    assert json.dumps(payload(model)) == json.dumps(golden.get(model.name)), f"after a change that is meant: {COMMAND}"


def test_the_golden_file_names_no_other_model(golden: dict[str, Any]) -> None:
    """A model that was removed has no document left."""
    assert golden.keys() == BY_NAME.keys(), f"after a change that is meant: {COMMAND}"


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
    components = [entry for entry in payload(model)["cmps"].values() if entry["p"] != "device_automation"]
    assert len({entry["unique_id"] for entry in components}) == len(components)
    for entry in components:
        assert entry["p"] in {"sensor", "binary_sensor", "event"}
        assert re.fullmatch(rf"{entry['p']}\.bedroom_thing_[a-z0-9_]+", entry["default_entity_id"])
        assert "object_id" not in entry
        assert entry["name"]
        assert entry.get("entity_category", "diagnostic") in CATEGORIES


def test_sensors_have_a_valid_class(model: Model) -> None:
    """Each device class has a unit that it takes; statistics are kept of numbers only, options of enums only."""
    for entry in payload(model)["cmps"].values():
        if entry["p"] == "sensor":
            is_valid_sensor(entry)


def test_every_quantity_has_a_valid_class() -> None:
    """Also those of no model: devices of open formats send what they like."""
    for quantity in QUANTITIES.values():
        for found in map(component, (quantity, quantity.as_flag()) if quantity.flag_class else (quantity,)):
            if found["p"] == "sensor":
                is_valid_sensor(found)
            else:
                assert found.get("device_class", "door") in BINARY_CLASSES


def is_valid_sensor(entry: dict[str, Any]) -> None:
    class_ = entry.get("device_class")
    if class_ in {"enum", "timestamp"}:
        assert class_ == "timestamp" or entry["options"]
        assert not {"state_class", "unit_of_measurement"} & entry.keys()
    elif class_ is not None:
        assert entry["unit_of_measurement"] in SENSOR_UNITS[class_]
    if "state_class" in entry:
        assert entry["state_class"] in STATE_CLASSES.get(str(class_), {"measurement"})


def test_flags_have_a_valid_class(model: Model) -> None:
    for entry in payload(model)["cmps"].values():
        if entry["p"] == "binary_sensor":
            assert entry.get("device_class") in {None, *BINARY_CLASSES}
            assert not {"state_class", "unit_of_measurement", "expire_after"} & entry.keys()


def test_events_have_their_types(model: Model) -> None:
    """On a topic of their own, with every type that can come; delayed ones render to nothing."""
    for key, entry in payload(model)["cmps"].items():
        if entry["p"] == "event":
            kind = key.removeprefix("event_")
            assert entry["state_topic"] == f"proxy-listener/device/{ID}/event/{kind}"
            assert entry["event_types"]
            assert len(set(entry["event_types"])) == len(entry["event_types"])
            assert entry.get("device_class") in {None, *EVENT_CLASSES}
            assert "delayed" in entry["value_template"]


def test_what_a_person_operates_has_device_triggers(model: Model) -> None:
    """One for each type of each button, cube and dimmer, on the event's topic; a delayed event fires none. Types are
    those that Home Assistant has words for.
    """
    found = payload(model)["cmps"]
    triggers = {key: entry for key, entry in found.items() if entry["p"] == "device_automation"}
    kinds = [kind for kind in model.events if kind.control]
    assert triggers.keys() == {f"trigger_{kind.name}_{type_}" for kind in kinds for type_ in kind.types}
    assert len({(entry["type"], entry["subtype"]) for entry in triggers.values()}) == len(triggers)
    for kind in kinds:
        for type_ in kind.types:
            entry = triggers[f"trigger_{kind.name}_{type_}"]
            assert entry["automation_type"] == "trigger"
            assert entry["topic"] == f"proxy-listener/device/{ID}/event/{kind.name}"
            assert entry["payload"] == type_
            assert "delayed" in entry["value_template"]


def test_a_press_has_home_assistants_words() -> None:
    """``"Button left" pressed``."""
    trigger = payload(BY_NAME["XMWXKG01YL"])["cmps"]["trigger_button_left_press"]
    assert (trigger["type"], trigger["subtype"]) == ("button_short_press", "Button left")


def test_a_device_is_reached_through_the_service() -> None:
    """Not through a proxy: the nearest one changes. Its area, firmware and page are given where they are known."""
    bare = payload(BY_NAME["HHCCJCY01"])["dev"]
    assert bare["via_device"] == json.loads(service_payload(TOPICS, None))["dev"]["identifiers"][0]
    assert not {"suggested_area", "sw_version", "configuration_url"} & bare.keys()
    full = attrs.evolve(subject(BY_NAME["HHCCJCY01"]), area="Attic", firmware="3.2.2", page="http://pi.local:8099")
    found = json.loads(device_payload(full, ROOMS, TOPICS))["dev"]
    assert (found["suggested_area"], found["sw_version"]) == ("Attic", "3.2.2")
    assert found["configuration_url"] == "http://pi.local:8099/#/device/A4%3AC1%3A38%3A02%3A83%3AF4"


def test_the_service_is_a_device_too() -> None:
    """With its page, and whether it is connected to the broker; another base is another service."""
    found = json.loads(service_payload(TOPICS, "http://pi.local:8099"))
    assert found["dev"]["configuration_url"] == "http://pi.local:8099"
    connected = found["cmps"]["connected"]
    assert (connected["state_topic"], connected["payload_on"]) == ("proxy-listener/bridge/state", "online")
    assert "availability" not in found
    assert TOPICS.service != Topics("house/ble", "homeassistant").service
    assert re.fullmatch("[a-zA-Z0-9_-]+", Topics("house/b.l.e", "homeassistant").service)


@pytest.mark.parametrize(
    ("quantity", "name", "icon"),
    [
        ("mass", "Weight", None),
        ("mass_non_stabilized", "Weight non-stabilized", None),
        ("heart_rate", "Heart rate", "mdi:heart-pulse"),
        ("profile_id", "Profile ID", "mdi:identifier"),
        ("key_id", "Key id", "mdi:identifier"),
        ("lock_method", "Lock method", "mdi:key-variant"),
        ("armed", "Armed", "mdi:shield-check"),
        ("fingerprint", "Fingerprint", "mdi:fingerprint"),
        ("impedance_high", "Impedance high", "mdi:omega"),
        ("temperature", "Temperature", None),
    ],
)
def test_names_and_icons_are_home_assistants(quantity: str, name: str, icon: str | None) -> None:
    """Those of its own Xiaomi integration, so that an entity looks the same whichever way it came."""
    found = component(QUANTITIES[quantity])
    assert (found["name"], found.get("icon")) == (name, icon)


def test_a_low_battery_is_no_diagnosis() -> None:
    """As in Home Assistant's own integration it is shown with the other sensors; the percentage is diagnostic."""
    assert "entity_category" not in component(QUANTITIES["battery_low"])
    assert component(QUANTITIES["battery"])["entity_category"] == "diagnostic"


def test_only_periodic_values_of_models_that_are_not_sleepy_expire(model: Model) -> None:
    """The values of a sleepy device never expire; others only after three intervals of silence."""
    for key, entry in payload(model)["cmps"].items():
        if "expire_after" in entry:
            assert not model.sleepy
            assert entry["expire_after"] >= 3 * model.interval
            assert row_of(key).periodic


def test_the_signal_strength_is_hidden_at_first(model: Model) -> None:
    rssi = payload(model)["cmps"]["rssi"]
    assert rssi["name"] == "Signal strength"
    assert (rssi["entity_category"], rssi["enabled_by_default"]) == ("diagnostic", False)


def test_soil_and_leak_are_told_apart() -> None:
    """Moisture is a percentage where a plant sensor sends it, and a flag where a leak sensor does."""
    soil, leak = payload(BY_NAME["HHCCJCY01"])["cmps"]["moisture"], payload(BY_NAME["SJWS01LM"])["cmps"]["moisture"]
    assert (soil["p"], soil["unit_of_measurement"]) == ("sensor", "%")
    assert (leak["p"], leak["device_class"]) == ("binary_sensor", "moisture")


def test_the_value_that_came_decides_the_form() -> None:
    """The entity of a quantity follows its value: a number, a flag or a text."""
    assert component(quantity_of("moisture", 40)) == component(MOISTURE)
    assert component(quantity_of("moisture", True))["p"] == "binary_sensor"
    unknown = component(quantity_of("no_such_quantity", 3.5))
    assert (unknown["p"], unknown["entity_category"]) == ("sensor", "diagnostic")
    assert not {"unit_of_measurement", "state_class", "device_class"} & unknown.keys()


def test_the_maker_is_the_models() -> None:
    """A model of another maker is announced with its name."""
    made = attrs.evolve(subject(BY_NAME["LYWSD03MMC"]), maker="Shelly")
    assert json.loads(device_payload(made, ROOMS, TOPICS))["dev"]["manufacturer"] == "Shelly"


def test_without_rooms_there_is_no_room() -> None:
    """Home Assistant refuses an enum without options."""
    assert "room" not in json.loads(device_payload(subject(BY_NAME["LYWSD03MMC"]), (), TOPICS))["cmps"]


def test_a_name_without_latin_letters_still_makes_an_id() -> None:
    found = json.loads(device_payload(subject(BY_NAME["LYWSD03MMC"]), ROOMS, TOPICS))
    named = json.loads(proxy_payload(ID, "厨房", "厨房", TOPICS))
    assert found["cmps"]["battery"]["default_entity_id"] == "sensor.bedroom_thing_battery"
    assert named["cmps"]["state"]["default_entity_id"] == "sensor.state"


def test_a_proxy_is_a_device_too() -> None:
    """An automation can watch whether it listens."""
    found = json.loads(proxy_payload(ID, "kitchen-proxy", "Kitchen", TOPICS))
    listening = found["cmps"]["listening"]
    assert (listening["p"], listening["device_class"]) == ("binary_sensor", "connectivity")
    assert "silent" in found["cmps"]["state"]["options"]
    assert found["state_topic"] == f"proxy-listener/proxy/{ID}/state"
    assert found["dev"]["via_device"] == TOPICS.service
    assert "sw_version" not in found["dev"]
    found = json.loads(proxy_payload(ID, "kitchen-proxy", "Kitchen", TOPICS, version="2026.10.0"))
    assert found["dev"]["sw_version"] == "2026.10.0"
