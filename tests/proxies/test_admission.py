import json
import os

import pytest
from structlog.testing import capture_logs

from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.model.status import ProxyState
from proxy_listener.proxies.admission import FILE, LIMIT, Credentials, KnownNodes, admit

SHARED, OWN, PASSWORD = Secret("shared"), Secret("own"), Secret("password")
MAC = 0xA0B1C2D3E4F5


def ask(entry=None, accept="keyed", psk=None, *, mac=None, encrypts=None, known=None):
    return admit(entry, DiscoverySettings(accept, psk), known or KnownNodes(None), mac=mac, encrypts=encrypts)


@pytest.mark.parametrize(
    ("accept", "psk", "encrypts", "expected"),
    [
        ("listed", SHARED, True, None),
        ("keyed", None, True, None),
        ("keyed", None, False, None),
        ("keyed", SHARED, True, SHARED),
        ("keyed", SHARED, None, SHARED),
        ("keyed", SHARED, False, None),
        ("all", None, False, "plain"),
        ("all", None, True, "plain"),
        ("all", SHARED, False, "plain"),
        ("all", SHARED, True, SHARED),
        ("all", SHARED, None, SHARED),
    ],
)
def test_unlisted_nodes(accept, psk, encrypts, expected):
    """``[discovery] accept``, line by line: which nodes without an entry are connected to, and how."""
    way = ask(accept=accept, psk=psk, encrypts=encrypts)
    if expected is None:
        assert way.state is ProxyState.NOT_ACCEPTED
    else:
        assert way == Credentials(None if expected == "plain" else expected)


@pytest.mark.parametrize("accept", ["listed", "keyed", "all"])
def test_own_key_goes_first(accept):
    assert ask(ProxySettings("kitchen", noise_psk=OWN), accept, SHARED, encrypts=False) == Credentials(OWN)


def test_own_key_is_never_downgraded():
    """What the node says of itself does not take an entry's key away."""
    for encrypts in (True, False, None):
        assert ask(ProxySettings("kitchen", noise_psk=OWN), "all", encrypts=encrypts) == Credentials(OWN)


def test_entry_without_a_key_uses_the_shared_one():
    assert ask(ProxySettings("kitchen"), "listed", SHARED) == Credentials(SHARED)


def test_entry_with_a_password_is_old_firmware():
    assert ask(ProxySettings("kitchen", password=PASSWORD), "keyed", SHARED) == Credentials(None, PASSWORD)


def test_entry_without_any_key_is_spoken_to_in_plaintext():
    assert ask(ProxySettings("kitchen"), "listed") == Credentials(None)


@pytest.mark.parametrize("entry", [None, ProxySettings("kitchen"), ProxySettings("kitchen", password=PASSWORD)])
def test_once_encrypted_never_plain(entry):
    """A node that once proved a key gets a key or nothing."""
    known = KnownNodes(None)
    known.add_encrypted(MAC)
    assert ask(entry, "all", mac=MAC, encrypts=False, known=known).state is ProxyState.NEEDS_KEY
    assert ask(entry, "all", SHARED, mac=MAC, encrypts=False, known=known).noise_psk == SHARED


MAC, OTHER = 0xA0B1C2D3E4F5, 0x112233445566


def test_everything_survives_a_restart(tmp_path):
    known = KnownNodes(tmp_path)
    known.bind("kitchen", MAC)
    known.add_encrypted(MAC)
    known.set_proxy(OTHER, "2026.10.0/1a2b", proxy=False)
    assert known.changed
    known.write(known.snapshot())
    assert not known.changed
    again = KnownNodes(tmp_path)
    assert again.bound("kitchen") == MAC
    assert again.encrypted(MAC)
    assert not again.encrypted(OTHER)
    assert again.not_proxy(OTHER, "2026.10.0/1a2b")
    assert not again.not_proxy(OTHER, "2026.11.0/1a2b")
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_first_binding_stays():
    """A name is bound to the first MAC that proves the key; a later one does not replace it."""
    known = KnownNodes(None)
    known.bind("kitchen", MAC)
    known.bind("kitchen", OTHER)
    assert known.bound("kitchen") == MAC


def test_damaged_file_costs_only_what_it_held(tmp_path):
    for text in ("", "{", "[]", '{"bound": 1}', json.dumps({"bound": {"a": "zz"}, "encrypted": [], "not_proxies": {}})):
        (tmp_path / FILE).write_text(text)
        assert KnownNodes(tmp_path).bound("a") is None


def test_a_deeply_nested_file_does_not_prevent_the_start(tmp_path):
    """As any other damage: ignored, with a warning."""
    (tmp_path / "proxies.json").write_text("[" * 200_000)
    with capture_logs() as logged:
        assert KnownNodes(tmp_path).bound("kitchen") is None
    assert [entry["error"] for entry in logged] == ["RecursionError"]


def test_a_named_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / FILE)
    known = KnownNodes(tmp_path)
    known.bind("kitchen", MAC)
    known.write(known.snapshot())
    assert KnownNodes(tmp_path).bound("kitchen") == MAC


def test_it_is_bounded():
    known = KnownNodes(None)
    for mac in range(LIMIT + 10):
        known.set_proxy(mac, "2026.10.0/", proxy=False)
    assert len(json.loads(known.snapshot())["not_proxies"]) == LIMIT
    assert known.not_proxy(LIMIT + 9, "2026.10.0/")


def test_it_is_not_written_through_a_link(tmp_path):
    """A link in the directory does not get another file of ours overwritten."""
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / f"{FILE}.new").symlink_to(other)
    known = KnownNodes(tmp_path)
    known.bind("kitchen", MAC)
    known.write(known.snapshot())
    assert other.read_text() == "precious"
    assert KnownNodes(tmp_path).bound("kitchen") == MAC
