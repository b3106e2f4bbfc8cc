"""Nodes that pretend to be one of ours: with its name and its MAC, with and without its key."""

import asyncio
from contextlib import asynccontextmanager

import attrs
import pytest
from support.edge import FAST, KEY, MAC, OTHER_KEY, entry, house, make_node, running

from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.proxies.admission import KnownNodes
from proxy_listener.proxies.discovery import Sighting

pytestmark = pytest.mark.mdns("alone")

KEYED = DiscoverySettings("keyed", KEY, ("127.0.0.1",))
LISTING = ProxySettings("node1", mac=MAC + 1, noise_psk=KEY)


@asynccontextmanager
async def listing(**more):
    """A fleet with one entry that waits for mDNS."""
    async with house([LISTING], **more) as made:
        await made.state("node1", "unreachable")
        yield made


def seen(node, port=None):
    return Sighting(node.settings.name, ("127.0.0.1",), port or node.port, node.settings.mac, encrypts=True)


@asynccontextmanager
async def announcing(made, node, every=0.01):
    """A node that announces itself all the time. Yields the list of its announcements."""
    sent = []

    async def announce():
        while True:
            made.fleet._seen(seen(node))
            sent.append(node.port)
            await asyncio.sleep(every)

    task = asyncio.create_task(announce())
    try:
        yield sent
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_clone_ends_no_session_and_delays_no_reconnect():
    """It has the node's name and MAC at another port, another key, and is announced a hundred times a second.

    The session goes on, and the real node is reconnected after a restart.
    """
    true, clone = make_node(1), make_node(1, psk=OTHER_KEY)
    async with running(true, clone), listing() as made:
        made.fleet._seen(seen(true))
        await made.state("node1", "live")
        async with announcing(made, clone):
            for _ in range(5):
                await made.hears(true)
            assert [state for _, state in made.changes if state != "connecting"] == ["unreachable", "live"]
            await true.power_off()
            await made.until(lambda: made.states()["node1"] != "live")
            await true.start()
            await made.hears(true, seconds=15.0)


async def test_a_clone_that_was_announced_first_does_not_hide_the_real_node():
    true, clone = make_node(1), make_node(1, psk=OTHER_KEY)
    async with running(true, clone), listing() as made:
        for number in range(8):
            made.fleet._seen(attrs.evolve(seen(clone), name=f"clone{number}"))
        await made.state("node1", "wrong_key")
        made.fleet._seen(seen(true))
        await made.hears(true)


async def test_a_clone_costs_one_attempt_a_minute():
    """However often a node that refuses our key is announced."""
    clone = make_node(1, psk=OTHER_KEY)
    taken = []
    opened = clone._opened
    clone._opened = lambda session: taken.append(session) or opened(session)
    async with running(clone), listing(timing=attrs.evolve(FAST, auth=60.0)) as made:
        async with announcing(made, clone, every=0.001) as sent:
            await made.state("node1", "wrong_key")
            before = len(sent)
            await made.until(lambda: len(sent) >= before + 200, 20.0)
        assert len(taken) == 1


async def test_a_clone_with_the_key_is_another_proxy_only_under_another_mac():
    """A node with the shared key is a proxy, but not that of the entry: its MAC differs, and its name gets a suffix."""
    true, clone = make_node(1), make_node(2, name="node1")
    async with running(true, clone), house([entry(true, mac=MAC + 1)], KEYED) as made:
        await made.state("node1", "live")
        made.fleet._seen(seen(clone))
        await made.hears(clone, f"node1-{(MAC + 2) & 0xFFFFFF:06x}")
        await made.hears(true)


@pytest.mark.parametrize("known_by", ["binding", "mdns"])
async def test_a_listed_node_does_not_take_the_mac_of_another_entry(tmp_path, known_by):
    """Two entries without ``mac``; the second's node says first that it has the first's MAC. The first is heard all the
    same: by what it was bound to in an earlier run, or because mDNS shows the MAC under its name.
    """
    true, rogue = make_node(1), make_node(1, name="rogue")
    if known_by == "binding":
        known = KnownNodes(tmp_path)
        known.bind("node1", MAC + 1)
        known.write(known.snapshot())
    async with running(true, rogue):
        entries = [entry(rogue, name="rogue"), ProxySettings("node1", noise_psk=KEY)]
        async with house(entries, state=tmp_path) as made:
            if known_by == "mdns":
                await made.until(lambda: made.fleet._mdns.discovery is not None)
                made.fleet._mdns.discovery.sightings["node1"] = seen(true)
            await made.state("rogue", "not_accepted" if known_by == "binding" else "live")
            made.fleet._seen(seen(true))
            await made.state("node1", "live")
            await made.hears(true)
            await made.state("rogue", "not_accepted")
            assert made.cause("rogue") == "it is the node of another entry"


async def test_two_nodes_of_one_mac_are_one_proxy():
    """A clone with key and MAC cannot be told from the proxy: there is one session, not two."""
    true, clone = make_node(1), make_node(1)
    async with running(true, clone), house((), KEYED) as made:
        made.fleet._seen(seen(true))
        await made.state("node1", "live")
        made.fleet._seen(attrs.evolve(seen(clone), name="clone"))
        await made.hears(true)
        assert made.states() == {"node1": "live"}
        assert not clone.sessions


async def test_mdns_does_not_send_an_entrys_key_to_other_services():
    """A port below 1024 is never a node."""
    async with listing() as made:
        made.fleet._seen(Sighting("node1", ("127.0.0.1",), 22, MAC + 1, encrypts=True))
        assert not made.fleet["node1"].targets
