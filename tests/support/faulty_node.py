"""A node that fails on demand: power loss, a stalled Wi-Fi, a scanner that hears nothing, another client, a flood."""

import asyncio
import struct
from socket import SO_LINGER, SOL_SOCKET

import attrs

from proxy_listener.model.advertisement import RANDOM
from proxy_listener.node.firmware import NodeTiming
from proxy_listener.node.node import Node
from proxy_listener.node.scanner import Scanner
from proxy_listener.node.session import NodeSession
from proxy_listener.simulator.seeded_random import random_for


def faster(factor, timing=None, **seconds):
    """The firmware's timing with all times divided by ``factor``, but for those given."""
    divided = NodeTiming(*(value / factor for value in attrs.astuple(timing or NodeTiming())))
    return attrs.evolve(divided, **seconds)


class FaultySession(NodeSession):
    """A session that can freeze: no byte is read or written and nothing is closed."""

    held = None

    def reset(self):
        """End it with a TCP reset, as a kernel does that does not know the connection."""
        if self._transport is not None:
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def freeze(self):
        if self._transport is not None and self.held is None and not self.is_over():
            self.held = bytearray()
            self._transport.pause_reading()

    def thaw(self):
        """Continue: what was held back is sent at once."""
        if self.held is None or self.is_over():
            return
        held, self.held = self.held, None
        self._heard = self._loop.time()
        self._transport.resume_reading()
        self._write(bytes(held))

    def send(self, *messages):
        if self.held is not None:
            self._backlog = 0  # a frozen node does not drop the client
        super().send(*messages)

    def say_goodbye(self):
        if self.held is None:
            super().say_goodbye()
        else:
            self.close()

    def _waiting(self):
        return super()._waiting() + len(self.held or b"")

    def _write(self, data):
        if self.held is None:
            super()._write(data)
        else:
            self.held += data

    def _check_deadlines(self):
        if self.held is not None:
            self._heard = self._born = self._loop.time()
        super()._check_deadlines()


class FaultyScanner(Scanner):
    """``wedged``: it says RUNNING and hears nothing, until the scan (``"scan"``) or the node (``"power"``) is
    started again.
    """

    wedged = None

    @property
    def hears(self):
        return super().hears and self.wedged is None

    async def start(self):
        await super().start()
        if self.wedged == "scan":
            self.wedged = None


class OtherClient:
    """A client that subscribes to the stream and ignores it, such as Home Assistant."""

    def send(self, *messages):
        pass

    def offer(self, message):
        return True


class FaultyNode(Node):
    session_type = FaultySession
    scanner_type = FaultyScanner

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.frozen = False
        self._other_client = OtherClient()
        self._flood = None

    @property
    def announced_by(self):
        """The zeroconf that answers for it."""
        return self._record[0] if self._record is not None else None

    async def start(self, *arguments, **more):
        self.frozen = False
        await super().start(*arguments, **more)

    async def power_off(self):
        """Power loss: no goodbye. Clients get a reset, as from a kernel that does not know their session."""
        self.stop_flood()
        self._close_server()
        if self._record is not None:
            (zeroconf, record), self._record = self._record, None
            zeroconf.zeroconf.registry.async_remove(record)
        for session in list(self.sessions):
            session.reset()
        await self._end()

    async def power_cycle(self, seconds=0.0):
        """Power loss, and the node back at its port after ``seconds``."""
        zeroconf = self.announced_by
        try:
            await self.power_off()
            await asyncio.sleep(seconds)
        finally:
            await self.start(self.host, zeroconf=zeroconf)

    def freeze(self):
        """Stop reading and writing without closing anything: half-open sessions."""
        self.frozen = True
        for session in self.sessions:
            session.freeze()

    def thaw(self):
        self.frozen = False
        for session in self.sessions:
            session.thaw()

    def wedge(self, until="scan"):
        self.scanner.wedged = until

    def take_stream(self):
        """Another client subscribes. True where the firmware gives it the stream."""
        return self.stream.subscribe(self._other_client)

    def give_stream_back(self):
        """The other client leaves; the one that had the stream before does not get it back."""
        self.stream.leave(self._other_client)

    def fill_slots(self, free=0):
        """Other clients' connections leave so many slots; the stream holder is told, as by the firmware."""
        self.links.limit = free + len(self.links.allocated)
        self.send(self.links.report())

    def empty_slots(self):
        self.links.limit = self.firmware.slots
        self.send(self.links.report())

    def flood(self, rate, size=31):
        """Send ``rate`` advertisements a second from random addresses, until :meth:`stop_flood`; the sending task."""
        self.stop_flood()
        self._flood = self.spawn(self._send_random(rate, size))
        return self._flood

    def stop_flood(self):
        if self._flood is not None:
            self._flood.cancel()
            self._flood = None

    async def _send_random(self, rate, size):
        chance, tick = random_for("flood", self.settings.name), 0.02
        while True:
            for _ in range(max(1, round(rate * tick))):
                self.hear(chance.getrandbits(48), RANDOM, -60, chance.randbytes(size))
            await asyncio.sleep(tick)

    def _opened(self, session):
        accepted = super()._opened(session)
        if accepted and self.frozen:
            session.freeze()
        return accepted
