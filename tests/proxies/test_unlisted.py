import pytest

from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DiscoverySettings
from proxy_listener.model.status import ProxyState
from proxy_listener.proxies.admission import KnownNodes
from proxy_listener.proxies.discovery import Sighting
from proxy_listener.proxies.unlisted import SHOWN, UNLISTED, UnlistedNodes, local_only, refused_status, unique_name

KEYED = DiscoverySettings("keyed", Secret("x"))


def sighting(name="node", *addresses, port=6053, **more):
    return Sighting(name, addresses or ("192.168.1.7",), port, encrypts=True, **more)


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("192.168.1.7", True),
        ("10.1.2.3", True),
        ("169.254.7.7", True),
        ("127.0.0.1", True),
        ("fe80::1%2", True),
        ("fd00::1", True),
        ("8.8.8.8", False),
        ("2001:4860:4860::8888", False),
        ("0.0.0.0", False),
        ("224.0.0.251", False),
    ],
)
def test_addresses_of_this_network_only(address, kept):
    assert bool(local_only(sighting("node", address)).addresses) is kept


def test_privileged_ports_are_refused():
    unlisted = UnlistedNodes(KnownNodes(None))
    assert unlisted.judge(sighting(port=22), KEYED, 0.0).state is ProxyState.NOT_ACCEPTED
    assert unlisted.judge(sighting(port=6053), KEYED, 0.0) is None


def test_a_node_that_is_no_proxy_is_asked_once():
    """A node that is no proxy is not asked again until its firmware changes."""
    known = KnownNodes(None)
    known.set_proxy(7, "2026.10.0/1a2b", proxy=False)
    unlisted = UnlistedNodes(known)
    plug = {"mac": 7, "version": "2026.10.0"}
    assert unlisted.judge(sighting(config_hash="1a2b", **plug), KEYED, 0.0).state is ProxyState.NOT_A_PROXY
    assert unlisted.judge(sighting(config_hash="3c4d", **plug), KEYED, 0.0) is None


def test_new_names_are_rate_limited():
    """Names that change with every announcement make one attempt in ten seconds, after the first 64."""
    unlisted = UnlistedNodes(KnownNodes(None))
    admitted = [unlisted.judge(sighting(f"rogue{n}"), KEYED, n / 100) is None for n in range(6000)]
    assert sum(admitted) == UNLISTED + 5


def test_what_is_shown_is_bounded():
    unlisted = UnlistedNodes(KnownNodes(None))
    diagnosis = unlisted.judge(sighting(port=22), KEYED, 0.0)
    for number in range(2 * SHOWN):
        unlisted.refuse(refused_status(sighting(f"rogue{number}"), diagnosis), 0.0)
    assert len(list(unlisted)) == SHOWN


@pytest.mark.parametrize(
    ("mac", "taken", "name"),
    [
        (0xA0B1C2D3E4F5, set(), "node"),
        (0xA0B1C2D3E4F5, {"node"}, "node-d3e4f5"),
        (0xA0B1C2D3E4F5, {"node", "node-d3e4f5"}, "node-d3e4f5-3"),
        (None, {"node"}, "node-2"),
        (None, {"node", "node-2"}, "node-2-3"),
    ],
)
def test_names_are_unique(mac, taken, name):
    assert unique_name(sighting("node", mac=mac), taken) == name


def test_a_refused_node_is_shown_until_there_is_room():
    unlisted = UnlistedNodes(KnownNodes(None))
    assert not unlisted.admit(sighting(), KEYED, 0.0, lambda: False)
    assert [(status.name, status.state) for status in unlisted] == [("node", ProxyState.NOT_ACCEPTED)]
    assert unlisted.admit(sighting(), KEYED, 1.0, lambda: True)
    assert list(unlisted) == []
