import asyncio
import selectors
import socket
import time
from contextlib import contextmanager, suppress

import pytest
from support.edge import NO_MDNS, entry, house, make_node

from proxy_listener.proxies.coalesce import CoalescingEventLoop, CoalescingSelector, event_loop

pytestmark = pytest.mark.mdns("alone")

WINDOW = 0.5
"""Ten times what a house has: a busy machine may stop a test for as long as that."""


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
def selecting(pairs, slow, window=WINDOW):
    selector = CoalescingSelector(window)
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


def warmed(selector, pairs):
    """So many messages that the window pays; it is closed afterwards."""
    until = time.monotonic() + 0.35
    while time.monotonic() < until:
        for ours, theirs in pairs:
            theirs.send(b"x")
            selector.select(0.001)
            with suppress(BlockingIOError):
                ours.recv(100)
    for _, theirs in pairs:
        theirs.send(b"x")
    while not selector.select(WINDOW):
        pass
    for ours, _ in pairs:
        with suppress(BlockingIOError):
            ours.recv(100)


def test_slow_sockets_are_read_together():
    """While the window is closed nothing of theirs is shown; at its end all of it is, at once."""
    with sockets(4) as pairs, selecting(pairs, slow=4) as selector:
        warmed(selector, pairs)
        began = time.monotonic()
        for _, theirs in pairs:
            theirs.send(b"x")
        assert ready(selector, 0.0) == set()
        assert ready(selector, 10 * WINDOW) == {0, 1, 2, 3}
        assert time.monotonic() - began < 2 * WINDOW


def test_fast_sockets_do_not_wait():
    with sockets(4) as pairs, selecting(pairs, slow=3) as selector:
        warmed(selector, pairs[:3])
        pairs[0][1].send(b"x")
        pairs[3][1].send(b"x")
        assert ready(selector, 1.0) == {3}


def test_timers_do_not_wait():
    """A timeout shorter than the window is kept."""
    with sockets(3) as pairs, selecting(pairs, slow=3) as selector:
        warmed(selector, pairs)
        pairs[0][1].send(b"x")
        began = time.monotonic()
        assert ready(selector, 0.005) == set()
        assert time.monotonic() - began < WINDOW / 2


def test_rare_messages_do_not_wait():
    """The window closes only where it would catch two messages: a small house keeps its latency."""
    with sockets(2) as pairs, selecting(pairs, slow=2) as selector:
        for _ in range(3):
            time.sleep(1.2 * WINDOW)
            pairs[0][1].send(b"x")
            began = time.monotonic()
            assert ready(selector, 1.0) == {0}
            assert time.monotonic() - began < WINDOW / 2
            pairs[0][0].recv(1)


def test_a_socket_that_somebody_waits_for_is_fast_again():
    with sockets(3) as pairs, selecting(pairs, slow=3) as selector:
        warmed(selector, pairs)
        selector.fast(pairs[1][0].fileno())
        pairs[1][1].send(b"x")
        assert ready(selector, 1.0) == {1}
        assert selector.get_key(pairs[1][0]).data == 1


def test_both_kinds_can_be_forgotten():
    with sockets(2) as pairs, selecting(pairs, slow=1) as selector:
        for ours, _ in pairs:
            assert ours in selector.get_map()
            selector.modify(ours, selectors.EVENT_READ, "again")
            assert selector.get_key(ours).data == "again"
            selector.unregister(ours)
        assert len(selector.get_map()) == 0


def test_a_closed_socket_is_answered_as_any_selector_does():
    """Whoever closes first and forgets later still finds its registration; of an unknown one it hears as ever."""
    with sockets(2) as pairs, selecting(pairs, slow=1) as selector:
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
    assert NO_MDNS.accept == "listed"
