"""One connection to the broker: it publishes messages with QoS 1 and receives Home Assistant's birth messages.

Every wait has a limit: a broker that does not acknowledge within ten seconds has lost the connection. Every way of
losing it is one error, :class:`Lost`, with its cause in words.
"""

import asyncio
import logging
import math
import re
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

import aiomqtt
import structlog
from aiomqtt import ProtocolVersion
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.reasoncodes import ReasonCode

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.sinks.mqtt.settings import Settings
from proxy_listener.sinks.mqtt.topics import OFFLINE, ONLINE, Message, Topics

log = structlog.get_logger()

IN_FLIGHT = 20
"""Most messages that may be unacknowledged, which is how many are repeated after a crash. It is Mosquitto's default
for ``max_inflight_messages``."""

CONNECT = 3.0
ANSWER = 10.0
KEEPALIVE = 30
GOODBYE = 0.7
"""Seconds to connect (in a thread that the end of the program waits for), for an answer, between keep-alive packets,
and for each of the two steps of disconnecting: the service has two seconds to stop."""

REFUSED_VERSION = {1, 132}
"""Reason codes for a protocol version that the broker does not know, of MQTT 3.1.1 and of MQTT 5."""

QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Linux only. The kernel clears the option by itself, so it is set for each acknowledgement."""

SILENT = "it does not answer"
ENDED = "the connection ended"
HUNG_UP = "it ended the connection instead of answering"

_silent = logging.getLogger("aiomqtt.proxy_listener")
_silent.setLevel(logging.CRITICAL)
"""aiomqtt logs a line for each message beyond ten in flight, and for each that does not fit into its queue."""


class Lost(ProxyListenerError):  # noqa: N818  it reads as what happened
    """The connection could not be made, or has ended.

    ``version`` is how the broker answered the version of MQTT: ``refused``, ``silent`` (no answer, which is how some
    brokers treat a version that they do not know), or empty where the cause is another.
    """

    def __init__(self, cause: str, version: Literal["refused", "silent", ""] = "") -> None:
        super().__init__(cause)
        self.version = version


class _Client(aiomqtt.Client):
    """Adds two things of MQTT 5 that aiomqtt ignores: the broker's receive maximum, and refused publications."""

    receive_maximum = 65_535
    refusal: str | None = None
    given_up = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._client.connect_timeout = CONNECT

    def _acknowledge(self) -> None:
        """Make TCP acknowledge at once what was received.

        Mosquitto does not send its second PUBACK before TCP acknowledged the first (Nagle), and Linux delays that by
        40 ms. Measured on loopback: one thousand messages a second with the delay, seven thousand without.
        """
        sock = self._client.socket()
        if QUICKACK is not None and isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)

    def _on_socket_open(self, client: Any, userdata: Any, sock: Any) -> None:
        """The thread that connects cannot be stopped, so a socket that it opens after the timeout is closed here."""
        if self.given_up:
            raise ConnectionAbortedError
        super()._on_socket_open(client, userdata, sock)

    async def ended(self) -> str:
        """Wait for the end of the connection; returns its cause."""
        await asyncio.wait({self._disconnected})
        error = None if self._disconnected.cancelled() else self._disconnected.exception()
        return _cause(error) if isinstance(error, Exception) else ENDED

    async def hang_up(self) -> None:
        """Close the socket. aiomqtt leaves it open where the broker does not answer."""
        self.given_up = True
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            await asyncio.sleep(0.01)  # paho notices by reading, and closes it
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()  # an exception that is never retrieved is logged

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        self.receive_maximum = getattr(properties, "ReceiveMaximum", self.receive_maximum)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        """Fail the pending connect where the broker closes the socket before CONNACK: aiomqtt never notices that."""
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(HUNG_UP))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:
        if isinstance(reason_code, ReasonCode) and reason_code.is_failure:
            if self.refusal != str(reason_code):
                log.warning(
                    "the broker refuses what is published; its ACL must let this user write",
                    reason=str(reason_code),
                )
            self.refusal = str(reason_code)
        self._acknowledge()
        super()._on_publish(client, userdata, mid, reason_code, properties)


