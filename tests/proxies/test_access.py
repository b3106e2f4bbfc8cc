import pytest

from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.model.status import ProxyState
from proxy_listener.proxies.access import Access, access
from proxy_listener.proxies.remembered import Remembered

SHARED, OWN, PASSWORD = Secret("shared"), Secret("own"), Secret("password")
MAC = 0xA0B1C2D3E4F5


def ask(entry=None, accept="keyed", psk=None, *, mac=None, encrypts=None, remembered=None):
    return access(entry, DiscoverySettings(accept, psk), remembered or Remembered(None), mac=mac, encrypts=encrypts)


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
    """DESIGN section 3, line by line: who without an entry is spoken to, and how."""
    way = ask(accept=accept, psk=psk, encrypts=encrypts)
    if expected is None:
        assert way.state is ProxyState.NOT_ACCEPTED
    else:
        assert way == Access(None if expected == "plain" else expected)


@pytest.mark.parametrize("accept", ["listed", "keyed", "all"])
def test_own_key_goes_first(accept):
    assert ask(ProxySettings("kitchen", noise_psk=OWN), accept, SHARED, encrypts=False) == Access(OWN)


def test_own_key_is_never_downgraded():
    """What the node says of itself does not take an entry's key away."""
    for encrypts in (True, False, None):
        assert ask(ProxySettings("kitchen", noise_psk=OWN), "all", encrypts=encrypts) == Access(OWN)


def test_entry_without_a_key_uses_the_shared_one():
    assert ask(ProxySettings("kitchen"), "listed", SHARED) == Access(SHARED)


def test_entry_with_a_password_is_old_firmware():
    assert ask(ProxySettings("kitchen", password=PASSWORD), "keyed", SHARED) == Access(None, PASSWORD)


def test_entry_without_any_key_is_spoken_to_in_plaintext():
    assert ask(ProxySettings("kitchen"), "listed") == Access(None)


@pytest.mark.parametrize("entry", [None, ProxySettings("kitchen"), ProxySettings("kitchen", password=PASSWORD)])
def test_once_encrypted_never_plain(entry):
    """A node that once proved a key gets a key or nothing."""
    remembered = Remembered(None)
    remembered.note_encrypted(MAC)
    assert ask(entry, "all", mac=MAC, encrypts=False, remembered=remembered).state is ProxyState.NEEDS_KEY
    assert ask(entry, "all", SHARED, mac=MAC, encrypts=False, remembered=remembered).noise_psk == SHARED
