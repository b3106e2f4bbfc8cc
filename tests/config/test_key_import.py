"""Bindkeys from extractors' files into devices.toml."""

import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_listener.config import load
from proxy_listener.config.key_file import FoundKey, extracted
from proxy_listener.config.key_import import import_keys
from proxy_listener.model.advertisement import mac_text
from proxy_listener.model.errors import ConfigError
from proxy_listener.model.secret import Secret

BED, DOOR, PLANT = 0xA4C1380283F4, 0xE4AAEC000001, 0xC47C8D6A3E7A
OLD, NEW, OTHER = "e9ea895fac7cca6d30532432a516f3a8", "11" * 16, "22" * 12


def keys_of(document) -> list[tuple[int, str | None, str | None]]:
    return [(found.mac, found.name, found.key and found.key.reveal()) for found in extracted(document)]


EXTRACTOR = [
    {
        "server": "de",
        "homes": [
            {
                "home_id": 1,
                "devices": [
                    {
                        "did": "blt.3.1abc",
                        "name": "Bedroom",
                        "mac": "A4:C1:38:02:83:F4",
                        "token": "33" * 12,
                        "BLE_DATA": {"beaconkey": NEW, "token": "44" * 12},
                    },
                    {"did": "12345", "name": "Vacuum", "mac": "E4:AA:EC:00:00:01", "token": "55" * 16},
                ],
            }
        ],
    },
    {"server": "us", "homes": [{"devices": [{"mac": "A4:C1:38:02:83:F4", "ble_key": NEW}]}]},
]


def test_a_tree_of_servers_and_homes():
    """A key is beside the MAC or one table deeper. A token is no key. A device of two servers is given once."""
    assert keys_of(EXTRACTOR) == [(BED, "Bedroom", NEW), (DOOR, "Vacuum", None)]


@pytest.mark.parametrize(
    "word", ["bindkey", "beaconkey", "blekey", "ble_key", "BLE KEY", "encryption_key", "key", "aeskey"]
)
def test_the_names_of_a_key(word):
    """Every name that extractors use, in any case and with any separator."""
    assert keys_of([{"MAC": "a4c1380283f4", word: NEW}]) == [(BED, None, NEW)]


def test_a_map_of_macs():
    """MACs with keys, or with tables."""
    assert keys_of({"A4:C1:38:02:83:F4": NEW, "e4-aa-ec-00-00-01": {"name": "Door", "bindkey": OTHER}}) == [
        (BED, None, NEW),
        (DOOR, "Door", OTHER),
    ]


def test_the_storage_of_home_assistant():
    """xiaomi_ble and bthome by the unique id, ble_monitor by its devices. Keys of other integrations are ignored."""
    entries = [
        {"domain": "xiaomi_ble", "title": "Bedroom 83F4", "unique_id": "A4:C1:38:02:83:F4", "data": {"bindkey": NEW}},
        {"domain": "xiaomi_ble", "title": "Plant", "unique_id": "C4:7C:8D:6A:3E:7A", "data": {}},
        {"domain": "switchbot", "title": "Lock", "unique_id": "A4:C1:38:00:00:01", "data": {"encryption_key": OTHER}},
        {"domain": "bthome", "title": "Shelly", "unique_id": "E4:AA:EC:00:00:01", "data": {"bindkey": NEW}},
        {
            "domain": "ble_monitor",
            "unique_id": "ble_monitor",
            "data": {"devices": [{"mac": "E4:AA:EC:00:00:01", "name": "Door", "encryption_key": OTHER}]},
        },
    ]
    assert keys_of({"version": 1, "key": "core.config_entries", "data": {"entries": entries}}) == [
        (BED, "Bedroom 83F4", NEW),
        (PLANT, "Plant", None),
        (DOOR, "Shelly", NEW),
        (DOOR, "Door", OTHER),
    ]


@pytest.mark.parametrize("document", [None, 5, "text", [], {}, [[[[]]]], {"mac": None, "key": []}, {"mac": "A4:C1"}])
def test_json_without_devices_gives_none(document):
    """Any JSON is accepted."""
    assert extracted(document) == []


def test_a_very_deep_tree_is_not_searched():
    """The depth is limited."""
    tree: list = [{"mac": "A4:C1:38:02:83:F4", "key": NEW}]
    for _ in range(900):
        tree = [tree]
    assert extracted(tree) == []


