"""The verb init: a first devices.toml from nodes and answers."""

import re
import stat
import tomllib

import pytest
from support.background import in_thread

from proxy_listener.cli.init import InitFile
from proxy_listener.config import load
from proxy_listener.model.advertisement import mac_text
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DiscoverySettings
from proxy_listener.simulator.house import House

PSK = Secret("QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc=")


def names(house) -> set[str]:
    return {proxy.name for proxy in house.proxies}


@pytest.mark.mdns("alone")
def test_init_writes_a_configuration_that_loads(call, node_house, tmp_path):
    """It asks for a key and for rooms. The file is private and never overwritten."""
    path = tmp_path / "first.toml"
    words = ["init", "-c", path, "--interface", "127.0.0.1", "--seconds", "3.5", "--listen", "0"]
    # No key, another house's key, then the right one; then everything as proposed.
    result = call(*words, given=f"short\n{PSK.reveal()}\n{node_house.noise_psk.reveal()}\n" + "\n" * 100)
    assert result.exit_code == 0, result.output
    assert "5 characters, expected the base64 of 32 bytes" in result.stderr
    assert result.stderr.count("no node accepts this key") == 1
    assert node_house.noise_psk.reveal() not in result.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = load(path)
    assert (config.discovery.noise_psk, config.discovery.interfaces) == (node_house.noise_psk, ("127.0.0.1",))
    assert {proxy.name for proxy in config.proxies} == names(node_house)
    assert all(proxy.mac is not None and proxy.room for proxy in config.proxies)
    rooms = {proxy.name: proxy.room.name for proxy in node_house.proxies}
    assert {proxy.name: proxy.room for proxy in config.proxies} == rooms
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
    file.page = "machine"
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


def test_the_page_for_the_network_has_a_token_of_its_own(tmp_path):
    """32 hex digits, another one each time; the file loads, so it is long enough."""
    made = []
    for number in (1, 2):
        file = InitFile(DiscoverySettings())
        file.page = "network"
        path = tmp_path / f"{number}.toml"
        path.touch(0o600)
        path.write_text(file.text())
        made.append(load(path).web)
    assert [web.listen for web in made] == ["0.0.0.0:8099"] * 2
    assert len({web.token for web in made}) == 2
    assert [len(web.token) for web in made] == [32, 32]


@pytest.mark.mdns("alone")
def test_a_broker_is_tried_at_once(call, node_house, tmp_path):
    """Nothing answers there: the cause is said, it is asked for again, and an empty answer means none."""
    path = tmp_path / "devices.toml"
    given = "\n" * (1 + len(node_house.proxies)) + "broker.invalid\n\nn\n\n2\ny\n"
    result = call("init", "-c", path, "--interface", "127.0.0.1", "--seconds", "2", given=given)
    assert result.exit_code == 0, result.output
    assert "nothing answers at broker.invalid:1883" in result.stderr
    assert list(load(path).sinks) == ["jsonl"]
    assert "token that stands under [web]" in result.stdout
    assert load(path).web.token.reveal() not in result.output
    assert "key that stands under [share]" in result.stdout
    assert load(path).share.listen == "0.0.0.0"
    assert load(path).share.noise_psk.reveal() not in result.output


@pytest.mark.mdns("alone")
def test_devices_that_are_heard_are_listed_with_what_they_need(call, tmp_path):
    """Of a house whose sensors send: one that encrypts needs its bindkey, a plain one nothing."""
    house = House(seed=7, rooms=2, devices=12, instance="init", pace=20.0)
    path = tmp_path / "devices.toml"
    with in_thread(house.running()):
        words = ["init", "-c", path, "--interface", "127.0.0.1", "--seconds", "2", "--listen", "4"]
        result = call(*words, given=f"{house.noise_psk.reveal()}\n" + "\n" * 100)
    assert result.exit_code == 0, result.output
    listed = dict(re.findall(r"^  ([0-9A-F:]{17})  .*(needs .*)$", result.stdout, re.MULTILINE))
    keyed = {mac_text(device.mac): bool(device.key) for device in house.devices}
    assert len(listed) >= 4
    assert all(("bindkey" in needs) == keyed[mac] for mac, needs in listed.items() if mac in keyed)
    assert {True, False} == {"bindkey" in needs for needs in listed.values()}
