"""The fleet with real mDNS on loopback: who is connected to, under which name, and what a reload changes."""

import asyncio

import attrs
import pytest
from support.edge import DATA, FAST, KEY, MAC, OTHER_KEY, entry, house, make_node, running
from zeroconf import DNSPointer, RecordUpdate, current_time_millis
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.model.timing import NEVER
from proxy_listener.node import firmware
from proxy_listener.node.announce import service_info
from proxy_listener.proxies.discovery import SERVICE, Sighting

pytestmark = pytest.mark.mdns("alone")

KEYED = DiscoverySettings("keyed", KEY, ("127.0.0.1",))


async def test_keyed_uses_nodes_that_prove_the_key(mdns):
    """Of four nodes the one with our key is used. Another key, plaintext and no proxy are not, each with its state."""
    nodes = (
        make_node(1),
        make_node(2, psk=OTHER_KEY),
        make_node(3, firmware.ESPHOME_2026_6, psk=None),
        make_node(4, flags=0),
    )
    async with running(*nodes, zeroconf=mdns), house((), KEYED) as made:
        expected = {"node1": "live", "node2": "wrong_key", "node3": "not_accepted", "node4": "not_a_proxy"}
        await made.until(lambda: made.states() == expected)
        assert not nodes[2].sessions
        assert not nodes[3].sessions


async def test_listed_uses_entries_only(mdns):
    """An entry is found by its name, or by its MAC under a name of the user's."""
    nodes = (make_node(1), make_node(2), make_node(3))
    entries = [ProxySettings("node1", noise_psk=KEY), ProxySettings("attic", mac=MAC + 2, room="Attic", noise_psk=KEY)]
    async with (
        running(*nodes, zeroconf=mdns),
        house(entries, DiscoverySettings("listed", None, ("127.0.0.1",))) as made,
    ):
        await made.until(lambda: made.states() == {"node1": "live", "attic": "live", "node3": "not_accepted"})
        assert {status.name: status.room for status in made.fleet.status()}["attic"] == "Attic"


async def test_all_uses_plaintext_nodes_too(mdns):
    nodes = (make_node(1), make_node(2, firmware.ESPHOME_2026_6, psk=None))
    async with running(*nodes, zeroconf=mdns), house((), DiscoverySettings("all", KEY, ("127.0.0.1",))) as made:
        await made.until(lambda: made.states() == {"node1": "live", "node2": "live"})


async def test_an_entrys_key_is_tried_on_that_entry_only(mdns):
    node = make_node(2)
    listing = ProxySettings("node1", noise_psk=KEY)
    async with (
        running(node, zeroconf=mdns),
        house([listing], DiscoverySettings("keyed", None, ("127.0.0.1",))) as made,
    ):
        await made.state("node2", "not_accepted")
        assert not node.sessions


async def test_back_at_once_with_an_announcement(mdns):
    """Power loss and a return with the same records: the announcement brings it back, not the next attempt, which would
    be a minute later.
    """
    node = make_node(1)
    async with (
        running(node, zeroconf=mdns),
        house((), KEYED, timing=attrs.evolve(FAST, spacing=60.0)) as made,
    ):
        await made.state("node1", "live")
        proxy = made.fleet["node1"]
        proxy.retry._reached = NEVER  # as after a session of more than a minute
        await node.withdraw()
        await node.power_off()
        await made.until(lambda: "refused" in proxy.diagnosis.cause)
        # An attempt is brought forward once in ``spacing``: a late mDNS answer from before may have done that already.
        proxy.retry._hurried = NEVER
        await node.start(zeroconf=mdns)
        await made.hears(node, seconds=20.0)


async def test_goodbye_does_not_drop_a_session(mdns):
    node = make_node(1)
    async with running(node, zeroconf=mdns), house((), KEYED) as made:
        await made.state("node1", "live")
        await node.withdraw()
        await made.hears(node)
        assert [change for change in made.changes if change[0] == "node1"] == [("node1", "live")]


