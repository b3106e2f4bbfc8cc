"""Attacks on the port that nodes call: what each costs, and that it costs nobody else (threats.md#l10)."""

import asyncio
import socket
import threading
from contextlib import suppress

import attrs
import pytest
from structlog.testing import capture_logs
from support.calling import HOST, KEYED, LISTED, callers, calling, hello, listing, port_of, status_of
from support.edge import FAST, MAC, OTHER_KEY, entry, house, make_node, running
from support.rogue import bomb
from support.waiting import until

from proxy_listener.proxies.callers import EACH, PENDING

pytestmark = pytest.mark.mdns("alone")

CLAIM = hello("node1", f"{MAC + 1:012x}")
HANDSHAKE = b"\x01\x00\x31\x00" + bytes(0x30)
"""A node's answer that no key made."""
PATIENT = attrs.evolve(FAST, identify=60.0, handshake=60.0, attempt=60.0)
"""No call ends by itself within a test."""


async def hung_up(reader):
    """The other side ended the connection, cleanly or by a reset."""
    with suppress(ConnectionResetError):
        while await asyncio.wait_for(reader.read(4096), 5.0):
            pass


async def test_half_open_calls_hold_up_no_node():
    """Three hundred silent connections from as many networks: a node that calls afterwards is heard, and few wait."""
    async with house([listing(1)], LISTED, timing=PATIENT) as made, callers(made, 300):
        assert len(made.fleet.dial_in._calls) <= PENDING
        # It is a stranger as they are: the allowance of strangers has to fill up first.
        async with calling(made, 1) as [node]:
            await made.hears(node, seconds=20.0)
            assert len(made.fleet.dial_in._calls) <= PENDING


async def test_half_open_calls_cost_no_session():
    """Nodes that are connected are heard meanwhile, and one that proved its key comes back."""
    async with house([listing(1), listing(2)], LISTED, timing=PATIENT) as made, calling(made, 1, 2) as nodes:
        for node in nodes:
            await made.hears(node)
        async with callers(made, 200):
            for node in nodes:
                await made.hears(node)
            for session in list(nodes[0].sessions):
                session.abort()
            await made.until(lambda: ("node1", "unreachable") in made.changes)
            await made.hears(nodes[0])


async def test_callers_that_claim_a_nodes_mac_and_hang_do_not_keep_it_out():
    """Each waits in its own handshake; the node's own call, with the key, is what counts."""
    async with house([listing(1)], LISTED, timing=PATIENT) as made, callers(made, 20, CLAIM):
        await until(lambda: len(made.fleet.dial_in._calls) >= 20)
        async with calling(made, 1) as [node]:
            await made.hears(node)
        assert made.states().keys() == {"node1"}


async def test_false_handshakes_do_not_delay_our_own_attempts():
    """Callers with the MAC and without the key: the node is connected to as if there were none, and stays connected."""
    node = make_node(1)
    async with running(node), house([entry(node, mac=MAC + 1)], LISTED) as made:
        async with callers(made, 30, CLAIM + HANDSHAKE):
            await made.hears(node)
            await until(lambda: made.fleet.dial_in.refused >= 30)
        async with callers(made, 30, CLAIM + HANDSHAKE, "127.2"):
            await until(lambda: made.fleet.dial_in.refused >= 60)
            await made.hears(node)
        assert [state for _, state in made.changes] == ["live"]
        assert status_of(made, "node1").called_from is None


async def test_false_calls_never_change_a_state_and_are_told_a_few_times():
    """Also for "keyed", where any node may call: nothing is kept of one without the key."""
    with capture_logs() as lines:
        async with house([listing(1)], KEYED) as made:
            strange = hello("\x1b[2Jnode\r\n", "112233445566")
            await made.state("node1", "unreachable")
            async with callers(made, 30, CLAIM + HANDSHAKE), callers(made, 30, strange + HANDSHAKE, "127.2"):
                await until(lambda: made.fleet.dial_in.refused >= 60)
            assert made.changes == [("node1", "unreachable")]
            assert made.states() == {"node1": "unreachable"}
    told = [line for line in lines if "call is refused" in line["event"]]
    assert 1 <= len(told) <= 16
    assert all(str(value).isprintable() for line in told for value in line.values())


