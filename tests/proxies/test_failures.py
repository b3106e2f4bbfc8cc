"""The failures of docs/protocol/esphome-proxy.md#failures that no other test of this room covers.

Each has its state and its cause, and ends when its reason does.
"""

import asyncio

import attrs
import pytest
from aioesphomeapi import api_pb2 as api
from support.edge import FAST, KEY, MAC, OTHER_KEY, entry, house, make_node, running

from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.node import firmware

pytestmark = pytest.mark.mdns("shared")

LISTED = DiscoverySettings("listed", None, ("127.0.0.1",))
KEYED = DiscoverySettings("keyed", KEY, ("127.0.0.1",))


async def test_clean_restart():
    """OTA or reboot: the node disconnects cleanly, and is used again as soon as it listens."""
    node = make_node(1)
    async with running(node), house([entry(node)]) as made:
        await made.state("node1", "live")
        await node.stop()
        await made.state("node1", "unreachable")
        assert made.changes == [("node1", "live"), ("node1", "unreachable")]
        await node.start()
        await made.hears(node)


async def test_goodbye_of_a_node_that_sleeps():
    """With deep sleep it is no useful proxy, and the advice says what to change."""
    node = make_node(1)
    node.settings = attrs.evolve(node.settings, deep_sleep=True)
    async with running(node), house([entry(node)], timing=attrs.evolve(FAST, spacing=5.0)) as made:
        await made.state("node1", "live")
        await node.stop()
        await made.state("node1", "unreachable")
        (status,) = made.fleet.status()
        assert "sleep" in status.cause
        assert "deep_sleep" in status.advice


async def test_changed_key_and_back():
    """Another key is flashed: the advice says what to do. With the old key again it is live without a restart."""
    node = make_node(1)
    async with running(node), house([entry(node)]) as made:
        await made.state("node1", "live")
        settings = node.settings
        node.settings = attrs.evolve(settings, noise_psk=OTHER_KEY)
        await node.power_off()
        await node.start()
        await made.state("node1", "wrong_key")
        assert "noise_psk" in made.fleet.status()[0].advice
        node.settings = settings
        await node.power_off()
        await node.start()
        await made.hears(node)
        await made.state("node1", "live")


async def test_encryption_turned_on():
    """There is no key for it: needs_key."""
    node = make_node(1, firmware.ESPHOME_2026_6, psk=None)
    async with running(node), house([entry(node)]) as made:
        await made.state("node1", "live")
        node.settings = attrs.evolve(node.settings, noise_psk=KEY)
        await node.power_off()
        await node.start()
        await made.state("node1", "needs_key")


@pytest.mark.mdns("alone")
async def test_node_that_never_got_its_key(mdns):
    """2026.10 without a key refuses ours as a wrong one; what mDNS says tells the two apart."""
    node = make_node(1, psk=None)
    async with running(node, zeroconf=mdns), house([ProxySettings("node1", noise_psk=KEY)], LISTED) as made:
        await made.state("node1", "not_encrypted")
        assert made.heard == []


@pytest.mark.parametrize("psk", [KEY, None], ids=["noise", "plain"])
async def test_another_major_version(psk):
    """A node of a later API: nothing is tried for long, and the advice is to update us."""
    node = make_node(1, attrs.evolve(firmware.ESPHOME_2026_10, api=(3, 0)), psk=psk)
    async with running(node), house([entry(node)]) as made:
        await made.state("node1", "incompatible")
        assert made.fleet.status()[0].advice == "update proxy_listener"


@pytest.mark.mdns("alone")
async def test_renamed_node_is_the_same(mdns):
    """A node is its MAC: under a new name it is still the entry's."""
    node = make_node(1, name="renamed")
    async with (
        running(node, zeroconf=mdns),
        house([ProxySettings("kitchen", mac=MAC + 1, noise_psk=KEY)], LISTED) as made,
    ):
        await made.state("kitchen", "live")
        assert made.states() == {"kitchen": "live"}


@pytest.mark.mdns("alone")
async def test_cloned_mac_gets_nothing(mdns):
    """Another node announces our node's MAC under another name, and has the key: there is one proxy with one session,
    that of the real node.
    """
    node, clone = make_node(1), make_node(1, name="clone")
    async with running(node, zeroconf=mdns), house([ProxySettings("node1", noise_psk=KEY)], KEYED) as made:
        await made.state("node1", "live")
        sessions = set(node.sessions)
        async with running(clone, zeroconf=mdns):
            await made.until(lambda: made.fleet["node1"].targets.knows("clone"))
            await made.hears(node)
            assert made.states()["node1"] == "live"
            assert "clone" not in made.states()
            assert node.sessions == sessions
            assert clone.stream.holder is None


