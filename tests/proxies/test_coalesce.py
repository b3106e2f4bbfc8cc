import asyncio
import selectors
import socket
import threading
from contextlib import contextmanager

import pytest
from support.edge import entry, house, make_node

from proxy_listener.proxies.coalesce import CoalescingEventLoop, CoalescingSelector, event_loop

WINDOW = 0.5


class Clock:
    """Stands still until it is set."""

    now = 100.0

    def __call__(self):
        return self.now


@contextmanager
def sockets(count):
    """Pairs of connected sockets, (ours, theirs)."""
    pairs = [socket.socketpair() for _ in range(count)]
    for ours, _ in pairs:
        ours.setblocking(False)
    try:
        yield pairs
    finally:
        for pair in pairs:
            for end in pair:
                end.close()


@contextmanager
def selecting(pairs, slow, clock):
    """A selector over our ends, the first ``slow`` of them slow."""
    selector = CoalescingSelector(WINDOW, clock)
    for number, (ours, _) in enumerate(pairs):
        selector.register(ours, selectors.EVENT_READ, number)
        if number < slow:
            selector.slow(ours.fileno())
    try:
        yield selector
    finally:
        selector.close()


def ready(selector, timeout=0.0):
    return {key.data for key, _ in selector.select(timeout)}


def drain(selector):
    for key, _ in selector.select(0.0):
        key.fileobj.recv(100)


def close_window(selector, clock, pairs):
    """Send so often that the window saves wake-ups. It is closed afterwards, and nothing waits to be read."""
    for _ in range(200):
        clock.now += 0.01
        for _, theirs in pairs:
            theirs.send(b"x")
        drain(selector)
    clock.now += WINDOW
    drain(selector)


def test_slow_sockets_are_read_together():
    """While the window is closed none of them is reported; at its end all of them are, at once."""
    clock = Clock()
    with sockets(4) as pairs, selecting(pairs, 4, clock) as selector:
        close_window(selector, clock, pairs)
        for _, theirs in pairs:
            theirs.send(b"x")
        assert ready(selector) == set()
        clock.now += WINDOW
        assert ready(selector) == {0, 1, 2, 3}


def test_fast_sockets_do_not_wait():
    clock = Clock()
    with sockets(4) as pairs, selecting(pairs, 3, clock) as selector:
        close_window(selector, clock, pairs[:3])
        pairs[0][1].send(b"x")
        pairs[3][1].send(b"x")
        assert ready(selector) == {3}


def test_timers_do_not_wait():
    """A time limit that is shorter than the window is kept: it ends before the window, when a fast socket is ready."""
    clock = Clock()
    with sockets(4) as pairs, selecting(pairs, 3, clock) as selector:
        close_window(selector, clock, pairs[:3])
        pairs[0][1].send(b"x")
        end = threading.Timer(30.0, pairs[3][1].send, (b"x",))
        end.start()
        selector._opens = clock.now + 60.0
        assert ready(selector, 0.005) == set()
        end.cancel()
        end.join()


def test_rare_messages_do_not_wait():
    """The window closes only where it would catch two messages: a small house keeps its latency."""
    clock = Clock()
    with sockets(2) as pairs, selecting(pairs, 2, clock) as selector:
        for _ in range(10):
            clock.now += 1.2 * WINDOW
            pairs[0][1].send(b"x")
            assert ready(selector) == {0}
            pairs[0][0].recv(1)


def test_a_slow_socket_can_be_made_fast():
    clock = Clock()
    with sockets(3) as pairs, selecting(pairs, 3, clock) as selector:
        close_window(selector, clock, pairs)
        pairs[1][1].send(b"x")
        assert ready(selector) == set()
        selector.fast(pairs[1][0].fileno())
        assert ready(selector) == {1}
        assert selector.get_key(pairs[1][0]).data == 1


def test_both_classes_can_be_unregistered():
    with sockets(2) as pairs, selecting(pairs, 1, Clock()) as selector:
        for ours, _ in pairs:
            assert ours in selector.get_map()
            selector.modify(ours, selectors.EVENT_READ, "again")
            assert selector.get_key(ours).data == "again"
            selector.unregister(ours)
        assert len(selector.get_map()) == 0


def test_a_closed_socket_is_answered_as_any_selector_does():
    """A socket that was closed before it is unregistered is found; an unknown one is a ValueError."""
    with sockets(2) as pairs, selecting(pairs, 1, Clock()) as selector:
        for ours, _ in pairs:
            ours.close()
            assert selector.get_key(ours).fileobj is ours
            assert selector.unregister(ours).fileobj is ours
            with pytest.raises(ValueError, match="Invalid file"):
                selector.get_key(ours)


def test_zero_is_off():
    loop = event_loop(0.0)
    assert not isinstance(loop, CoalescingEventLoop)
    loop.close()


@pytest.mark.mdns("shared")
def test_a_fleet_on_this_loop():
    """Streams are slow sockets, everything is heard, and a proxy with a connection under way is fast."""

    async def live():
        node = make_node(1)
        await node.start()
        async with house([entry(node)]) as made:
            await made.hears(node)
            slow = asyncio.get_running_loop().sockets._slow
            assert len(slow.get_map()) == 1
            made.fleet["node1"].connecting = True
            assert len(slow.get_map()) == 0
            made.fleet["node1"].connecting = False
            assert len(slow.get_map()) == 1
            await made.hears(node)
        assert len(slow.get_map()) == 0
        await node.stop()

    with asyncio.Runner(loop_factory=lambda: event_loop(WINDOW)) as runner:
        runner.run(live())


def test_timers_that_are_seconds_away_come_together():
    """Fifty timers within two seconds come at five moments at most, none early; a near one keeps its moment."""
    loop = CoalescingEventLoop(WINDOW)
    try:
        now = loop.time()
        asked = [now + 3.0 + number * 0.04 for number in range(50)]
        moments = [loop.call_at(when, lambda: None).when() for when in asked]
        assert len(set(moments)) <= 5
        assert all(0.0 <= moment - when < 0.5 for when, moment in zip(asked, moments, strict=True))
        assert loop.call_at(now + 1.0, lambda: None).when() == now + 1.0
    finally:
        loop.close()
