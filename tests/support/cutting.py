"""A way to a node that breaks after so many frames: a client that is killed at a step that can be named."""

import asyncio
from contextlib import asynccontextmanager

HEADER = 3
"""Bytes: 01 and the length, 16 bits, as in proxy_listener/node/wire.py."""


class Cutter:
    """Counts whole frames of the Noise form in both directions. ``port``: where it listens.

    ``left``: frames that pass until both ends are cut, None while it does not count; ``passed``: frames since then.
    """

    def __init__(self):
        self.port = 0
        self.left = None
        self.passed = 0
        self.cut = asyncio.Event()
        self.transports = []

    def arm(self, frames):
        """Cut after so many more frames; with 0, before the next one arrives."""
        self.left, self.passed = frames, 0

    def take(self):
        """Whether one more frame passes."""
        if self.left is None:
            return True
        if self.left == 0:
            self.cut.set()
            for transport in self.transports:
                transport.abort()
            return False
        self.left -= 1
        self.passed += 1
        return True


class Half(asyncio.Protocol):
    """One end of one connection: its frames go to ``other``."""

    def __init__(self, cutter, joined):
        self._cutter = cutter
        self._joined = joined
        self._buffer = bytearray()
        self.other = None

    def connection_made(self, transport):
        self.transport = transport
        self._cutter.transports.append(transport)
        self._joined(self)

    def connection_lost(self, _error):
        if self.other is not None:
            self.other.close()

    def data_received(self, data):
        self._buffer += data
        self.pump()

    def pump(self):
        while self.other is not None and len(self._buffer) >= HEADER:
            end = HEADER + int.from_bytes(self._buffer[1:HEADER], "big")
            if len(self._buffer) < end or not self._cutter.take():
                return
            self.other.write(bytes(self._buffer[:end]))
            del self._buffer[:end]


@asynccontextmanager
async def cutter(port):
    """A port of loopback behind which ``port`` is, until it is cut. For one connection at a time."""
    loop, made, joining = asyncio.get_running_loop(), Cutter(), set()

    def accepted(near):
        async def join():
            _, far = await loop.create_connection(lambda: Half(made, lambda _half: None), "127.0.0.1", port)
            near.other, far.other = far.transport, near.transport
            near.pump()
            far.pump()

        joining.add(task := loop.create_task(join()))
        task.add_done_callback(joining.discard)

    server = await loop.create_server(lambda: Half(made, accepted), "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for transport in made.transports:
            transport.abort()