async def test_absent_password_on_old_firmware():
    """The library's connect() succeeds there; the next call fails."""
    node = make_node(1, firmware.ESPHOME_2025_6, psk=None, password=Secret("right"))
    async with running(node), house([entry(node, password=None)]) as made:
        await made.state("node1", "wrong_password")


async def test_full_plaintext_node():
    """One client too many is disconnected at once: the state is full, and the node is tried again later."""
    node = make_node(1, attrs.evolve(firmware.ESPHOME_2026_6, clients=0), psk=None)
    async with running(node), house([entry(node)]) as made:
        await made.state("node1", "full")
        node.firmware = firmware.ESPHOME_2026_6
        await made.state("node1", "live")


async def test_node_that_asks_for_the_time():
    """It gets no answer, and the session goes on."""
    node = make_node(1)
    async with running(node), house([entry(node)]) as made:
        await made.state("node1", "live")
        taken = []
        requests = node._requests.serve
        (session,) = node.sessions
        session._context = attrs.evolve(session._context, serve=lambda *both: taken.append(both[1]) or requests(*both))
        session.send(api.GetTimeRequest())
        await made.hears(node)
        assert not any(isinstance(message, api.GetTimeResponse) for message in taken)
        assert node.sessions == {session}


async def test_wedged_scanner_recovers_with_a_new_scan():
    """The state says RUNNING and nothing is heard while another hears: toggling the mode starts the scan again."""
    node, beside = make_node(1, firmware.ESPHOME_2026_6), make_node(2)
    slower = attrs.evolve(FAST, recovery_step=0.5)
    async with running(node, beside), house([entry(node), entry(beside)], timing=slower) as made:
        await made.hears(node)
        node.scanner.wedged = "scan"

        def mended():
            for one in (node, beside):
                one.hear(1, 0, -60, b"")
            return node.scanner.wedged is None

        await made.until(mended)
        await made.hears(node)
        await made.state("node1", "live")
        assert [state for name, state in made.changes if name == "node1"] == ["live", "silent", "live"]


async def test_eight_proxies_come_back_together():
    """After a power cut: all live again, and never more than four handshakes at once."""
    nodes = [make_node(number) for number in range(1, 9)]
    async with running(*nodes), house([entry(node) for node in nodes]) as made:
        await made.until(lambda: list(made.states().values()) == ["live"] * 8)
        free = []
        lanes = made.fleet._context.limits._handshakes
        for node in nodes:
            await node.power_off()
        await made.until(lambda: "live" not in made.states().values())
        await asyncio.gather(*(node.start() for node in nodes))
        await made.until(lambda: free.append(lanes._value) or list(made.states().values()) == ["live"] * 8)
        assert min(free) >= 0
        assert all(len(node.sessions) == 1 for node in nodes)


@pytest.mark.mdns("alone")
async def test_change_of_address_is_reached_by_its_announcement(mdns):
    """Its old address stops answering and the session does not end: the announcement is enough, long before the pings
    fail (39 s).
    """
    node = make_node(1)
    async with running(node, zeroconf=mdns), house((), KEYED, timing=attrs.evolve(FAST, keepalive=6.0)) as made:
        await made.state("node1", "live")
        node.freeze()
        left = list(node.sessions)
        node._close_server()
        node.sessions.clear()
        await node.withdraw()
        node.port = 0
        await node.start(zeroconf=mdns)
        await made.hears(node)
        for session in left:
            session.abort()
        await asyncio.sleep(0)


async def test_a_proxys_task_that_dies_is_restarted_and_stops_no_other():
    """An error in our code outside of a session: the entry's task is started again; the other proxy goes on."""
    nodes = (make_node(1), make_node(2))
    patient = attrs.evolve(FAST, silence=60.0, silence_alone=60.0)
    async with running(*nodes), house([entry(node) for node in nodes], timing=patient) as made:
        await made.until(lambda: sorted(made.states().values()) == ["live"] * 2)
        beside = set(nodes[1].sessions)

        async def broken():
            raise ZeroDivisionError

        made.fleet["node1"]._wait = broken
        await nodes[0].power_off()
        await made.until(lambda: "node1" not in made.states())
        await nodes[0].start()
        await made.hears(nodes[0])
        assert nodes[1].sessions == beside
        assert [change for change in made.changes if change[0] == "node2"] == [("node2", "live")]
