"""The forms in which bindkeys come, beside the trees of JSON of test_key_import."""

import json

import pytest

from proxy_listener.config.key_file import read_keys

BED, DOOR, DIMMER = 0xA4C1380283F4, 0xE4AAEC000001, 0xF82441C5988B
NEW, OTHER = "11" * 16, "b853075158487ca39a5b5ea9"

TEXT = f"""Username (email or user ID):
Password:
Server (one of: cn, de, us) Leave empty to check all available:

Logging in...
Logged in.

Devices found for server "de" @ home "1":
   ---------
   NAME:     Bedroom: north
   ID:       blt.3.1abcdef
   BLE KEY:  {NEW}
   MAC:      A4:C1:38:02:83:F4
   TOKEN:    333333333333333333333333
   MODEL:    miaomiaoce.sensor_ht.t2
   ---------
   NAME:     Vacuum
   ID:       12345
   MAC:      E4:AA:EC:00:00:01
   IP:       192.0.2.7
   TOKEN:    55555555555555555555555555555555
   MODEL:    rockrobo.vacuum.v1
   ---------

No devices found for server "us" @ home "2".

Press ENTER to finish
"""


def found_in(content: bytes) -> list[tuple[int | None, str | None, str | None]] | None:
    found = read_keys(content)
    return found and [(one.mac, one.name, one.key and one.key.reveal()) for one in found]


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.encode("utf-16"),
        TEXT.replace("NAME:", "\x1b[33mNAME:\x1b[0m").replace("MAC:", "\x1b[33mMAC:\x1b[0m").encode(),
    ],
    ids=["plain", "line ends of Windows", "redirected by PowerShell", "coloured"],
)
def test_the_text_of_the_extractor(content):
    """Devices with and without a key. A token is no key, and a name may hold a colon."""
    assert found_in(content) == [(BED, "Bedroom: north", NEW), (DOOR, "Vacuum", None)]


def test_blocks_without_rules():
    """A field that the block has already begins the next one."""
    text = f"NAME: A\nMAC: A4:C1:38:02:83:F4\nBLE KEY: {NEW}\nNAME: B\nMAC: E4:AA:EC:00:00:01\n"
    assert found_in(text.encode()) == [(BED, "A", NEW), (DOOR, "B", None)]


def test_a_block_without_a_mac_is_told():
    """Its name is given, so that a person finds it."""
    text = TEXT.replace("   MAC:      A4:C1:38:02:83:F4\n", "")
    assert found_in(text.encode()) == [(None, "Bedroom: north", NEW), (DOOR, "Vacuum", None)]


TABLE = [{"mac": "8b98c54124f8", "evtid": 4097, "pid": 950, "beaconkey": OTHER}]


@pytest.mark.parametrize("content", [f"Running command raw_command\n{TABLE}\n", json.dumps({"result": TABLE})])
def test_the_table_of_a_lamp_has_its_macs_in_reverse(content):
    """As miiocli prints it, or as JSON. The frames of this dimmer say F8:24:41:C5:98:8B (ble_monitor #289)."""
    assert found_in(content.encode()) == [(DIMMER, None, OTHER)]
    (found,) = read_keys(content.encode())
    assert found.reversed


def test_a_mac_that_a_person_wrote_into_the_table_stays():
    """With colons it is not the lamp's."""
    table = [{**TABLE[0], "mac": "F8:24:41:C5:98:8B"}]
    assert found_in(json.dumps(table).encode()) == [(DIMMER, None, OTHER)]


@pytest.mark.parametrize(
    "document",
    [
        [{"name": "Attic", "mac": "A4:C1:38:02:83", "key": NEW}],
        [{"name": "Attic", "bindkey": NEW}],
        [{"name": "Attic", "mac": "nonsense", "key": "also nonsense"}],
        {"Attic": NEW, "A4:C1:38:02:83:F4": None},
    ],
)
def test_a_key_without_a_readable_mac_is_told(document):
    """It is given without a MAC, not left out."""
    first, *_ = read_keys(json.dumps(document).encode())
    assert (first.mac, first.name) == (None, "Attic")


def test_the_key_of_a_device_is_given_once():
    """Not again for the table in which it is."""
    document = [{"mac": "A4:C1:38:02:83:F4", "BLE_DATA": {"beaconkey": NEW}}]
    assert found_in(json.dumps(document).encode()) == [(BED, None, NEW)]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"hello: you", b"{'a': " * 50_000])
def test_other_text_is_in_no_form(content):
    """None, and no exception."""
    assert read_keys(content) is None
