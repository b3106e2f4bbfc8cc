"""One session with a real node over loopback TCP, without a proxy around it."""

import asyncio
from contextlib import asynccontextmanager

import attrs
import pytest
from structlog.testing import capture_logs
from support.edge import DATA, FAST, KEY, MAC, NODE_TIMING, entry, house, make_node, running
from support.faulty_node import FaultyNode

from proxy_listener.model.advertisement import mac_text
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.status import ProxyState
from proxy_listener.node import firmware
from proxy_listener.node.settings import NodeSettings
from proxy_listener.proxies.admission import Credentials
from proxy_listener.proxies.client import ConnectLimits, make_client
from proxy_listener.proxies.receive import Receiver
from proxy_listener.proxies.retry import Target
from proxy_listener.proxies.session import ProxySession, _release
from proxy_listener.proxies.stream import ProxyStream


@asynccontextmanager
async def session_with(node, timing=FAST):
    """A subscribed session; what it hears is in ``heard``."""
    heard = asyncio.Queue()

    def hear(*call):
        heard.put_nowait(call)
        return Outcome.NOT_OURS

    receiver = Receiver("node1", hear, timing, asyncio.get_running_loop().time)
    async with running(node):
        client = make_client(Target(("127.0.0.1",), node.port), Credentials(KEY), None, timing, None)
        session = ProxySession(client, receiver, ProxyStream(timing), timing, lambda: None, ())
        try:
            info = await session.open(ConnectLimits(), slow=False, reached=lambda _now: None)
            session.subscribe(info, insist=False)
            await client.device_info()
            yield session, heard
        finally:
            await session.close()


async def test_advertisements_arrive_until_it_is_closed():
    """Closing leaves no session on the node."""
    node = make_node(1)
    async with session_with(node) as (session, heard):
        node.hear(1, 0, -60, DATA)
        assert (await asyncio.wait_for(heard.get(), 5.0))[:5] == ("node1", 1, 0, -60, DATA)
        await session.close()
        assert not node.sessions


async def test_slots_and_scanner_are_known():
    node = make_node(1)
    async with session_with(node) as (session, _heard):
        assert (session.slots.free, session.slots.limit) == (3, 3)
        assert session.scanner_text == "running, active"
        assert not session.busy
        session.connecting = True
        assert session.busy


async def test_a_goodbye_ends_it():
    """The cause says that the node restarts."""
    node = make_node(1)
    async with session_with(node) as (session, _heard):
        await node.stop()
        end = await asyncio.wait_for(session.ended, 5.0)
    assert end.goodbye
    assert end.diagnosis.state is ProxyState.UNREACHABLE
    assert "restarts" in end.diagnosis.cause


async def test_an_announcement_of_a_node_that_has_lost_the_session_ends_it():
    """The node is asked; it does not answer in ``probe`` seconds, although the connection is not closed."""
    node, lost = make_node(1), []
    async with session_with(node, attrs.evolve(FAST, keepalive=60.0)) as (session, _heard):
        node.freeze()
        session.announced(moved=True, lost=lambda: lost.append(True))
        end = await asyncio.wait_for(session.ended, 5.0)
        assert end.diagnosis.state is ProxyState.UNREACHABLE
        assert lost == [True]
        node.thaw()


async def test_an_announcement_of_a_node_that_answers_changes_nothing():
    node, lost = make_node(1), []
    async with session_with(node, attrs.evolve(FAST, probe=5.0)) as (session, heard):
        session.announced(moved=True, lost=lambda: lost.append(True))
        node.hear(1, 0, -60, DATA)
        await asyncio.wait_for(heard.get(), 5.0)
        await session.client.device_info()
        assert (lost, session.ended.done()) == ([], False)


@pytest.mark.parametrize(("generation", "wins"), [(firmware.ESPHOME_2026_6, False), (firmware.ESPHOME_2026_10, True)])
async def test_newest_wins_from_2026_7(generation, wins):
    async with session_with(make_node(1, generation)) as (session, _heard):
        assert session.newest_wins is wins


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("2026.7.0-dev", (2026, 7)),
        ("2026.10.1", (2026, 10)),
        ("2026.7", (2026, 7)),
        ("", (0, 0)),
        ("2026", (0, 0)),
        ("2026.x.0", (0, 0)),
        ("2026.123.0", (0, 0)),
        ("99999.7.0", (0, 0)),
        ("٢٠٢٦.7.0", (0, 0)),
    ],
)
def test_release(version, release):
    """A node chooses its version's text: what is not of the usual form is older than every release."""
    assert _release(version) == release


class Everywhere:
    """An air in which every device can be reached, and the link to it."""

    mtu = 23

    async def open(self, *_arguments):
        return self

    def close(self):
        """Nothing to end."""


@pytest.mark.mdns("alone")
@pytest.mark.parametrize("generation", [firmware.ESPHOME_2025_6, firmware.ESPHOME_2026_10])
async def test_links_of_others_are_closed_where_they_hold_every_slot(generation):
    """A client took all slots and left: a while later they are free, and one warning named them. Ours stays."""
    ours, first = 0xC47C8D000000, 0xC47C8D000001
    node = FaultyNode(NodeSettings("node1", MAC + 1, noise_psk=KEY), generation, Everywhere(), NODE_TIMING)
    async with running(node), house([entry(node)]) as made:
        await made.state("node1", "live")
        made.fleet["node1"].links.add(ours)
        with capture_logs() as logged:
            for address in range(ours, ours + node.links.limit):
                node.links.connect(address, 0, cached=True)
            assert node.links.free == 0
            await made.until(lambda: node.links.allocated == [ours])
        (warning,) = [line for line in logged if "nobody here asked for" in line["event"]]
        assert warning["devices"][0] == mac_text(first)
        assert len(warning["devices"]) == node.links.limit - 1


@pytest.mark.mdns("alone")
async def test_links_of_the_client_that_holds_the_stream_are_left_alone():
    """Another client has the stream and every slot; ours is held, and what it knows of the slots is old."""
    node = FaultyNode(NodeSettings("node1", MAC + 1, noise_psk=KEY), firmware.ESPHOME_2026_6, Everywhere(), NODE_TIMING)
    async with running(node):
        assert node.take_stream()
        for address in range(0xC47C8D000001, 0xC47C8D000001 + node.links.limit):
            node.links.connect(address, 0, cached=True)
        before = node.links.allocated
        async with house([entry(node)]) as made:
            await made.state("node1", "held")
            passed = asyncio.Event()
            asyncio.get_running_loop().call_later(3 * FAST.stray, passed.set)
            await passed.wait()
            assert node.links.allocated == before


@pytest.mark.mdns("alone")
async def test_links_of_others_are_left_alone_while_a_slot_is_free():
    """They may be somebody's who uses them."""
    node = FaultyNode(NodeSettings("node1", MAC + 1, noise_psk=KEY), firmware.ESPHOME_2025_6, Everywhere(), NODE_TIMING)
    async with running(node), house([entry(node)]) as made:
        await made.state("node1", "live")
        node.links.connect(0xC47C8D000001, 0, cached=True)
        for _ in range(3):
            await made.hears(node)
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(2 * FAST.stray, passed.set)
        await passed.wait()
        assert node.links.allocated == [0xC47C8D000001]
