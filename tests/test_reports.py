"""Public bug reports about decoders of Xiaomi devices: what each must give, in the engine and from a capture."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.listening import Air

from proxy_listener.cli import main
from proxy_listener.model.advertisement import parse_mac
from proxy_listener.model.reading import as_json
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings

CASES = json.loads((Path(__file__).parent / "data" / "reports.json").read_text())
each_report = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


def agrees(found, expected):
    if isinstance(expected, bool | str):
        return found is expected or found == expected
    return not isinstance(found, bool) and abs(found - expected) <= 0.051


def check(reading, expected):
    """``reading`` is its JSON, or None where there is none; ``expected`` as tests/data/README.md says."""
    values, events = (reading["values"], reading["events"]) if reading else ({}, [])
    if expected.get("null"):
        assert reading is None
    for name, value in expected["values"].items():
        assert agrees(values[name], value), name
    for event, kind in expected["events"]:
        assert any(event in {None, e["event"]} and kind in {None, e["type"]} for e in events), events
    assert not set(expected.get("absent", ())) & set(values)
    assert not any(values.get(name) for name in expected.get("absent_true", ()))
    assert set(expected.get("has", ())) <= set(values)
    assert values or events or not expected.get("has_any")


@each_report
def test_a_report_is_read_by_the_engine(case):
    """Each advertisement gives what the report says, and none gives two readings."""
    air = Air(*(DeviceSettings(parse_mac(mac), bindkey=(Secret(key),)) for mac, key in case["bindkeys"].items()))
    for advert, expected in zip(case["capture"], case["expected"], strict=True):
        before = len(air.readings)
        now = advert["time"] - case["capture"][0]["time"] + 1000.0
        data = bytes.fromhex(advert["data"])
        air.listener.hear(advert["proxy"], parse_mac(advert["mac"]), 0, advert["rssi"], data, advert["time"], now)
        fresh = air.readings[before:]
        assert len(fresh) <= 1
        check(json.loads(as_json(fresh[0])) if fresh else None, expected)


@each_report
def test_a_report_is_read_from_a_capture(case, tmp_path):
    """The same through ``replay``, with the bindkeys in the configuration."""
    config, capture = tmp_path / "devices.toml", tmp_path / "capture.jsonl"
    entries = (f'[[device]]\nmac = "{mac}"\nbindkey = "{key}"\n' for mac, key in case["bindkeys"].items())
    config.write_text("".join(entries))
    config.chmod(0o600)
    capture.write_text("".join(json.dumps(advert) + "\n" for advert in case["capture"]))
    result = CliRunner().invoke(main, ["replay", str(capture), "-c", str(config)])
    assert result.exit_code == 0, result.output
    readings = {reading["time"]: reading for reading in map(json.loads, result.stdout.splitlines())}
    assert len(readings) == len(result.stdout.splitlines())
    for number, expected in enumerate(case["expected"]):
        time = case["capture"][number]["time"]
        check(next((found for when, found in readings.items() if _seconds(when) == time), None), expected)


def _seconds(text):
    return datetime.fromisoformat(text).timestamp()