FILE = f"""# My house.
[service]
coalesce = "50ms"  # often enough

[[device]]  # upstairs
mac = "a4:c1:38:02:83:f4"
name = "Bedroom"   # north wall
bindkey = "{OLD}"  # from 2024

# Proxies
[[proxy]]
name = "kitchen-proxy"

[[device]]
mac = "C4:7C:8D:6A:3E:7A"

# The network
[discovery]
interfaces = [
    # the good one
    "127.0.0.1",
]
# end
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "devices.toml"
    path.write_text(FILE, encoding="utf-8")
    path.chmod(0o600)
    return path


def results(path: Path, *found: FoundKey) -> list[tuple[str, str]]:
    return [(change.result, change.why) for change in import_keys(found, path)]


def test_keys_are_added_and_nothing_else_changes(file):
    """A new key is written before the old one, into the entry without a key, or into a new entry at the end."""
    assert [
        result
        for result, _ in results(
            file,
            FoundKey(BED, "Other name", Secret(NEW)),
            FoundKey(PLANT, None, Secret(OTHER)),
            FoundKey(DOOR, "Front door", Secret(NEW.upper())),
        )
    ] == ["renewed", "added", "added"]
    expected = FILE.replace(f'bindkey = "{OLD}"', f'bindkey = ["{NEW}", "{OLD}"]')
    expected = expected.replace('6A:3E:7A"\n', f'6A:3E:7A"\nbindkey = "{OTHER}"\n')
    expected += f'\n[[device]]\nmac = "E4:AA:EC:00:00:01"\nname = "Front door"\nbindkey = "{NEW}"\n'
    assert file.read_text(encoding="utf-8") == expected
    assert [device.bindkey for device in load(file).devices] == [
        (Secret(NEW), Secret(OLD)),
        (Secret(OTHER),),
        (Secret(NEW),),
    ]


def test_a_known_key_changes_nothing(file):
    """In either case of its digits. The file is not written."""
    before = file.stat()
    assert results(file, FoundKey(BED, None, Secret(OLD.upper()))) == [("unchanged", "its entry has this key")]
    after = file.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_key_in_a_file_is_kept_behind_a_new_one(file, tmp_path):
    """A second import of the same key changes nothing."""
    (tmp_path / "bed.key").write_text(OLD, encoding="ascii")
    (tmp_path / "bed.key").chmod(0o600)
    file.write_text(FILE.replace(f'"{OLD}"', '{ file = "bed.key" }'), encoding="utf-8")
    assert [result for result, _ in results(file, FoundKey(BED, None, Secret(OLD)))] == ["unchanged"]
    for result in ("renewed", "unchanged"):
        assert [each for each, _ in results(file, FoundKey(BED, None, Secret(NEW)))] == [result]
    assert f'bindkey = ["{NEW}", {{ file = "bed.key" }}]  # from 2024' in file.read_text(encoding="utf-8")
    assert load(file).devices[0].bindkey == (Secret(NEW), Secret(OLD))


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("F" * 32, "all F: the cloud's way to say that there is no key; leave it out"),
        (NEW[1:], "31 hex digits, expected 24 or 32"),
        ("secret-canary", "13 characters, not all of them hex digits, expected 24 or 32 hex digits"),
        (None, "no key beside it"),
    ],
)
def test_an_invalid_key_is_refused_with_its_reason(file, key, why):
    """The file is not changed."""
    assert results(file, FoundKey(DOOR, None, Secret(key) if key else None)) == [("refused", why)]
    assert file.read_text(encoding="utf-8") == FILE


@pytest.mark.parametrize("written", ["ffffffff", "FFFFFFFF"])
def test_a_padded_key_is_taken_and_said(file, written):
    """It is the key of some dimmers, and works when it is written by hand."""
    ((result, why),) = results(file, FoundKey(DOOR, None, Secret(OTHER + written)))
    assert (result, "ends in FFFFFFFF" in why) == ("added", True)
    assert load(file).devices[2].bindkey == (Secret(OTHER + "ffffffff"),)


def test_a_key_without_a_mac_is_refused(file):
    """With its name; the file is not changed."""
    (change,) = import_keys([FoundKey(None, "Attic", Secret(NEW))], file)
    assert (change.mac, change.result, change.name) == (None, "refused", "Attic")
    assert file.read_text(encoding="utf-8") == FILE


def test_a_readable_file_becomes_private(file):
    """It holds a key now, and would be refused otherwise."""
    file.chmod(0o644)
    results(file, FoundKey(DOOR, None, Secret(NEW)))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load(file).devices[2].bindkey == (Secret(NEW),)


def test_a_link_is_followed(file, tmp_path):
    """The file that it leads to is changed; nothing else is left in the directory."""
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    results(link, FoundKey(DOOR, None, Secret(NEW)))
    assert link.is_symlink()
    assert NEW in file.read_text(encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"link.toml", "devices.toml"}


def test_a_name_cannot_add_keys_to_the_file(file):
    """Quotes, line breaks and escape sequences in an extractor's name; a name that is in use is left out."""
    results(
        file,
        FoundKey(DOOR, 'x"\n[web]\nlisten = "0.0.0.0:1"\x1b', Secret(NEW)),
        FoundKey(0xA4C138000009, "Bedroom", Secret(NEW)),
    )
    config = load(file)
    assert [device.name for device in config.devices[2:]] == ['x"?[web]?listen = "0.0.0.0:1"?', None]
    assert config.web.listen is None


def test_the_first_device_is_added(tmp_path):
    """To an empty file, too, and to one whose last line has no end."""
    for text in ("", "[service]", "# nothing\n"):
        path = tmp_path / "devices.toml"
        path.write_text(text, encoding="utf-8")
        results(path, FoundKey(BED, "Bed", Secret(NEW)), FoundKey(DOOR, None, Secret(OTHER)))
        assert path.read_text(encoding="utf-8").startswith(text)
        assert [mac_text(device.mac) for device in load(path).devices] == ["A4:C1:38:02:83:F4", "E4:AA:EC:00:00:01"]


@pytest.mark.parametrize("text", ["[service", "device = 5", "device = [{mac = 'A4:C1:38:02:83:F4'}]"])
def test_a_file_that_cannot_be_edited_is_refused(tmp_path, text):
    """It is not changed."""
    path = tmp_path / "devices.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError):
        import_keys([FoundKey(BED, None, Secret(NEW))], path)
    assert path.read_text(encoding="utf-8") == text


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["A4:C1:38:02:83:F4", NEW, "xiaomi_ble"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["mac", "key", "data", "domain", "A4C1380283F5"]) | st.text(max_size=5), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(anything)
def test_after_any_import_the_file_loads(document):
    """Whatever the JSON holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "devices.toml"
        path.write_text(FILE, encoding="utf-8")
        path.chmod(0o600)
        changes = import_keys(extracted(document), path)
        added = {change.mac for change in changes if change.result in {"added", "renewed"}}
        assert added <= {device.mac for device in load(path).devices if device.bindkey}
