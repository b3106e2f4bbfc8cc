"""The ``discover`` verb: which nodes there are, which are proxies, which are used and why."""

import attrs
import pytest
from support.edge import FAST, KEY, MAC, NO_MDNS, OTHER_KEY, entry, make_node, ours, running

from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.proxies.survey import survey

pytestmark = pytest.mark.mdns("alone")

KEYED = DiscoverySettings("keyed", KEY, ("127.0.0.1",))


async def surveyed(entries, discovery=NO_MDNS, seconds=0.0):
    found = await survey(discovery, entries, state=None, seconds=seconds, timing=FAST)
    return [node for node in found if ours(node.mac)]


async def test_nodes_and_entries(mdns):
    """Nodes that mDNS shows come first, then entries that it does not show. No stream is subscribed."""
    nodes = (make_node(1), make_node(2, flags=0), make_node(3, psk=OTHER_KEY))
    async with running(*nodes, zeroconf=mdns):
        found = await surveyed([ProxySettings("absent")], KEYED, 0.5)
        assert [(node.name, node.proxy, node.used) for node in found] == [
            ("node1", True, True),
            ("node2", False, False),
            ("node3", None, False),
            ("absent", None, False),
        ]
        assert nodes[0].stream.holder is None
        assert [node.mac for node in found[:2]] == [MAC + 1, MAC + 2]


async def test_an_entry_is_found_under_the_name_that_mdns_shows(mdns):
    """An entry with a MAC and another name, and the node that announces itself, are one line with the entry's room."""
    node = make_node(1)
    listing = ProxySettings("kitchen", mac=MAC + 1, room="Kitchen", noise_psk=KEY)
    async with running(node, zeroconf=mdns):
        (found,) = await surveyed([listing], attrs.evolve(KEYED, accept="listed", noise_psk=None), 0.5)
    assert (found.name, found.room, found.used, found.why) == ("kitchen", "Kitchen", True, "has an entry, encrypted")


async def test_old_firmware_is_a_proxy_that_is_not_used():
    """Without raw advertisements, which firmware before 2023.6 lacks, the line says what to update to."""
    node = make_node(1, flags=31)
    async with running(node):
        (found,) = await surveyed([entry(node)])
    assert (found.proxy, found.used) == (True, False)
    assert "2023.6" in found.why


async def test_another_node_at_the_address():
    node = make_node(1)
    async with running(node):
        (found,) = await surveyed([entry(node, mac=MAC + 9)])
    assert (found.proxy, found.used) == (None, False)
    assert "another node" in found.why
