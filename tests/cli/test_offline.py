"""The verbs check and decode."""

import asyncio
import json

import pytest
from support.control_service import reading

from proxy_listener.history import Journal

KEY = "e9ea895fac7cca6d30532432a516f3a8"
MAC = "A4:C1:38:02:83:F4"
PSK = "QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc="

HOUSE = f"""
[discovery]
noise_psk = "{PSK}"
[[proxy]]
name = "kitchen-proxy"
room = "Kitchen"
host = "192.0.2.10"
[[device]]
mac = "A4:C1:38:02:83:F4"
name = "[bold]Bedroom[/bold]"
bindkey = "{KEY}"
prefer = ["hall-proxy"]
[[device]]
mac = "C4:7C:8D:6A:3E:7A"
read = "12h"
[web]
listen = "127.0.0.1:8099"
token = "canary-token"
"""


@pytest.fixture
def house(tmp_path):
    path = tmp_path / "devices.toml"
    path.write_text(HOUSE, encoding="utf-8")
    path.chmod(0o600)
    return path


def test_check_shows_what_would_run(call, house, tmp_path):
    """Proxies, devices with their keys' scheme, sinks, page and state; warnings on standard error; no secret."""
    result = call("check", "-c", house, "--state", tmp_path / "state")
    assert result.exit_code == 0
    text = result.stdout
    for word in (
        "kitchen-proxy",
        "192.0.2.10:6053",
        "[bold]Bedroom[/bold]",
        "A4:C1:38:02:83:F4",
        "32 digits, MiBeacon v4/v5",
        "none: plain frames only",
        "12h",
        "jsonl: path -",
        "http://127.0.0.1:8099 with a token",
        str(tmp_path / "state" / "history.db"),
    ):
        assert word in text
    assert result.stderr.startswith('warning: devices.toml: device[1].prefer: no [[proxy]] is named "hall-proxy"')
    assert not [secret for secret in (KEY, PSK, "canary") if secret in result.output]


def test_check_as_json(call, house):
    """The document has the same content."""
    document = json.loads(call("check", "--json", "-c", house).stdout)
    assert [device["mac"] for device in document["devices"]] == ["A4:C1:38:02:83:F4", "C4:7C:8D:6A:3E:7A"]
    assert document["proxies"] == [
        {"name": "kitchen-proxy", "mac": None, "room": "Kitchen", "address": "192.0.2.10:6053", "key": "shared"}
    ]
    assert len(document["warnings"]) == 1


@pytest.mark.parametrize(
    ("model", "read"),
    [("HHCCJCY01", "12h"), ("LYWSD03MMC", None), ("0x1234", None), (None, "12h, if it can be read")],
)
async def test_check_says_how_often_a_device_is_read_only_of_models_that_are(call, house, tmp_path, model, read):
    """The model is that of the history. Reading it leaves nothing behind in the state directory."""
    state = tmp_path / "state"
    state.mkdir()
    if model is not None:
        journal = Journal(state / "history.db")
        journal.append(reading(1, mac=0xC47C8D6A3E7A, model=model))
        await journal.close()
    before = set(state.iterdir())
    result = await asyncio.to_thread(call, "check", "--json", "-c", house, "--state", state)
    assert json.loads(result.stdout)["devices"][1]["read"] == read
    assert set(state.iterdir()) == before


def test_the_configuration_of_the_working_directory_is_found(call, house):
    """Without -c."""
    assert f"configuration  {house.name}" in call("check").stdout


def test_decode_explains_an_encrypted_frame(call):
    """Its value is shown; the key is not."""
    result = call(
        "decode", "58585b0550f4830238c1a495ef58763c26000097e2abb5", "--mac", "A4:C1:38:02:83:F4", "--bindkey", KEY
    )
    assert result.exit_code == 0
    assert "46.7" in result.stdout
    assert "9808" in result.stdout
    assert KEY not in result.output


def test_decode_uses_the_key_of_the_devices_entry(call, house):
    """A device of the configuration needs no --bindkey."""
    frame = "58585b0550f4830238c1a495ef58763c26000097e2abb5"
    assert "46.7" in call("decode", frame, "--mac", "a4c1380283f4", "-c", house).stdout
    assert "46.7" in call("decode", frame, "-c", house).stdout
    assert "46.7" in call("decode", "0201061a1695fe" + frame, "-c", house).stdout


def test_a_bad_key_is_a_usage_error_and_is_not_shown(call):
    """--bindkey is checked like a key of the configuration."""
    result = call("decode", "5858", "--bindkey", "canary" * 5)
    assert result.exit_code == 2
    assert "canary" not in result.output


FRAME = "58585b0550f4830238c1a495ef58763c26000097e2abb5"


@pytest.mark.parametrize(
    "written",
    [
        "0x" + FRAME,
        "0X58 0x58" + FRAME[4:],
        ":".join(FRAME[at : at + 2] for at in range(0, len(FRAME), 2)),
        f" {FRAME[:8]} {FRAME[8:]}\n",
        json.dumps({"time": 1.0, "proxy": "hall", "mac": MAC, "rssi": -61, "data": "0201061a1695fe" + FRAME}),
    ],
)
def test_decode_takes_hex_as_it_is_written(call, written):
    """With 0x, colons or blanks, and the line of a capture."""
    result = call("decode", written, "--bindkey", KEY)
    assert result.exit_code == 0
    assert "46.7" in result.stdout


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("58585", "an odd number of hex digits, 5"),
        ("5g", "'g' is no hex digit"),
        ("{}", "is no line of a capture"),
        ("0x", "is empty"),
    ],
)
def test_decode_says_what_is_wrong_with_its_hex(call, written, why):
    """Wrong usage."""
    result = call("decode", written)
    assert (result.exit_code, why in result.stderr) == (2, True)