async def test_address_change_is_followed(mdns):
    """The node moves to another port and announces that: the half-open session is ended and the new port used."""
    node = make_node(1)
    async with running(node, zeroconf=mdns), house((), KEYED) as made:
        await made.state("node1", "live")
        await node.withdraw()
        await node.power_off()
        node.port = 0
        await node.start(zeroconf=mdns)
        await made.hears(node)


async def test_duplicate_names_get_a_suffix():
    """Two nodes of one name are two proxies, and an entry keeps its name."""
    node, twin = make_node(1, name="proxy"), make_node(2, name="proxy")
    one, two = AsyncZeroconf(interfaces=["127.0.0.1"]), AsyncZeroconf(interfaces=["127.0.0.1"])
    async with running(node, zeroconf=one), house([entry(node, mac=MAC + 1)], KEYED) as made:
        await made.state("proxy", "live")
        async with running(twin, zeroconf=two):
            await made.state(f"proxy-{(MAC + 2) & 0xFFFFFF:06x}", "live")
            assert made.states()["proxy"] == "live"
    await one.async_close()
    await two.async_close()


async def test_an_entry_and_its_announcement_are_one_proxy(mdns):
    """A static entry without a MAC, and mDNS with another name for the same node: one session."""
    node = make_node(1)
    async with running(node, zeroconf=mdns), house([entry(node, name="kitchen")], KEYED) as made:
        await made.state("kitchen", "live")
        await made.hears(node, "kitchen")
        assert made.states() == {"kitchen": "live"}
        assert len(node.sessions) == 1


async def test_flood_of_announcements_makes_no_attempts(mdns):
    """A thousand announcements a second of a node that refuses our key: the attempts stay a minute apart."""
    node = make_node(1, psk=OTHER_KEY)
    taken = []
    opened = node._opened
    node._opened = lambda session: taken.append(session) or opened(session)
    async with running(node, zeroconf=mdns), house((), KEYED, timing=attrs.evolve(FAST, auth=60.0)) as made:
        await made.state("node1", "wrong_key")
        proxy = made.fleet["node1"]
        sighting = proxy.targets.current_sighting
        for number in range(1000):
            made.fleet._seen(attrs.evolve(sighting, version=f"2026.{number}"))
            if number % 100 == 0:
                await asyncio.sleep(0)
        assert len(taken) == 1


async def test_unlisted_nodes_are_few():
    """Of three hundred nodes that announce themselves, 64 are connected to, and 256 others are shown."""
    async with house((), KEYED) as made:
        await made.until(lambda: made.fleet._mdns.discovery is not None)
        for number in range(300):
            made.fleet._seen(Sighting(f"rogue{number}", ("127.0.0.1",), 6053, mac=number, encrypts=True))
        assert len(list(made.fleet)) == 64
        assert len(made.fleet.status()) <= 64 + 256


async def test_mdns_leads_to_this_network_only():
    """An address on the Internet, or a port below 1024, is not connected to."""
    async with house((), KEYED) as made:
        made.fleet._seen(Sighting("far", ("8.8.8.8",), 6053, encrypts=True))
        made.fleet._seen(Sighting("ssh", ("192.168.1.1",), 22, encrypts=True))
        assert made.states() == {"far": "not_accepted", "ssh": "not_accepted"}
        assert not {"far", "ssh"} & {proxy.name for proxy in made.fleet}


