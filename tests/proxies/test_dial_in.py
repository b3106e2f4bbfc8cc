"""Nodes that call: which of them become sessions, what a session of theirs is like, and what a reload changes."""

import asyncio
import socket
from contextlib import suppress

import attrs
import pytest
from support.calling import DELAY, HOST, KEYED, LISTED, calling, listing, port_of, status_of
from support.edge import FAST, NO_MDNS, OTHER_KEY, entry, house, make_node, running
from support.waiting import until

from proxy_listener.node.settings import DialOut

pytestmark = pytest.mark.mdns("alone")


async def test_a_node_with_an_entry_is_adopted():
    """It is heard, and its status says that it called and where from."""
    async with house([listing(1)], LISTED) as made, calling(made, 1) as [node]:
        await made.hears(node)
        await made.state("node1", "live")
        status = status_of(made, "node1")
        assert (status.called_from, status.address, status.encrypted) == (HOST, None, True)
        assert (status.slots_free, status.slots_limit) == (3, 3)


async def test_off_by_default():
    async with house([listing(1)], NO_MDNS) as made:
        await made.state("node1", "unreachable")
        assert made.fleet.dial_in.places == []
        assert made.cause("node1") == "mDNS does not show it, and it has no host"


async def test_it_is_adopted_again_after_its_session_is_lost():
    async with house([listing(1)], LISTED) as made, calling(made, 1) as [node]:
        await made.hears(node)
        for session in list(node.sessions):
            session.abort()
        await made.until(lambda: ("node1", "unreachable") in made.changes)
        await made.hears(node)
        await made.state("node1", "live")


async def test_a_node_that_was_adopted_and_is_gone_says_what_to_look_at():
    async with house([listing(1)], LISTED) as made:
        async with calling(made, 1) as [node]:
            await made.hears(node)
        await made.state("node1", "unreachable")
        await made.until(lambda: made.cause("node1") == "it has no host, mDNS does not show it, and it does not call")
        status = status_of(made, "node1")
        assert status.called_from is None
        assert status.advice.endswith("outgoing_connection: host and port in its YAML")


async def test_keyed_adopts_every_node_that_proves_the_key():
    """A node with another key is not even listed: anybody could fill the list."""
    async with house((), KEYED) as made, calling(made, 1) as [node], calling(made, 2, psk=OTHER_KEY):
        await made.hears(node)
        await until(lambda: made.fleet.dial_in.refused >= 2)
        assert made.states() == {"node1": "live"}


async def test_listed_refuses_a_node_without_an_entry():
    discovery = attrs.evolve(KEYED, accept="listed")
    async with house([listing(1)], discovery) as made, calling(made, 1, 2) as [node, stranger]:
        await made.hears(node)
        await until(lambda: made.fleet.dial_in.refused)
        assert made.states() == {"node1": "live"}
        assert not any(session.authenticated for session in stranger.sessions)


async def test_an_entry_without_a_mac_is_not_given_to_a_caller():
    """Whoever has the shared key could call under its name first."""
    async with house([listing(1, mac=None)], KEYED) as made, calling(made, 1):
        await until(lambda: made.fleet.dial_in.refused)
        await made.until(lambda: made.states() == {"node1": "unreachable"})


async def test_an_entrys_own_key_is_tried_and_not_the_shared_one():
    """A node that has the shared key only cannot claim an entry's MAC."""
    async with house([listing(1, noise_psk=OTHER_KEY)], KEYED) as made:
        async with calling(made, 1):
            await made.until(lambda: "refused our key" in made.cause("node1"))
            assert made.cause("node1") == "127.0.0.1 called with its MAC, and was refused: the node refused our key"
        async with calling(made, 1, psk=OTHER_KEY) as [node]:
            await made.hears(node)


async def test_a_node_that_is_no_proxy_is_told_apart():
    async with house([listing(1)], KEYED) as made, calling(made, 1, 2, flags=0):
        await made.until(lambda: made.states() == {"node1": "not_a_proxy", "node2": "not_a_proxy"})


async def test_a_node_without_an_entry_that_is_no_proxy_is_asked_seldom():
    """It calls again and again; it was asked, and firmware does not change within minutes."""
    timing = attrs.evolve(FAST, settle=60.0)
    async with house((), KEYED, timing=timing) as made, calling(made, 1, flags=0):
        await made.state("node1", "not_a_proxy")
        await until(lambda: made.fleet.dial_in.refused >= 2)
        assert made.changes == [("node1", "not_a_proxy")]


