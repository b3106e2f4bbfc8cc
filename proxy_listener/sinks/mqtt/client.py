"""aiomqtt's client, with what it lacks: limits of what a broker may send, and an end to every wait.

Bytes of the socket come in through paho; answers go out, or :class:`Lost` with a cause in words.
"""

import asyncio
import logging
import re
import socket
from contextlib import suppress
from typing import Any, Literal

import aiomqtt
import structlog
from paho.mqtt.reasoncodes import ReasonCode

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.sinks.mqtt.limits import Received

log = structlog.get_logger()

CONNECT = 3.0
"""Seconds to connect, in a thread that the end of the program waits for."""

QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Linux only. The kernel clears the option by itself, so it is set for each acknowledgement."""

ENDED = "the connection ended"
HUNG_UP = "it ended the connection instead of answering"

quiet = logging.getLogger("aiomqtt.proxy_listener")
quiet.setLevel(logging.CRITICAL)
"""aiomqtt logs a line for each message beyond ten in flight, and for each that does not fit into its queue."""


class Lost(ProxyListenerError):  # noqa: N818  it reads as what happened
    """The connection could not be made, or has ended.

    ``version`` is how the broker answered the version of MQTT: ``refused``, ``silent`` (no answer, which is how some
    brokers treat a version that they do not know), or empty where the cause is another. ``refused``: the broker
    answers, and the next attempt is likely to end in the same way.
    """

    def __init__(self, cause: str, version: Literal["refused", "silent", ""] = "", *, refused: bool = False) -> None:
        super().__init__(cause)
        self.version = version
        self.refused = refused


class Client(aiomqtt.Client):
    """Adds two things of MQTT 5 that aiomqtt ignores: the broker's receive maximum, and refused publications; and the
    limits of what a broker may send.
    """

    receive_maximum = 65_535
    given_up = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._client.connect_timeout = CONNECT
        self.refusals: set[str] = set()
        self.received = Received(self._loop.time())
        self._receive = self._client._sock_recv  # noqa: SLF001  there is no public way to limit a packet
        self._client._sock_recv = self._limited  # type: ignore[method-assign]  # noqa: SLF001

    def _limited(self, bufsize: int) -> bytes:
        """Take bytes from the socket. paho asks for a packet's whole body at once, as long as its header says."""
        packet = self._client._in_packet  # noqa: SLF001
        if packet["have_remaining"]:
            self.received.announced(packet["command"], bufsize)
        data = self._receive(bufsize)
        self.received.took(len(data), self._loop.time())
        return data

    def lost(self, error: BaseException | None) -> Lost:
        """The error for everything that awaits an answer."""
        if self.received.error is not None:
            return Lost(str(self.received.error), refused=True)
        return Lost(cause(error) if isinstance(error, Exception) else ENDED)

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

    async def ended(self) -> Lost:
        """Wait for the end of the connection."""
        await asyncio.wait({self._disconnected})
        return self.lost(None if self._disconnected.cancelled() else self._disconnected.exception())

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
        """Fail the pending connect where the broker closes the socket before CONNACK: aiomqtt never notices that. It
        does not expect either that the attempt was given up before, which cancels the future.
        """
        if self._connected.cancelled():
            return
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(HUNG_UP))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:
        if isinstance(reason_code, ReasonCode) and reason_code.is_failure:
            if str(reason_code) not in self.refusals:
                log.warning(
                    "the broker refuses what is published; its ACL must let this user write",
                    reason=str(reason_code),
                )
            self.refusals.add(str(reason_code))
        self._acknowledge()
        super()._on_publish(client, userdata, mid, reason_code, properties)


def cause(error: Exception) -> str:
    """An error of aiomqtt, in words."""
    inner = error.__cause__ or error
    text = re.sub(r"^\[code:\d*\] ", "", str(inner)) or type(inner).__name__
    return _WORDS.get(text, text)


_WORDS = {"Unspecified error": ENDED}
"""paho's text for a broker that closed the connection."""
