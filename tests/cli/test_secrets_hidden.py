"""A configuration with a secret in every place that can have one: no verb shows any of them."""

import pytest

pytestmark = pytest.mark.mdns("listed")

KEYS = ["c0ffee" * 5 + "11", "c0ffee" * 5 + "22", "c0ffee" * 4]
PSK = "Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5MTI="
CANARIES = ["c0ffee", PSK[:12], "canary"]


@pytest.fixture
def house(tmp_path):
    path = tmp_path / "devices.toml"
    path.write_text(
        f"""
[discovery]
accept = "listed"
noise_psk = "{PSK}"
interfaces = ["127.0.0.1"]
[[proxy]]
name = "kitchen-proxy"
noise_psk = "{PSK}"
password = "canary-password"
host = "127.0.0.1"
port = 9
[[device]]
mac = "A4:C1:38:02:83:F4"
name = "Bedroom"
bindkey = {KEYS}
[web]
listen = "127.0.0.1:8099"
token = "canary-token"
[sink.mqtt]
host = "127.0.0.1"
port = 9
user = "me"
password = "canary-broker"
""",
        encoding="utf-8",
    )
    path.chmod(0o600)
    (tmp_path / "capture.jsonl").write_text(
        '{"time":1.0,"proxy":"k","mac":"A4:C1:38:02:83:F4","rssi":-61,'
        '"data":"0201061a1695fe58585b0550f4830238c1a495ef58763c26000097e2abb5"}\n',
        encoding="utf-8",
    )
    (tmp_path / "keys.json").write_text(f'{{"A4:C1:38:02:83:F4": "{"c0ffee" * 5}33"}}', encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "verb",
    [
        "check",
        "check --json",
        "doctor --json",
        "discover --seconds 1",
        "keys test Bedroom --capture capture.jsonl",
        "keys test Bedroom --capture capture.jsonl --json",
        "keys import keys.json",
        "keys import keys.json --json",
        "replay capture.jsonl",
        "replay capture.jsonl --log-json",
        "decode 58585b0550f4830238c1a495ef58763c26000097e2abb5 --mac A4:C1:38:02:83:F4",
    ],
)
def test_no_verb_shows_a_secret(call, house, tmp_path, verb):
    """Neither on standard output nor on standard error, as text or JSON, with all logs."""
    result = call(*verb.split(), "-v", "-c", house, "--state", tmp_path)
    assert result.exit_code in {0, 1}
    assert result.output
    assert not [canary for canary in CANARIES if canary in result.output]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (KEYS[0], KEYS[0] + "1"),
        (PSK, PSK[:-2]),
        ('"canary-password"', "5"),
        ('"canary-token"', "canary-token"),
        ('mac = "A4:C1:38:02:83:F4"', 'mac = "canary"'),
        ("port = 9", 'port = "canary"'),
        ('user = "me"', ""),
        ("bindkey", "canary_bindkey_c0ffee" + "c0ffee" * 4),
    ],
)
def test_no_error_shows_a_secret(call, house, old, new):
    """A configuration with an error at or beside a secret: status 78, the place, and not the value."""
    house.write_text(house.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    result = call("check", "-v", "-c", house)
    assert (result.exit_code, result.stdout) == (78, "")
    assert not [canary for canary in ("c0ffee" * 4, PSK[:12], "canary-") if canary in result.output]
