"""The verb init: a first devices.toml from nodes and answers."""

import stat
import tomllib

import pytest

from proxy_listener.cli.init import InitFile
from proxy_listener.config import load
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DiscoverySettings

PSK = Secret("QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc=")


def names(house) -> set[str]:
    return {proxy.name for proxy in house.proxies}


@pytest.mark.mdns("alone")
def test_init_writes_a_configuration_that_loads(call, node_house, tmp_path):
    """It asks for a key and for rooms. The file is private and never overwritten."""
    path = tmp_path / "first.toml"
    words = ["init", "-c", path, "--interface", "127.0.0.1", "--seconds", "3.5"]
    # A wrong key first, then the right one; then everything as proposed. Other houses on this machine may answer too.
    result = call(*words, given=f"short\n{node_house.noise_psk.reveal()}\n" + "\n" * 100)
    assert result.exit_code == 0, result.output
    assert "5 characters, expected the base64 of 32 bytes" in result.stderr
    assert node_house.noise_psk.reveal() not in result.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = load(path)
    assert (config.discovery.noise_psk, config.discovery.interfaces) == (node_house.noise_psk, ("127.0.0.1",))
    assert {proxy.name for proxy in config.proxies} == names(node_house)
    assert all(proxy.mac is not None and proxy.room for proxy in config.proxies)
    assert list(config.sinks) == ["jsonl"]
    again = call(*words)
    assert again.exit_code == 1
    assert "is not overwritten" in again.stderr
    assert load(path) == config


@pytest.mark.mdns("alone")
def test_init_checks_the_file_before_the_first_question(call, tmp_path):
    """A missing directory is made; a path that cannot be written is an error."""
    (tmp_path / "file").touch()
    result = call("init", "-c", tmp_path / "file" / "devices.toml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is not a folder that you can write to" in result.stderr
    path = tmp_path / "new" / "devices.toml"
    result = call("init", "-c", path, "--interface", "127.0.0.1", "--seconds", "1", given="\n" * 100)
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load(path).web.listen == "127.0.0.1:8099"
    assert f"proxy-listener check -c {path}" in result.stdout


def test_the_file_has_every_answer():
    """Room, key, broker and page are at the right keys."""
    file = InitFile(DiscoverySettings(accept="listed"))
    file.add_proxy("hall-proxy", 0xA0B1C2D3E4F5, "Hall", PSK)
    file.add_proxy("attic-proxy", None, "Attic", None)
    file.set_broker("192.0.2.1", "user", "opensesame", tls=True)
    file.page = True
    assert tomllib.loads(file.text()) == {
        "discovery": {"accept": "keyed"},
        "proxy": [
            {"name": "hall-proxy", "mac": "A0:B1:C2:D3:E4:F5", "room": "Hall", "noise_psk": PSK.reveal()},
            {"name": "attic-proxy", "room": "Attic"},
        ],
        "sink": {"mqtt": {"host": "192.0.2.1", "user": "user", "password": "opensesame", "tls": True}},
        "web": {"listen": "127.0.0.1:8099"},
    }


def test_a_name_cannot_add_keys_to_the_file():
    """Names come from the network: quotes and line breaks in them are escaped."""
    file = InitFile(DiscoverySettings(noise_psk=PSK))
    name = 'x"\n[web]\nlisten = "0.0.0.0:1'
    file.add_proxy(name, None, name, None)
    document = tomllib.loads(file.text())
    assert document.keys() == {"discovery", "proxy", "sink"}
    assert document["proxy"] == [{"name": name, "room": name}]
