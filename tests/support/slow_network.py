"""A network that delivers every byte late, in order."""

import asyncio
from contextlib import asynccontextmanager


class Late(asyncio.Protocol):
    """Hands what arrives to ``other`` after ``delay`` seconds."""

    def __init__(self, delay):
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self.transport = None
        self.other = None
        self._waiting = []

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self._loop.call_later(self._delay, self._deliver, data)

    def connection_lost(self, _error):
        self._loop.call_later(self._delay, self._deliver, None)

    def _deliver(self, data):
        if self.other is None:
            self._waiting.append(data)
        elif data is None:
            self.other.close()
        elif not self.other.is_closing():
            self.other.write(data)

    def join(self, other):
        """What arrives goes there, also what is waiting."""
        self.other = other
        for data in self._waiting:
            self._deliver(data)


@asynccontextmanager
async def slow_network(port, delay):
    """A port of loopback behind which ``port`` is, ``delay`` seconds away in each direction."""
    loop, joining = asyncio.get_running_loop(), set()

    def accept():
        near = Late(delay)

        async def join():
            _, far = await loop.create_connection(lambda: Late(delay), "127.0.0.1", port)
            near.join(far.transport)
            far.join(near.transport)

        joining.add(task := loop.create_task(join()))
        task.add_done_callback(joining.discard)
        return near

    server = await loop.create_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
