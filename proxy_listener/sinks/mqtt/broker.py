"""One connection to the broker: it publishes messages with QoS 1 and receives Home Assistant's birth messages.

Every wait has a limit: a broker that does not acknowledge within ten seconds has lost the connection. Every way of
losing it is one error, :class:`Lost`, with its cause in words.
"""

import asyncio
import math
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import aiomqtt
from aiomqtt import ProtocolVersion
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from proxy_listener.sinks.mqtt.client import HUNG_UP, Client, Lost, cause, quiet
from proxy_listener.sinks.mqtt.limits import LARGEST
from proxy_listener.sinks.mqtt.settings import Settings
from proxy_listener.sinks.mqtt.topics import OFFLINE, ONLINE, Message, Topics

IN_FLIGHT = 20
"""Most messages that may be unacknowledged, which is how many are repeated after a crash. It is Mosquitto's default
for ``max_inflight_messages``."""

ANSWER = 10.0
KEEPALIVE = 30
GOODBYE = 0.7
"""Seconds for an answer, between keep-alive packets, and for each of the two steps of disconnecting: the service has
two seconds to stop."""

REFUSED_VERSION = {1, 132}
"""Reason codes for a protocol version that the broker does not know, of MQTT 3.1.1 and of MQTT 5."""

UNAVAILABLE = {3, 136, 137}
"""Reason codes for a broker that is not ready yet or has no room, of MQTT 3.1.1 and of MQTT 5."""

SILENT = "it does not answer"


class Broker:
    """An open connection to the broker."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._slots = asyncio.Semaphore(max(1, min(IN_FLIGHT, client.receive_maximum)))

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
        async with self._slots, self._answered():
            self._client.received.published()
            await self._client.publish(message.topic, message.payload.encode(), qos=1, retain=message.retain)

    async def ended(self) -> None:
        """Wait for the end of the connection and raise Lost. aiomqtt does not end calls that wait for an answer."""
        raise await self._client.ended()

    async def births(self, topic: str) -> AsyncIterator[None]:
        """Yield each time that Home Assistant publishes on ``topic`` that it has started."""
        async with self._answered():
            await self._client.subscribe(topic, qos=1)
        try:
            async for message in self._client.messages:
                if message.payload == ONLINE.encode():
                    yield
        except aiomqtt.MqttError as error:
            raise self._client.lost(error) from None

    @asynccontextmanager
    async def _answered(self) -> AsyncIterator[None]:
        """Raise Lost for a timeout and for every error of aiomqtt.

        The limit is here because aiomqtt uses ``asyncio.wait_for``, which in Python 3.11 loses a cancellation that
        arrives together with the answer; the service would then not stop.
        """
        try:
            async with asyncio.timeout(ANSWER):
                yield
        except TimeoutError:
            raise Lost(SILENT) from None
        except aiomqtt.MqttError as error:
            raise self._client.lost(error) from None


@asynccontextmanager
async def connect(
    settings: Settings, topics: Topics, client_id: str, version: ProtocolVersion
) -> AsyncIterator[Broker]:
    """A connection with a last will. When the block is cancelled, ``offline`` is published before disconnecting."""
    host, port = settings.address
    client = Client(
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
        properties=_limits() if version == ProtocolVersion.V5 else None,
        tls_context=await asyncio.to_thread(tls, settings) if settings.encrypted else None,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        logger=quiet,
    )
    try:
        async with asyncio.timeout(ANSWER):
            await client.__aenter__()
    except BaseException as error:
        await client.hang_up()
        if isinstance(error, MqttConnectError):
            code = _code(error)
            raise Lost(
                cause(error), "refused" if code in REFUSED_VERSION else "", refused=code not in UNAVAILABLE
            ) from None
        if isinstance(error, TimeoutError):
            raise Lost(SILENT, "silent") from None
        if client.received.error is not None:
            raise Lost(str(client.received.error), refused=True) from None
        if isinstance(error, aiomqtt.MqttError | OSError | ValueError):
            raise Lost(cause(error), "silent" if str(error) == HUNG_UP else "") from None
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


def _limits() -> Properties:
    """A broker that keeps to MQTT 5 drops a larger message instead of sending it, so the connection lasts."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = LARGEST
    return properties


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


async def _disconnect(client: Client, last: Message | None = None) -> None:
    """``last`` is published first; it is for a connection that works. For another, the broker has the last will."""
    with suppress(aiomqtt.MqttError, TimeoutError):
        async with asyncio.timeout(GOODBYE):
            if last is not None:
                await client.publish(last.topic, last.payload.encode(), qos=1, retain=last.retain)
    with suppress(aiomqtt.MqttError, TimeoutError):
        async with asyncio.timeout(GOODBYE):
            await client.__aexit__(None, None, None)
    await client.hang_up()
