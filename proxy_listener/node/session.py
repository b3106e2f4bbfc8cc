"""One API client of a node: framing, hello and password, pings, and the end of the connection.

Bytes come in from the transport and leave over it; messages that are not about the session itself go to
:attr:`SessionContext.serve`. Invariant: every session ends in :meth:`NodeSession.connection_lost`.
"""

import asyncio
from collections.abc import Callable

import attrs
import structlog
from google.protobuf.message import Message

from proxy_listener.model.secret import Secret
from proxy_listener.node.firmware import Firmware, Login, NodeTiming
from proxy_listener.node.messages import KNOWN, NUMBERS, api, parse
from proxy_listener.node.wire import NOISE, NoiseWire, Wire, WireError

log = structlog.get_logger()

SEND_BUFFER = 5_744
"""Bytes: lwIP's TCP_SND_BUF on ESP32, four segments. While more is unsent, batches of advertisements are dropped."""
BACKLOG = 8
"""Messages that must arrive and wait behind a full buffer; one more ends the session (ESP32's limit)."""


@attrs.frozen
class SessionContext:
    """What all sessions of a node share. ``wire`` makes the framing that fits a client's first byte; ``targeted`` is
    called where a client that proved the key declares itself the target of the node's own calls.
    """

    name: str
    firmware: Firmware
    timing: NodeTiming
    password: Secret | None
    wire: Callable[[int], Wire]
    serve: Callable[["NodeSession", Message], None]
    opened: Callable[["NodeSession"], bool]
    closed: Callable[["NodeSession"], None]
    targeted: Callable[["NodeSession"], None]


class NodeSession(asyncio.Protocol):
    """One client. ``dialed``: the node opened the connection."""

    def __init__(self, context: SessionContext, *, dialed: bool = False) -> None:
        self._context = context
        self._dialed = dialed
        self._target = False
        self._wire: Wire | None = None
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._watch: asyncio.TimerHandle | None = None
        self._born = self._heard = self._loop.time()
        self._asked = False
        self._greeted = self._authenticated = self._over = False
        self._backlog = 0
        self.client = ""

    @property
    def authenticated(self) -> bool:
        """Whether the client passed every check, also where the session is over."""
        return self._authenticated

    @property
    def peer(self) -> str:
        """The client's address; empty where it is not known any more."""
        name = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(name[0]) if name else ""

    def is_over(self) -> bool:
        """Nothing more is read from the client."""
        return self._over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: a client connected. Beyond the limit it is closed at once, as in the firmware."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._context.opened(self):
            self.close()
            return
        if self._dialed:
            self._wire = wire = self._context.wire(NOISE)
            assert isinstance(wire, NoiseWire)
            wire.greet_first()
            self._write(wire.outgoing())
        self._check_deadlines()

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio: the connection ended."""
        del exc
        self._over = True
        if self._watch is not None:
            self._watch.cancel()
        self._context.closed(self)

    def data_received(self, data: bytes) -> None:
        """Asyncio: bytes arrived."""
        if self.is_over():
            return
        self._heard = self._loop.time()
        self._asked = False
        if self._wire is None:
            self._wire = self._context.wire(data[0])
        try:
            for number, payload in self._wire.receive(data):
                self._write(self._wire.outgoing())
                self._receive(number, payload)
                if self.is_over():
                    return
        except WireError as error:
            log.debug("invalid bytes from a client", node=self._context.name, reason=str(error))
            self._write(self._wire.outgoing())
            self.close()
            return
        self._write(self._wire.outgoing())

    def send(self, *messages: Message) -> None:
        """Send messages that must arrive. A client that reads too slowly for them is dropped."""
        if self._over or self._wire is None:
            return
        if self._waiting() > SEND_BUFFER:
            self._backlog += len(messages)
            if self._backlog > BACKLOG:
                self.abort()
                return
        else:
            self._backlog = 0
        self._write(self._wire.pack([(NUMBERS[type(message)], message.SerializeToString()) for message in messages]))

    def offer(self, message: Message) -> bool:
        """Send a message that may be lost. False, and nothing sent, while the buffer is full."""
        if self._over or self._wire is None or self._waiting() > SEND_BUFFER:
            return False
        self._write(self._wire.pack([(NUMBERS[type(message)], message.SerializeToString())]))
        return True

    def say_goodbye(self) -> None:
        """End the session with a DisconnectRequest; the client has ``farewell`` seconds to answer."""
        if self._authenticated:
            self.send(api.DisconnectRequest())
            self._loop.call_later(self._context.timing.farewell, self.close)
        else:
            self.close()

    def close(self) -> None:
        """End the session once everything written is sent."""
        if self._transport is not None:
            self._over = True
            self._transport.close()

    def abort(self) -> None:
        """End the session at once, without sending what is buffered."""
        if self._transport is not None:
            self._over = True
            self._transport.abort()

    def _waiting(self) -> int:
        assert self._transport is not None
        return self._transport.get_write_buffer_size()

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _check_deadlines(self) -> None:
        """At the next deadline: drop a client that is not authenticated in time or silent too long, or ping it."""
        timing, now = self._context.timing, self._loop.time()
        silent = now - self._heard
        if silent >= timing.reap or (not self._authenticated and now - self._born >= timing.handshake):
            self.abort()
            return
        if silent >= timing.ping and not self._asked and self._authenticated:
            self._asked = True
            self.send(api.PingRequest())
        deadlines = [self._heard + timing.reap]
        if not self._asked:
            deadlines.append(self._heard + timing.ping)
        if not self._authenticated:
            deadlines.append(self._born + timing.handshake)
        shortest = timing.ping / 10
        self._watch = self._loop.call_later(max(min(deadlines) - now, shortest), self._check_deadlines)

    def _receive(self, number: int, payload: bytes) -> None:
        message = parse(number, payload)
        if message is None:
            if not self._authenticated and (number in KNOWN or self._context.firmware.guards_unknown):
                self._refuse()
        elif isinstance(message, api.HelloRequest):
            self._hello(message)
        elif isinstance(message, api.AuthenticationRequest) and self._wants_login():
            self._authenticate(message)
        elif isinstance(message, api.DisconnectRequest):
            self.send(api.DisconnectResponse())
            self.close()
        elif isinstance(message, api.DisconnectResponse):
            self.close()
        elif isinstance(message, api.PingRequest):
            self.send(api.PingResponse())
        elif self._authenticated or (self._greeted and isinstance(message, api.DeviceInfoRequest)):
            self._context.serve(self, message)
        else:
            self._refuse()

    def _refuse(self) -> None:
        log.debug("client is not authenticated", node=self._context.name)
        self.close()

    def _hello(self, message: Message) -> None:
        request: api.HelloRequest = message
        self.client = request.client_info
        self._greeted = True
        firmware, name = self._context.firmware, self._context.name
        major, minor = firmware.api
        self.send(
            api.HelloResponse(
                api_version_major=major,
                api_version_minor=minor,
                server_info=f"{name} (esphome v{firmware.version})" if firmware.long_hello else firmware.version,
                name=name,
            )
        )
        self._authenticated = not self._wants_login()
        if request.outgoing_connection_target and self._authenticated and not self._target:
            self._target = True
            self._context.targeted(self)

    def _wants_login(self) -> bool:
        login = self._context.firmware.login
        return login is Login.ALWAYS or (login is Login.WHERE_SET and self._context.password is not None)

    def _authenticate(self, message: Message) -> None:
        request: api.AuthenticationRequest = message
        right = (self._context.password or Secret("")) == Secret(request.password)
        self._authenticated = right and self._greeted
        self.send(api.AuthenticationResponse(invalid_password=not right))