async def test_reload_touches_only_what_changed():
    """One entry unchanged, a new room for another, one removed, one added: sessions that need not end go on."""
    nodes = [make_node(number) for number in range(1, 5)]
    async with running(*nodes):
        entries = [entry(node) for node in nodes]
        async with house(entries[:3]) as made:
            await made.until(lambda: set(made.states().values()) == {"live"})
            sessions = [set(node.sessions) for node in nodes]
            renamed = attrs.evolve(entries[1], room="Cellar")
            made.fleet.reload(made.fleet.discovery, [entries[0], renamed, entries[3]])
            await made.until(lambda: made.states() == {"node1": "live", "node2": "live", "node4": "live"})
            await made.until(lambda: not nodes[2].sessions)
            assert nodes[0].sessions == sessions[0]
            assert nodes[1].sessions == sessions[1]
            assert made.fleet["node2"].room == "Cellar"


async def test_reload_with_the_right_key_connects_soon():
    node = make_node(1)
    slow = attrs.evolve(FAST, auth=60.0)
    async with running(node), house([entry(node, noise_psk=OTHER_KEY)], timing=slow) as made:
        await made.state("node1", "wrong_key")
        made.fleet.reload(made.fleet.discovery, [entry(node)])
        await made.state("node1", "live")


def update(name):
    pointer = DNSPointer(SERVICE, 12, 1, 4500, f"{name}.{SERVICE}", current_time_millis())
    return RecordUpdate(pointer, None)


async def test_hostile_name_is_printable(mdns):
    """A direction override in a node's name reaches no status, and a control character no node at all."""
    node = make_node(1, name="\u202egnp")
    async with running(node, zeroconf=mdns), house((), KEYED) as made:
        await made.state("?gnp", "live")
        made.fleet._mdns.discovery.async_update_records(None, 0.0, [update("\x1b[31mevil")])
        await made.until(lambda: not made.fleet._mdns.discovery._dirty)
        assert set(made.states()) == {"?gnp"}


async def test_entries_with_a_host_need_no_mdns():
    """With an interface that does not exist, entries with a host are connected all the same."""
    node = make_node(1)
    async with running(node), house([entry(node)], DiscoverySettings("keyed", KEY, ("203.0.113.7",))) as made:
        await made.hears(node)
        assert made.heard[-1][4] == DATA


async def test_unannounced_move_is_found(mdns):
    """The node has another port and does not announce it: mDNS is asked, because the old one does not answer."""
    node = make_node(1)
    async with running(node, zeroconf=mdns), house((), KEYED) as made:
        await made.state("node1", "live")
        await node.power_off()
        node.port = 0
        await node.start()
        moved = service_info(node.settings, node.firmware, ["127.0.0.1"], node.port)
        mdns.zeroconf.registry.async_update(moved)
        await made.hears(node)
        mdns.zeroconf.registry.async_remove(moved)


async def test_reload_of_interfaces_keeps_sessions():
    node = make_node(1)
    async with running(node), house([entry(node)]) as made:
        await made.state("node1", "live")
        sessions = set(node.sessions)
        made.fleet.reload(attrs.evolve(made.fleet.discovery, interfaces=("127.0.0.2",)), [entry(node)])
        await made.until(lambda: made.fleet.zeroconf is not None)
        await made.hears(node)
        assert node.sessions == sessions


async def test_an_error_in_our_code_costs_one_session():
    """Judging one proxy's stream fails: that session ends and is made again; the other proxy's goes on."""
    nodes = (make_node(1), make_node(2))
    async with running(*nodes), house([entry(node) for node in nodes]) as made:
        await made.until(lambda: set(made.states().values()) == {"live"} and len(made.states()) == 2)
        beside = set(nodes[1].sessions)
        made.fleet["node1"].stream.tick = None
        await made.until(lambda: made.states()["node1"] == "unreachable")
        del made.fleet["node1"].stream.tick
        await made.hears(nodes[0])
        assert nodes[1].sessions == beside


async def test_a_fleet_can_be_started_again():
    """The supervisor restarts it after a failure."""
    node = make_node(1)
    async with running(node):
        async with house([entry(node)]) as made:
            await made.state("node1", "live")
        task = asyncio.create_task(made.fleet.run())
        await made.state("node1", "live")
        await made.hears(node)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not node.sessions