async def test_a_call_takes_the_place_of_an_attempt_that_hangs():
    """The entry's host swallows what is sent to it; the node itself calls."""
    with socket.create_server((HOST, 0)) as silent:
        timing = attrs.evolve(FAST, attempt=60.0, handshake=60.0)
        stuck = listing(1, host=HOST, port=silent.getsockname()[1])
        async with house([stuck], LISTED, timing=timing) as made, calling(made, 1) as [node]:
            await made.hears(node)
            assert status_of(made, "node1").called_from == HOST


async def test_a_session_is_not_ended_by_a_call():
    """Not even by one with the right key, such as a copy of the node."""
    async with house([listing(1)], LISTED) as made, calling(made, 1) as [node]:
        await made.hears(node)
        session = next(iter(node.sessions))
        async with calling(made, 1, name="copy"):
            await until(lambda: made.fleet.dial_in.refused >= 3)
        await made.hears(node)
        assert node.sessions == {session}


async def test_our_hello_makes_us_the_target():
    """A node without a host that was connected to calls here when its address is not right any more."""
    async with house((), LISTED) as made:
        node = make_node(1, dial=DialOut(None, await port_of(made), DELAY))
        async with running(node):
            made.fleet.reload(LISTED, [listing(1, host=HOST, port=node.port)])
            await made.hears(node)
            assert status_of(made, "node1").called_from is None
            await node.power_off()
            node.port = 0
            await node.start()
            await made.hears(node)
            assert status_of(made, "node1").called_from == HOST


async def test_without_dial_in_our_hello_does_not():
    node = make_node(1, dial=DialOut(None, 1, DELAY))
    async with running(node), house([entry(node)]) as made:
        await made.hears(node)
        assert node._dialer.remembered is None


async def test_a_reload_opens_moves_and_closes_the_port():
    """A session that was called goes on: only what changed is touched."""
    async with house([listing(1), listing(2)], NO_MDNS) as made:
        await made.state("node1", "unreachable")
        made.fleet.reload(LISTED, [listing(1), listing(2)])
        async with calling(made, 1) as [node]:
            await made.hears(node)
            session, old = next(iter(node.sessions)), await port_of(made)
            made.fleet.reload(attrs.evolve(LISTED, dial_in=f"{HOST}:00"), [listing(1), listing(2)])
            await made.until(lambda: made.fleet.dial_in.places and made.fleet.dial_in.places[0][1] != old)
            async with calling(made, 2) as [other]:
                await made.hears(other)
                made.fleet.reload(NO_MDNS, [listing(1), listing(2)])
                await made.until(lambda: not made.fleet.dial_in.places)
                await made.hears(other)
            await made.hears(node)
            assert node.sessions == {session}


async def test_a_port_in_use_is_said_and_tried_again():
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        async with house([listing(1)], attrs.evolve(LISTED, dial_in=f"{HOST}:{port}")) as made:
            await made.until(lambda: made.fleet.dial_in.error)
            assert made.fleet.dial_in.error == "Address already in use"
            other.close()
            async with calling(made, 1) as [node]:
                await made.hears(node)
            assert made.fleet.dial_in.error is None


async def test_ipv6_is_listened_on_where_it_is_named():
    async with house([listing(1)], attrs.evolve(LISTED, dial_in="[::1]:0")) as made:
        dial = DialOut("::1", await port_of(made), DELAY)
        node = make_node(1, dial=dial)
        async with running(node):
            await made.hears(node)
            assert status_of(made, "node1").called_from == "::1"


async def test_stopping_ends_calls_and_sessions_cleanly():
    """A call that is at its handshake does not hold up the stop."""
    timing = attrs.evolve(FAST, handshake=60.0, identify=60.0)
    async with house([listing(1)], LISTED, timing=timing) as made, calling(made, 1) as [node]:
        await made.hears(node)
        reader, writer = await asyncio.open_connection(HOST, await port_of(made))
        writer.write(b"\x01")
        await until(lambda: made.fleet.dial_in._calls)
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 5.0) == b""
    writer.close()
