"""One client of a shared node: what firmware's session does, and a queue of advertisements of its own.

In: bytes of the client; messages for it. Out: its requests. Invariant: a client that reads slowly loses its own oldest
messages of advertisements and nobody else's; one that reads nothing is dropped.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog
from google.protobuf.message import Message

from proxy_listener.model.rate import TokenBucket
from proxy_listener.model.secret import Secret
from proxy_listener.node.messages import NUMBERS, api
from proxy_listener.node.session import NodeSession, SessionContext
from proxy_listener.node.wire import NoiseWire, WireError

log = structlog.get_logger()

HIGH, LOW = 32_768, 4_096
"""Bytes in the transport at which advertisements begin to wait here, and at which they go on: half a second of the
busiest proxy."""

QUEUE = 65_536
"""Bytes of advertisements that wait, at most."""

ANSWERS = 262_144
"""Bytes in the transport at which a client that asks and does not read is dropped."""

STUCK = 30.0
"""Seconds without a byte read after which a client is dropped."""

MESSAGES, MESSAGE_RATE = 500, 100.0
"""Messages of one client at once, and a second; one that sends more is dropped. Home Assistant sends some 20 at its
start."""

ADVERTISEMENTS = NUMBERS[api.BluetoothLERawAdvertisementsResponse]


class SharedWire(NoiseWire):
    """Says when a client had another key. ``wrong`` is called then."""

    def __init__(self, key: Secret, name: str, mac: str, wrong: Callable[[], None]) -> None:
        super().__init__(key, name, mac)
        self._wrong = wrong

    def _refuse(self, reason: str) -> WireError:
        if reason == "Handshake MAC failure":
            self._wrong()
        return super()._refuse(reason)


class SharedSession(NodeSession):
    """One client. ``since``: loop time of its connection; ``dropped``: messages of advertisements that it lost.
    ``full()``: whether there are as many clients as may be.
    """

    def __init__(self, context: SessionContext, full: Callable[[], bool] = lambda: False) -> None:
        super().__init__(context)
        self._full = full
        self._messages = TokenBucket(MESSAGE_RATE, MESSAGES, self._loop.time())
        self.since = self._loop.time()
        self.dropped = 0
        self.address = ""
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._paused_since: float | None = None
        self._stuck: asyncio.TimerHandle | None = None

    @property
    def greeted(self) -> bool:
        """It has the key and said hello."""
        return self._authenticated

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As in :class:`NodeSession`."""
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(HIGH, LOW)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """As in :class:`NodeSession`."""
        if self._stuck is not None:
            self._stuck.cancel()
        self._queue.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As in :class:`NodeSession`. Whatever goes wrong with a client's bytes ends this session only."""
        try:
            super().data_received(data)
        except Exception as error:  # noqa: BLE001  a client must not fill the log with tracebacks
            log.debug("a client's message could not be handled", node=self._context.name, error=str(error))
            self.abort()

    def _receive(self, number: int, payload: bytes) -> None:
        if not self._messages.take(self._loop.time()):
            self.abort()
            return
        super()._receive(number, payload)

    def _hello(self, message: Message) -> None:
        # Counted here, because before it nothing is proved.
        if not self._authenticated and self._full():
            self.close()
            return
        super()._hello(message)

    def pause_writing(self) -> None:
        """Asyncio: the client reads more slowly than it is sent."""
        self._paused_since = self._loop.time()
        self._stuck = self._loop.call_later(STUCK, self.abort)

    def resume_writing(self) -> None:
        """Asyncio: the client reads again."""
        self._paused_since = None
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        while self._queue and self._paused_since is None:
            payload = self._queue.popleft()
            self._queued -= len(payload)
            self._pack(payload)

    def forward(self, payload: bytes) -> None:
        """Send a message of advertisements, as the proxy sent it; later, or never, where the client reads slowly."""
        if self._over or self._wire is None:
            return
        if self._paused_since is None:
            self._pack(payload)
            return
        self._queue.append(payload)
        self._queued += len(payload)
        while self._queued > QUEUE:
            self._queued -= len(self._queue.popleft())
            self.dropped += 1

    def send(self, *messages: Message) -> None:
        """Send messages that must arrive. A client that lets too many of them wait is dropped."""
        if self._over or self._wire is None:
            return
        if self._waiting() > ANSWERS:
            self.abort()
            return
        self._write(self._wire.pack([(NUMBERS[type(message)], message.SerializeToString()) for message in messages]))

    def _pack(self, payload: bytes) -> None:
        if self._wire is not None:
            self._write(self._wire.pack([(ADVERTISEMENTS, payload)]))
