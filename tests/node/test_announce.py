"""The mDNS record of a node, by firmware generation."""

import pytest

from proxy_listener.model.secret import Secret
from proxy_listener.node.announce import FRIENDLY_NAME_LIMIT, service_info
from proxy_listener.node.firmware import ESPHOME_2026_10, GENERATIONS
from proxy_listener.node.settings import NodeSettings

PSK = Secret("QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc=")
NOISE = b"Noise_NNpsk0_25519_ChaChaPoly_SHA256"


def record(firmware=ESPHOME_2026_10, **settings):
    return service_info(NodeSettings("hall-proxy", 0xA0B1C2D3E4F5, **settings), firmware, ["127.0.0.1"], 6053)


def test_a_record_says_where_the_node_is_and_what_it_is():
    """Name, host, address and port; version and MAC in the TXT record, and no word of a Bluetooth proxy."""
    info = record(friendly_name="Hall proxy")
    assert (info.name, info.server, info.port) == (
        "hall-proxy._esphomelib._tcp.local.",
        "hall-proxy.local.",
        6053,
    )
    assert info.addresses == [bytes((127, 0, 0, 1))]
    assert info.properties[b"mac"] == b"a0b1c2d3e4f5"
    assert info.properties[b"version"] == b"2026.10.0"
    assert info.properties[b"friendly_name"] == b"Hall proxy"
    assert not any(b"bluetooth" in (key + (value or b"")).lower() for key, value in info.properties.items())


@pytest.mark.parametrize(("psk", "key"), [(PSK, b"api_encryption"), (None, b"api_encryption_supported")])
def test_the_record_says_whether_a_key_is_set(psk, key):
    """One of two TXT keys names the cipher; the Noise key is in no record."""
    info = record(noise_psk=psk)
    assert {name: value for name, value in info.properties.items() if b"encryption" in name} == {key: NOISE}
    assert PSK.reveal().encode() not in info.text


def test_old_firmware_does_not_announce_encryption():
    """2023.6 has no TXT key for it, also with a Noise key."""
    info = record(GENERATIONS["2023.6"], noise_psk=PSK)
    assert not any(b"encryption" in name or name == b"config_hash" for name in info.properties)


def test_a_long_friendly_name_is_cut():
    """A TXT string holds 255 bytes, so sixty characters of four bytes are the most."""
    info = record(friendly_name="\N{SEEDLING}" * 100)
    assert info.properties[b"friendly_name"].decode() == "\N{SEEDLING}" * FRIENDLY_NAME_LIMIT
