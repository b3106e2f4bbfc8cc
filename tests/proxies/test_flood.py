"""Floods: messages counted at the transport, and what a session that has too many of them costs."""

import asyncio
import socket
from contextlib import suppress
from itertools import pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.edge import FAST, entry, house, make_node, running

from proxy_listener.node.messages import api
from proxy_listener.proxies.flood import BURST, CHUNK, MESSAGES, UNREAD, FloodError, LimitedSocket, MessageCounter

RATE = 160_000.0
PING = b"\x00\x00\x07"


def plain(payload, number=93):
    length = bytes([len(payload)]) if len(payload) < 128 else bytes([len(payload) & 0x7F | 0x80, len(payload) >> 7])
    return b"\x00" + length + bytes([number]) + payload


def noise(body):
    return b"\x01" + len(body).to_bytes(2, "big") + body


@given(
    st.sampled_from([plain, noise]),
    st.lists(st.binary(max_size=300), max_size=20),
    st.lists(st.integers(0, 4000), max_size=10),
)
def test_messages_are_counted_wherever_the_stream_is_cut(framing, payloads, cuts):
    """Each message once, in plaintext and under Noise."""
    stream = b"".join(map(framing, payloads))
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    counter = MessageCounter()
    counted = [counter.count(stream[start:end], 1000) for start, end in pairwise(places)]
    assert sum(counted) == len(payloads)


def test_counting_ends_at_the_limit():
    assert MessageCounter().count(PING * 5000, 7) == 7


class Session:
    """A limited socket, its peer, a clock, and what the alarm said."""

    def __init__(self):
        self.now = 0.0
        self.alarms = []
        with socket.create_server(("127.0.0.1", 0)) as server:
            ours = socket.create_connection(server.getsockname())
            self.peer, _ = server.accept()
        self.ours = LimitedSocket(ours, RATE, lambda: self.now, self.alarms.append)

    def receives(self, data):
        """The bytes that come out."""
        self.peer.sendall(data)
        got = b""
        while len(got) < len(data):
            got += self.ours.recv(262_144)
        return got


@pytest.fixture
def session():
    made = Session()
    with made.ours, made.peer:
        yield made


def test_a_full_radio_is_no_flood(session):
    """All bytes of ten seconds at 90 % of the limit come out, in pieces of 16 kB at most."""
    second = plain(bytes(16_000)) * 9
    for _ in range(10):
        assert session.receives(second) == second
        session.now += 1.0
    assert session.alarms == []
    session.peer.sendall(second[: 2 * CHUNK])
    assert len(session.ours.recv(262_144)) <= CHUNK


def test_too_many_messages_of_any_kind_end_the_session(session):
    """Pings: none of the piece with the one too many is handed on, and the alarm comes once."""
    assert session.receives(PING * BURST) == PING * BURST
    session.now += 1.0
    assert session.receives(PING * MESSAGES) == PING * MESSAGES
    for _ in range(2):
        session.peer.sendall(PING)
        with pytest.raises(FloodError):
            session.ours.recv(262_144)
    assert session.alarms == ["it sent more messages than a proxy has"]


def test_too_many_bytes_end_the_session(session):
    with pytest.raises(FloodError):
        session.receives(plain(bytes(16_000)) * 11)
    assert session.alarms == ["it sent more bytes than a radio hears"]


def test_a_peer_that_reads_nothing_ends_the_session(session):
    """Answers to its messages would wait without a limit."""
    session.ours.setblocking(False)
    fill(session.ours)
    session.now += UNREAD
    assert session.receives(PING) == PING
    session.now += 1.0
    with pytest.raises(FloodError):
        session.receives(PING)
    assert session.alarms == ["it does not read what it is sent"]


def fill(sock):
    """Send until the kernel takes no more."""
    with suppress(BlockingIOError):
        while sock.send(bytes(65_536)):
            pass


CHATTER = {"ping": PING, "scanner state": b"\x00\x04\x7e\x08\x03\x10\x01"}


@pytest.mark.mdns("shared")
@pytest.mark.parametrize("message", CHATTER.values(), ids=CHATTER)
async def test_a_proxy_that_chatters_is_benched(message):
    """Messages that are no advertisements: benched before the burst's second half is handled, another goes on."""
    node, good = make_node(1, psk=None), make_node(2)
    timing = attrs.evolve(FAST, bench=60.0, silence=60.0, silence_alone=60.0)
    async with running(node, good), house([entry(node), entry(good)], timing=timing) as made:
        await made.until(lambda: set(made.states().values()) == {"live"})
        (flooding,) = node.sessions
        flooding._transport.write(message * 2 * BURST)
        await made.state("node1", "benched")
        assert made.cause("node1") == "it sent more messages than a proxy has"
        await made.hears(good)
        assert made.changes.count(("node2", "live")) == 1


@pytest.mark.mdns("shared")
async def test_a_flood_during_the_handshake_is_benched():
    """A server that never says hello and sends pings instead."""

    async def serve(reader, writer):
        await reader.read(1)
        writer.write(PING * 2 * BURST)
        await reader.read()
        writer.close()

    node = make_node(1, psk=None)
    async with running(node):
        listing = entry(node)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, house([attrs.evolve(listing, port=server.sockets[0].getsockname()[1])]) as made:
        await made.state("node1", "benched")
        assert made.cause("node1") == "it sent more messages than a proxy has"


@pytest.mark.mdns("shared")
async def test_a_flood_while_this_process_was_suspended_is_none():
    """What came meanwhile comes at once: the session is renewed, and the proxy is not benched."""
    node = make_node(1)
    timing = attrs.evolve(FAST, tick=60.0, keepalive=60.0)
    async with running(node), house([entry(node)], timing=timing) as made:
        await made.until(lambda: node.stream.holder is not None)
        made.fleet["node1"]._session._ticked -= 10.0
        (old,) = node.sessions
        for _ in range(40):
            node.send(batch(250))
        await made.until(lambda: node.sessions and old not in node.sessions)
        assert ("node1", "benched") not in made.changes


def batch(count):
    made = api.BluetoothLERawAdvertisementsResponse()
    for address in range(count):
        made.advertisements.add(address=address, rssi=-60, data=bytes(31))
    return made