async def test_one_networks_calls_are_closed_at_once_beyond_a_few():
    """However fast it calls: it is not even read."""
    async with house([listing(1)], LISTED, timing=PATIENT) as made:
        port, pairs = await port_of(made), []
        for _ in range(EACH + 20):
            pairs.append(await asyncio.open_connection(HOST, port, local_addr=("127.1.0.1", 0)))  # noqa: PERF401
        await until(lambda: made.fleet.dial_in.refused >= 20)
        assert len(made.fleet.dial_in._calls) == EACH
        for reader, _ in pairs[EACH:]:
            await hung_up(reader)
        for _, writer in pairs:
            writer.close()


async def test_a_flood_of_connects_leaves_the_loop_to_others():
    """As fast as a thread can connect, from one address: a thousand a second are accepted, and nodes are heard."""

    def flood(port, stop):
        while not stop.is_set():
            with suppress(OSError), socket.create_connection((HOST, port), 1.0, ("127.1.0.1", 0)):
                pass

    async with house([listing(1), listing(2)], LISTED) as made, calling(made, 1) as [node]:
        await made.hears(node)
        stop, clock = threading.Event(), asyncio.get_running_loop().time
        attackers = [asyncio.create_task(asyncio.to_thread(flood, await port_of(made), stop)) for _ in range(4)]
        try:
            began, before = clock(), made.fleet.dial_in.refused
            while clock() - began < 1.0:
                await made.hears(node)
            async with calling(made, 2) as [newcomer]:
                await made.hears(newcomer)
            assert made.fleet.dial_in.refused - before < 1100 * (clock() - began)
        finally:
            stop.set()
            await asyncio.gather(*attackers)


@pytest.mark.parametrize("data", [b"", CLAIM[:5], b"\x00\x00\x01", b"GET / HTTP/1.1\r\n\r\n", CLAIM + b"\x01\xff\xff"])
async def test_what_is_no_nodes_call_is_ended_in_time(data):
    async with house([listing(1)], LISTED) as made:
        reader, writer = await asyncio.open_connection(HOST, await port_of(made))
        writer.write(data)
        await hung_up(reader)
        await until(lambda: not made.fleet.dial_in._calls)
        writer.close()


async def test_a_hello_by_drips_is_ended_in_time():
    """Each byte comes before anybody would lose patience."""
    async with house([listing(1)], LISTED) as made:
        _, writer = await asyncio.open_connection(HOST, await port_of(made))
        began = asyncio.get_running_loop().time()
        for byte in b"\x01\x00\x78\x01" + b"d" * 0x70:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.05)
            if writer.transport.is_closing() or made.fleet.dial_in.refused:
                break
        assert asyncio.get_running_loop().time() - began < 10 * FAST.identify
        writer.close()


async def test_a_caller_that_sends_without_end_is_cut():
    """Megabytes after the hello: the session's own limits hold before the handshake, too."""
    async with house([listing(1)], LISTED, timing=PATIENT) as made:
        reader, writer = await asyncio.open_connection(HOST, await port_of(made))
        writer.write(CLAIM + b"\x00" * 10_000_000)
        await hung_up(reader)
        await until(lambda: not made.fleet.dial_in._calls)
        writer.close()


async def test_a_node_that_floods_is_not_taken_back_for_a_while():
    """It is benched, and calling again does not help; another node goes on."""
    async with house([listing(1), listing(2)], LISTED) as made, calling(made, 1, 2) as [node, beside]:
        await made.hears(node)
        next(iter(node.sessions)).send(bomb(5000, 3))
        await made.state("node1", "benched")
        await made.until(lambda: "it misbehaves" in (made.fleet["node1"].calls.refusal or ""))
        await made.hears(beside)
        await made.hears(node)


async def test_many_wrong_keys_of_one_node_do_not_hold_up_another():
    """A node with a wrong key calls again and again, from the same network as one with the right key."""
    async with house([listing(1), listing(2)], LISTED) as made, calling(made, 1, psk=OTHER_KEY):
        await until(lambda: made.fleet.dial_in.refused >= 3)
        async with calling(made, 2) as [node]:
            await made.hears(node)
