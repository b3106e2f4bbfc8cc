"""Floods: what the kernel counted on a session's socket, and how flood and calm add up."""

import asyncio
import socket

import attrs
import pytest
from support.edge import FAST, entry, house, make_node, running

from proxy_listener.proxies.flood import ADVERTISEMENT, FloodDetector, SocketTraffic


@pytest.fixture
def pair():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as ours:
        theirs, _ = server.accept()
        with theirs:
            yield ours, theirs


def received(ours, theirs, count):
    theirs.sendall(bytes(count))
    while count:
        count -= len(ours.recv(count))


def judged(pair, rate, seconds, traffic=None):
    """What ``judge`` returns for so many bytes a second, over so many seconds."""
    traffic = traffic or SocketTraffic(pair[0], 100, 4.5, 0.0)
    said = []
    for second in range(1, seconds + 1):
        received(*pair, rate)
        said.append(traffic.judge(float(second)))
    return said


def test_a_full_radio_is_no_flood(pair):
    assert judged(pair, 100 * ADVERTISEMENT, 30) == [None] * 30


def test_more_is_reported_after_the_limit(pair):
    said = judged(pair, 150 * ADVERTISEMENT, 6)
    assert said[:4] == [None] * 4
    assert said[4] == "it sent 12 kB a second; no radio hears so much"


def test_one_burst_is_forgiven(pair):
    traffic = SocketTraffic(pair[0], 100, 4.5, 0.0)
    received(*pair, 1000 * ADVERTISEMENT)
    assert [traffic.judge(float(second)) for second in range(1, 10)] == [None] * 9


def test_messages_are_counted_where_bytes_say_nothing(pair):
    traffic, said = SocketTraffic(pair[0], 100, 4.5, 0.0), []
    for second in range(1, 6):
        for _ in range(1000):
            traffic.message()
        said.append(traffic.judge(float(second)))
    assert said == [None] * 4 + ["it sent 1000 messages a second that are no advertisements"]


def test_a_long_time_between_two_judgements_counts(pair):
    """A flood that keeps the event loop busy delays its own judgement."""
    traffic = SocketTraffic(pair[0], 100, 4.5, 0.0)
    received(*pair, 1000 * ADVERTISEMENT)
    assert traffic.judge(5.0) == "it sent 16 kB a second; no radio hears so much"


def test_messages_in_pulses_are_a_flood(pair):
    """One second of them, then one second of calm, repeatedly."""
    traffic, said = SocketTraffic(pair[0], 100, 4.5, 0.0), []
    for second in range(1, 12):
        for _ in range(1000 * (second % 2)):
            traffic.message()
        said.append(traffic.judge(float(second)))
    assert any(said)


def test_calm_takes_off_what_flood_added():
    """15 s of calm take off half of the limit, and never more than was added."""
    detector = FloodDetector(4.0)
    assert not detector.flood(3.9)
    detector.calm(15.0)
    assert detector.flooded == pytest.approx(1.9)
    detector.calm(1000.0)
    assert detector.flooded == 0.0
    assert not detector.flood(3.9)
    assert detector.flood(0.2)


@pytest.mark.mdns("shared")
@pytest.mark.parametrize("message", [b"\x00\x00\x07", b"\x00\x04\x7e\x08\x03\x10\x01"], ids=["ping", "scanner state"])
async def test_a_proxy_that_chatters_is_benched(message):
    """Messages that are no advertisements, as fast as they are read."""
    node, good = make_node(1, psk=None), make_node(2)
    timing = attrs.evolve(FAST, flood=0.5, bench=60.0, silence=60.0, silence_alone=60.0)
    async with running(node, good), house([entry(node), entry(good)], timing=timing) as made:
        await made.until(lambda: set(made.states().values()) == {"live"})
        flood = asyncio.create_task(chatter(node, message))
        await made.state("node1", "benched", 15.0)
        await made.hears(good)
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)
        assert made.changes.count(("node2", "live")) == 1


async def chatter(node, message):
    while True:
        for session in list(node.sessions):
            if session._transport.get_write_buffer_size() < 65_536:
                session._transport.write(message * 5000)
        await asyncio.sleep(0.001)
