"""One API client of a node: its bytes, its hello and password, its pings, its end.

Bytes come in from the transport and leave over it; messages that are not about the session itself go to
:attr:`Door.serve`. The rule of this file: a session ends in exactly one way, :meth:`Session.connection_lost`,
whoever wanted it to.
"""

import asyncio
import struct
from collections.abc import Callable
from socket import SO_LINGER, SOL_SOCKET

import attrs
import structlog
from google.protobuf.message import Message

from proxy_listener.model.secret import Secret
from proxy_listener.node.firmware import Firmware, Login, Timing
from proxy_listener.node.messages import KNOWN, NUMBERS, api, parse
from proxy_listener.node.wire import Wire, WireError

log = structlog.get_logger()

SEND_BUFFER = 5_744
"""Bytes: lwIP's TCP_SND_BUF on ESP32, four segments. Beyond it a batch of advertisements is thrown away."""
BACKLOG = 8
"""Messages that must arrive and wait behind a full buffer; one more ends the session (ESP32)."""


@attrs.frozen
class Door:
    """What a node gives to each session. ``wire`` picks the framing by the first byte that came."""

    name: str
    firmware: Firmware
    timing: Timing
    password: Secret | None
    wire: Callable[[int], Wire]
    serve: Callable[["Session", Message], None]
    opened: Callable[["Session"], bool]
    closed: Callable[["Session"], None]


class Session(asyncio.Protocol):
    """One client."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._wire: Wire | None = None
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._watch: asyncio.TimerHandle | None = None
        self._born = self._heard = self._loop.time()
        self._asked = False
        self._greeted = self._authenticated = self._over = False
        self._backlog = 0
        self._held: list[bytes] | None = None
        self.client = ""

    def is_over(self) -> bool:
        """Nothing more is taken from the client."""
        return self._over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: a client is there. One too many is accepted and closed, as in the firmware."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._door.opened(self):
            self.close()
            return
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio: the session is over."""
        del exc
        self._over = True
        if self._watch is not None:
            self._watch.cancel()
        self._door.closed(self)

    def data_received(self, data: bytes) -> None:
        """Asyncio: bytes of the client."""
        if self.is_over():
            return
        self._heard = self._loop.time()
        self._asked = False
        if self._wire is None:
            self._wire = self._door.wire(data[0])
        try:
            for number, payload in self._wire.receive(data):
                self._write(self._wire.outgoing())
                self._take(number, payload)
                if self.is_over():
                    return
        except WireError as error:
            log.debug("a client's bytes are refused", node=self._door.name, reason=str(error))
            self._write(self._wire.outgoing())
            self.close()
            return
        self._write(self._wire.outgoing())

    def send(self, *messages: Message) -> None:
        """Send what must arrive. A client that lets too much of it pile up is dropped."""
        if self._over or self._wire is None:
            return
        if self._waiting() > SEND_BUFFER:
            self._backlog += len(messages)
            if self._backlog > BACKLOG and self._held is None:
                self.abort()
                return
        else:
            self._backlog = 0
        self._write(self._wire.pack([(NUMBERS[type(message)], message.SerializeToString()) for message in messages]))

    def offer(self, message: Message) -> bool:
        """Send what may be lost: False, and nothing sent, while the buffer is full."""
        if self._over or self._wire is None or self._waiting() > SEND_BUFFER:
            return False
        self._write(self._wire.pack([(NUMBERS[type(message)], message.SerializeToString())]))
        return True

    def say_goodbye(self) -> None:
        """The node ends the session as the protocol wants it; the client has a moment to answer."""
        if self._authenticated and self._held is None:
            self.send(api.DisconnectRequest())
            self._loop.call_later(self._door.timing.farewell, self.close)
        else:
            self.close()

    def close(self) -> None:
        """End the session after what is written."""
        if self._transport is not None:
            self._over = True
            self._transport.close()

    def abort(self) -> None:
        """End the session at once; what is not sent stays unsent."""
        if self._transport is not None:
            self._over = True
            self._transport.abort()

    def reset(self) -> None:
        """End the session with a TCP reset, as whoever comes back from a power loss and knows nothing of it."""
        if self._transport is not None:
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def freeze(self) -> None:
        """Stop reading and writing without closing, as a node does whose Wi-Fi stalls."""
        if self._transport is not None and self._held is None and not self._over:
            self._held = []
            self._transport.pause_reading()

    def thaw(self) -> None:
        """Go on: what TCP held back arrives in a burst."""
        if self._transport is None or self._held is None or self._over:
            return
        held, self._held = self._held, None
        self._heard = self._loop.time()
        self._transport.resume_reading()
        self._transport.writelines(held)

    def _waiting(self) -> int:
        assert self._transport is not None
        held = sum(map(len, self._held)) if self._held is not None else 0
        return held + self._transport.get_write_buffer_size()

    def _write(self, data: bytes) -> None:
        if not data or self._transport is None or self._transport.is_closing():
            return
        if self._held is not None:
            self._held.append(data)
        else:
            self._transport.write(data)

    def _look(self) -> None:
        """Once per deadline: unfinished handshake, silence, longer silence."""
        timing, now = self._door.timing, self._loop.time()
        silent = now - self._heard
        if self._held is None:
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
        self._watch = self._loop.call_later(max(min(deadlines) - now, shortest), self._look)

    def _take(self, number: int, payload: bytes) -> None:
        message = parse(number, payload)
        if message is None:
            if not self._authenticated and (number in KNOWN or self._door.firmware.guards_unknown):
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
            self._door.serve(self, message)
        else:
            self._refuse()

    def _refuse(self) -> None:
        log.debug("a client did not authenticate", node=self._door.name)
        self.close()

    def _hello(self, message: Message) -> None:
        request: api.HelloRequest = message
        self.client = request.client_info
        self._greeted = True
        firmware, name = self._door.firmware, self._door.name
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

    def _wants_login(self) -> bool:
        login = self._door.firmware.login
        return login is Login.ALWAYS or (login is Login.WHERE_SET and self._door.password is not None)

    def _authenticate(self, message: Message) -> None:
        request: api.AuthenticationRequest = message
        right = (self._door.password or Secret("")) == Secret(request.password)
        self._authenticated = right and self._greeted
        self.send(api.AuthenticationResponse(invalid_password=not right))
