"""A connection to the broker: made, used for publishing with QoS 1, given up when it does not answer.

The rule of this file: nothing waits for a broker for ever. What it does not acknowledge within ten seconds it has not
got, and the connection is lost; every way of losing it is one error, :class:`Lost`, with its cause in words.
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
"""Messages that wait for their acknowledgement at most: so many are repeated after a crash. It is also what brokers
take at once unless told otherwise."""

CONNECT = 3.0
ANSWER = 10.0
KEEPALIVE = 30
GOODBYE = 0.7
"""Seconds to reach the broker (in a thread, for which the end of the program waits), for it to answer, between signs of
life, and for each of the two steps of parting: the service has two seconds to stop."""

REFUSED_VERSION = {1, 132}
"""Reason codes for a protocol version that the broker does not speak: MQTT 3.1.1's and MQTT 5's."""

QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Linux only, and to be said each time."""

SILENT = "it does not answer"
ENDED = "the connection ended"
HUNG_UP = "it ended the connection instead of answering"

_quiet = logging.getLogger("aiomqtt.proxy_listener")
_quiet.setLevel(logging.CRITICAL)
"""aiomqtt writes a line for each message beyond ten in flight, and for each that its queue does not take."""


class Lost(ProxyListenerError):  # noqa: N818  it reads as what happened
    """No connection, or none any more.

    ``version`` says what the broker thinks of the version of MQTT: ``refused``, ``silent`` (it said nothing, which is
    how some part from what they do not know), or nothing is known.
    """

    def __init__(self, cause: str, version: Literal["refused", "silent", ""] = "") -> None:
        super().__init__(cause)
        self.version = version


class _Client(aiomqtt.Client):
    """aiomqtt passes over two things that MQTT 5 brokers say: how much they take at once, and that they refuse."""

    receive_maximum = 65_535
    refusal: str | None = None
    given_up = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._client.connect_timeout = CONNECT

    def _acknowledge(self) -> None:
        """Confirms what was received at once. Mosquitto holds its second acknowledgement back until TCP confirmed the
        first (Nagle), and TCP waits 40 ms with that unless there is something to send: on loopback that was a
        thousand messages a second instead of seven thousand.
        """
        sock = self._client.socket()
        if QUICKACK is not None and isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)

    def _on_socket_open(self, client: Any, userdata: Any, sock: Any) -> None:
        """The thread that connects cannot be stopped: what it opens when nobody waits any more is closed again."""
        if self.given_up:
            raise ConnectionAbortedError
        super()._on_socket_open(client, userdata, sock)

    async def ended(self) -> str:
        """Waits for the end of the connection, and says why."""
        await asyncio.wait({self._disconnected})
        error = None if self._disconnected.cancelled() else self._disconnected.exception()
        return _cause(error) if isinstance(error, Exception) else ENDED

    async def hang_up(self) -> None:
        """Ends the connection without a word. aiomqtt leaves the socket of one that does not answer open."""
        self.given_up = True
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            await asyncio.sleep(0.01)  # paho notices by reading, and closes it
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()  # which would be logged where nobody asks

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        self.receive_maximum = getattr(properties, "ReceiveMaximum", self.receive_maximum)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        """Who hung up instead of answering is waited for by aiomqtt for ever."""
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
    """An open connection."""

    def __init__(self, client: _Client) -> None:
        self._client = client
        self._slots = asyncio.Semaphore(min(IN_FLIGHT, client.receive_maximum))

    async def publish(self, messages: Sequence[Message]) -> None:
        """Sends all, in order, and returns when the broker acknowledged all of them."""
        if len(messages) == 1:
            await self._publish(messages[0])
            return
        # All are sent in the order in which their tasks begin. The first that fails is told; the others are awaited,
        # because one that is left alone would report its error to nobody.
        done = await asyncio.gather(*map(self._publish, messages), return_exceptions=True)
        for outcome in done:
            if outcome is not None:
                raise outcome

    async def _publish(self, message: Message) -> None:
        async with self._slots, _answered():
            await self._client.publish(message.topic, message.payload.encode(), qos=1, retain=message.retain)

    async def ended(self) -> None:
        """Waits for the end of the connection, which is Lost. Those who wait for an answer are not told by aiomqtt."""
        raise Lost(await self._client.ended())

    async def births(self, topic: str) -> AsyncIterator[None]:
        """Each time that Home Assistant says on ``topic`` that it has started."""
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
    """Every way of not being answered is Lost.

    Time is limited here because aiomqtt limits it by ``wait_for``, which in Python 3.11 forgets a cancellation that
    meets the answer, and with it the end of the service.
    """
    try:
        async with asyncio.timeout(ANSWER):
            yield
    except TimeoutError:
        raise Lost(SILENT) from None
    except aiomqtt.MqttError as error:
        raise Lost(_cause(error)) from None


def _cause(error: Exception) -> str:
    """An error of aiomqtt, in words for people."""
    inner = error.__cause__ or error
    text = re.sub(r"^\[code:\d*\] ", "", str(inner)) or type(inner).__name__
    return _WORDS.get(text, text)


_WORDS = {"Unspecified error": ENDED}
"""What paho says of a broker that hung up."""


@asynccontextmanager
async def connected(
    settings: Settings, topics: Topics, client_id: str, version: ProtocolVersion
) -> AsyncIterator[Broker]:
    """A connection with its last will set; on the way out the broker is told that we go, if it still listens."""
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
        logger=_quiet,
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
        await _part(client)
        raise
    except BaseException:
        await _part(client, Message(topics.bridge, OFFLINE, retain=True))
        raise
    await _part(client)


def tls(settings: Settings) -> ssl.SSLContext:
    """Verifies the broker's certificate and name. Lost where a file is no certificate."""
    try:
        context = ssl.create_default_context(cafile=settings.ca)
        if settings.cert is not None:
            # An encrypted key would make OpenSSL ask for its passphrase on the terminal.
            context.load_cert_chain(settings.cert, settings.key, password=lambda: b"")
    except (ssl.SSLError, OSError) as error:
        raise Lost(f"the certificates cannot be used: {error}") from None
    return context


def _code(error: MqttConnectError) -> int:
    return error.rc.value if isinstance(error.rc, ReasonCode) else error.rc or 0


async def _part(client: _Client, last: Message | None = None) -> None:
    """With a ``last`` message where the connection is sound; one that is not, the broker's last will speaks for."""
    with suppress(aiomqtt.MqttError, TimeoutError):
        async with asyncio.timeout(GOODBYE):
            if last is not None:
                await client.publish(last.topic, last.payload.encode(), qos=1, retain=last.retain)
    with suppress(aiomqtt.MqttError, TimeoutError):
        async with asyncio.timeout(GOODBYE):
            await client.__aexit__(None, None, None)
    await client.hang_up()
