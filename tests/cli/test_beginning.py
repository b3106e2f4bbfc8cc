"""The text of a first devices.toml."""

import tomllib

from proxy_listener.cli.init import InitFile
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DiscoverySettings

PSK = Secret("QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc=")


def test_what_was_told_stands_in_the_file():
    """Room, own key and broker, each where the configuration has it."""
    file = InitFile(DiscoverySettings(accept="listed"))
    file.add_proxy("hall-proxy", 0xA0B1C2D3E4F5, "Hall", PSK)
    file.add_proxy("attic-proxy", None, "Attic", None)
    file.set_broker("192.0.2.1", "user", "opensesame", tls=True)
    file.set_page("127.0.0.1:8099")
    assert tomllib.loads(file.text()) == {
        "discovery": {"accept": "keyed"},
        "proxy": [
            {"name": "hall-proxy", "mac": "A0:B1:C2:D3:E4:F5", "room": "Hall", "noise_psk": PSK.reveal()},
            {"name": "attic-proxy", "room": "Attic"},
        ],
        "sink": {"mqtt": {"host": "192.0.2.1", "user": "user", "password": "opensesame", "tls": True}},
        "web": {"listen": "127.0.0.1:8099"},
    }


def test_a_node_s_name_cannot_write_the_configuration():
    """Names come from the network: quotes and line breaks in them stay in their text."""
    file = InitFile(DiscoverySettings(noise_psk=PSK))
    name = 'x"\n[web]\nlisten = "0.0.0.0:1'
    file.add_proxy(name, None, name, None)
    document = tomllib.loads(file.text())
    assert document.keys() == {"discovery", "proxy", "sink"}
    assert document["proxy"] == [{"name": name, "room": name}]
