"""Frames from the test suites of public decoders: what they read, we read."""

import json
from pathlib import Path

import pytest
from support.decoding import decode

from proxy_listener.formats.bthome.objects import OBJECTS
from proxy_listener.model.advertisement import parse_mac, payloads
from proxy_listener.model.errors import DecodeError

CASES = json.loads((Path(__file__).parents[2] / "data" / "bthome.json").read_text())
FORMATS = {0xFCD2, 0x181C, 0x181E}

BLE_MONITOR = {
    "binary": "generic",
    "battery low": "battery_low",
    "battery charging": "battery_charging",
    "carbon monoxide": "carbon_monoxide",
    "co2": "carbon_dioxide",
    "dewpoint": "dew_point",
    "distance mm": "distance_mm",
    "garage door": "garage_door",
    "gas detected": "gas",
    "moisture detected": "moisture",
    "pm2.5": "pm25",
    "switch": "power",
    "tvoc": "volatile_organic_compounds",
    "uv index": "uv_index",
    "volume flow rate": "volume_flow_rate",
    "volume mL": "volume_ml",
    "weight": "mass",
}
"""ble_monitor's names -> ours."""

ABOUT_THE_FRAME = {"mac", "type", "firmware", "data", "packet", "packet_id", "status", "rssi", "local_name"}

HOLD_OF_OLD_FIRMWARE = "bthome-ble/test_bthome_invalid_button_event"
"""bthome-ble reads nothing in 0xFE; Shelly's firmware 1.0.7 means a held button (docs/protocol/bthome.md)."""


def service_data(case):
    if "service_data" in case:
        return int(case["uuid"], 16), bytes.fromhex(case["service_data"])
    return next((uuid, data) for uuid, data in payloads(bytes.fromhex(case["data"])) if uuid in FORMATS)


def found_in(case):
    uuid, data = service_data(case)
    try:
        return decode(uuid, data, parse_mac(case.get("mac", "A4:C1:38:8D:18:B2")), case.get("bindkey"))
    except DecodeError:
        return None


def expected(case):
    """Values, and events as (kind, type)."""
    values, events = {}, set()
    for name, value in case["expect"].items():
        kind, _, key = name.rpartition(":")
        if kind == "event":
            events.add((key, value[0]))
        elif name in {"button", "dimmer"}:
            events.add((name, str(value).replace(" ", "_")))
        elif name not in ABOUT_THE_FRAME:
            values[BLE_MONITOR.get(key, key)] = value
    return values, events


@pytest.mark.parametrize("case", [case for case in CASES if "expect" in case], ids=lambda case: case["name"])
def test_what_public_decoders_read(case):
    """Each value and event; masses in pounds are kilograms here, times are ISO 8601."""
    found = found_in(case)
    if "objects" in case["expect"]:
        case = {**case, "objects": case["expect"], "expect": {}}
    values, events = expected(case)
    if case["name"] == HOLD_OF_OLD_FIRMWARE:
        assert found[1].events[0].type == "hold_press"
        return
    got = found[1].values if found else {}
    for name, value in values.items():
        if name not in got and f"{name}_1" not in got:
            pytest.fail(f"{name} is missing in {got}")
        mine = got[name] if name in got else got[f"{name}_1"]
        if isinstance(mine, bool):
            assert mine is bool(value), name
        elif isinstance(mine, str):
            assert mine.replace("T", " ") == str(value).replace("T", " "), name
        elif "pound" in case["name"] or "_lb" in case["name"]:
            assert mine == pytest.approx(value * 0.45359237, abs=0.01)
        else:
            assert mine == pytest.approx(value, abs=0.005), name
    fired = {(event.event, event.type) for event in found[1].events} if found else set()
    assert events <= fired
    for object_id, value in case.get("objects", {}).get("objects", []):
        row = OBJECTS.get(int(object_id, 16)) if object_id.startswith("0x") else None
        if (
            row is not None
            and row.kind == "number"
            and found
            and row.quantity.name in found[1].values
            and row.times == 1
        ):
            assert found[1].values[row.quantity.name] == pytest.approx(value, abs=1e-6)