class Broker:
    """An open connection to the broker."""

    def __init__(self, client: _Client) -> None:
        self._client = client
        self._slots = asyncio.Semaphore(min(IN_FLIGHT, client.receive_maximum))

    async def publish(self, messages: Sequence[Message]) -> None:
        """Send all, in order; returns when the broker has acknowledged all of them."""
        if len(messages) == 1:
            await self._publish(messages[0])
            return
        # Tasks send in the order in which they are made. All are awaited, because asyncio logs the error of a task
        # that nobody awaits; the first error is raised.
        done = await asyncio.gather(*map(self._publish, messages), return_exceptions=True)
        for outcome in done:
            if outcome is not None:
                raise outcome

    async def _publish(self, message: Message) -> None:
        async with self._slots, _answered():
            await self._client.publish(message.topic, message.payload.encode(), qos=1, retain=message.retain)

    async def ended(self) -> None:
        """Wait for the end of the connection and raise Lost. aiomqtt does not end calls that wait for an answer."""
        raise Lost(await self._client.ended())

    async def births(self, topic: str) -> AsyncIterator[None]:
        """Yield each time that Home Assistant publishes on ``topic`` that it has started."""
        async with _answered():
            await self._client.subscribe(topic, qos=1)
        try:
            async for message in self._client.messages:
                if message.payload == ONLINE.encode():
                    yield
        except aiomqtt.MqttError as error:
            raise Lost(_cause(error)) from None


@asynccontextmanager
async def _answered() -> AsyncIterator[None]:
    """Raise Lost for a timeout and for every error of aiomqtt.

    The limit is here because aiomqtt uses ``asyncio.wait_for``, which in Python 3.11 loses a cancellation that arrives
    together with the answer; the service would then not stop.
    """
    try:
        async with asyncio.timeout(ANSWER):
            yield
    except TimeoutError:
        raise Lost(SILENT) from None
    except aiomqtt.MqttError as error:
        raise Lost(_cause(error)) from None


def _cause(error: Exception) -> str:
    """An error of aiomqtt, in words."""
    inner = error.__cause__ or error
    text = re.sub(r"^\[code:\d*\] ", "", str(inner)) or type(inner).__name__
    return _WORDS.get(text, text)


_WORDS = {"Unspecified error": ENDED}
"""paho's text for a broker that closed the connection."""


@asynccontextmanager
async def connect(
    settings: Settings, topics: Topics, client_id: str, version: ProtocolVersion
) -> AsyncIterator[Broker]:
    """A connection with a last will. When the block is cancelled, ``offline`` is published before disconnecting."""
    host, port = settings.address
    client = _Client(
        host,
        port,
        username=settings.user,
        password=settings.password.reveal() if settings.password else None,
        identifier=client_id,
        protocol=version,
        will=aiomqtt.Will(topics.bridge, OFFLINE, qos=1, retain=True),
        clean_session=None if version == ProtocolVersion.V5 else True,
        timeout=math.inf,
        keepalive=KEEPALIVE,
        max_inflight_messages=IN_FLIGHT,
        max_queued_incoming_messages=16,
        tls_context=await asyncio.to_thread(tls, settings) if settings.encrypted else None,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        logger=_silent,
    )
    try:
        async with asyncio.timeout(ANSWER):
            await client.__aenter__()
    except BaseException as error:
        await client.hang_up()
        if isinstance(error, MqttConnectError):
            raise Lost(_cause(error), "refused" if _code(error) in REFUSED_VERSION else "") from None
        if isinstance(error, TimeoutError):
            raise Lost(SILENT, "silent") from None
        if isinstance(error, aiomqtt.MqttError | OSError | ValueError):
            raise Lost(_cause(error), "silent" if str(error) == HUNG_UP else "") from None
        raise
    try:
        yield Broker(client)
    except Exception:
        await _disconnect(client)
        raise
    except BaseException:
        await _disconnect(client, Message(topics.bridge, OFFLINE, retain=True))
        raise
    await _disconnect(client)


def tls(settings: Settings) -> ssl.SSLContext:
    """The context that verifies the broker's certificate and name. Raises Lost where a file is no certificate."""
    try:
        context = ssl.create_default_context(cafile=settings.ca)
        if settings.cert is not None:
            # Without the password argument, OpenSSL asks for an encrypted key's passphrase on the terminal.
            context.load_cert_chain(settings.cert, settings.key, password=lambda: b"")
    except (ssl.SSLError, OSError) as error:
        raise Lost(f"the certificates cannot be used: {error}") from None
    return context


def _code(error: MqttConnectError) -> int:
    return error.rc.value if isinstance(error.rc, ReasonCode) else error.rc or 0


async def _disconnect(client: _Client, last: Message | None = None) -> None:
    """``last`` is published first; it is for a connection that works. For another, the broker has the last will."""
    with suppress(aiomqtt.MqttError, TimeoutError):
        async with asyncio.timeout(GOODBYE):
            if last is not None:
                await client.publish(last.topic, last.payload.encode(), qos=1, retain=last.retain)
    with suppress(aiomqtt.MqttError, TimeoutError):
        async with asyncio.timeout(GOODBYE):
            await client.__aexit__(None, None, None)
    await client.hang_up()
