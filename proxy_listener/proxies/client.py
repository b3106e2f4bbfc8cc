"""One client of aioesphomeapi per session: a target and credentials in; the client and what the node says it is out.

Here, too: how many connection attempts run at once over all nodes, the node's own Wi-Fi reception, and what keeps the
libraries' messages out of the log. Invariant: what a node sends can neither fill the log nor put a traceback into it.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
from aioesphomeapi import api_pb2
from aioesphomeapi.client import APIClient
from aioesphomeapi.connection import APIConnection
from aioesphomeapi.model import BluetoothProxyFeature, DeviceInfo
from google.protobuf.message import DecodeError
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.model.advertisement import Address, parse_mac
from proxy_listener.model.status import ProxyState
from proxy_listener.model.text import printable
from proxy_listener.proxies.admission import Credentials
from proxy_listener.proxies.retry import Target
from proxy_listener.proxies.states import STATES, Diagnosis
from proxy_listener.proxies.timing import ProxyTiming

CLIENT = "proxy_listener"
DIALS = 64
"""TCP connections being opened at once. A dead address occupies a place for seconds; a thousand must not block all."""
HANDSHAKES = 4
"""Handshakes at once, over all nodes: after a power cut all come back together."""
SLOW = 2
"""Of these, with nodes that hung the last time or never proved a key: they cannot take every place."""

_API: Any = api_pb2
"""Protobuf's classes carry no types."""
_DIAGNOSTIC = 2
"""``EntityCategory``. The ``ble_rssi`` sensor of some device has the same class and unit, and no category."""
_WEAKEST = -127.0
"""dBm; the least that an ESP32 can report."""


@attrs.frozen
class NodeInfo:
    """What a node says it is. Its texts passed ``printable``. ``sleeps``: it is built with deep sleep. ``area``:
    the room that its firmware suggests, empty where it suggests none. ``project``: name and version.
    """

    name: str
    mac: Address | None
    version: str
    flags: int
    sleeps: bool
    area: str = ""
    bluetooth_mac: Address | None = None
    friendly_name: str = ""
    model: str = ""
    manufacturer: str = ""
    project: tuple[str, str] = ("", "")
    compiled: str = ""

    @property
    def refused(self) -> Diagnosis | None:
        """Why it cannot be used; None for a proxy that streams raw advertisements (firmware from 2023.6)."""
        if not self.flags:
            return STATES[ProxyState.NOT_A_PROXY]
        return None if self.flags & BluetoothProxyFeature.RAW_ADVERTISEMENTS else STATES[ProxyState.NO_RAW_STREAM]


class ConnectLimits:
    """How many connection attempts run at once, over all nodes."""

    def __init__(self) -> None:
        self.dialling = asyncio.Semaphore(DIALS)
        self._handshakes = asyncio.Semaphore(HANDSHAKES)
        self._slow = asyncio.Semaphore(SLOW)

    @asynccontextmanager
    async def handshaking(self, *, slow: bool) -> AsyncIterator[None]:
        """Wait for a place to do a handshake."""
        if slow:
            async with self._slow, self._handshakes:
                yield
        else:
            async with self._handshakes:
                yield


def make_client(
    target: Target,
    credentials: Credentials,
    expected: Address | None,
    timing: ProxyTiming,
    zeroconf: AsyncZeroconf | None,
    *,
    called: bool = False,
) -> APIClient:
    """A client for one session. ``called``: the node may call us later, and is told so. Secrets are revealed here and
    nowhere else.
    """
    key, password = credentials.noise_psk, credentials.password
    return APIClient(
        target.addresses[0],
        target.port,
        None if password is None else password.reveal(),
        client_info=CLIENT,
        keepalive=timing.keepalive,
        zeroconf_instance=zeroconf,
        noise_psk=None if key is None else key.reveal(),
        addresses=list(target.addresses),
        # The library compares it on Noise sessions only; ``admission.identify`` compares it on all.
        expected_mac=None if expected is None else f"{expected:012x}",
        # Do not act as the node's time source.
        provide_time=False,
        outgoing_connection_target=called,
    )


async def dial(client: APIClient) -> None:
    """Resolve the host and open the TCP connection. Raises the library's errors."""
    await client.start_resolve_host(log_errors=False)
    await client.start_connection()


async def handshake(client: APIClient) -> NodeInfo:
    """Shake hands over an open connection and ask what the node is. Raises the library's errors."""
    # Firmware before 2026.1 wants the login even without a password; later firmware ignores it.
    await client.finish_connection(login=True)
    info = await client.device_info()
    capabilities = await client.device_capabilities_compat(info)
    return _node_info(info, capabilities.bluetooth_proxy.feature_flags)


def connection_of(client: APIClient) -> APIConnection | None:
    """The client's connection. Private, because listing entities is unbounded in the library's public call."""
    return client._connection  # noqa: SLF001  there is no public way to it


def limit_socket(client: APIClient, limited: Callable[[socket.socket], socket.socket]) -> int | None:
    """Put another socket in the place of the client's, before the handshake; the descriptor. None where it is closed.

    Private: flood detection and coalescing need it, and nothing public leads there.
    """
    connection = connection_of(client)
    sock = connection._socket if connection is not None else None  # noqa: SLF001  there is no public way to it
    if connection is None or sock is None or sock.fileno() < 0:
        return None
    connection._socket = replaced = limited(sock)  # noqa: SLF001
    return replaced.fileno()


async def leave(client: APIClient, seconds: float) -> None:
    """Disconnect cleanly, so that the node frees the slot at once; close the socket where it does not answer."""
    try:
        async with asyncio.timeout(seconds):
            await client.disconnect()
    except TimeoutError:
        client.force_disconnect()


def _node_info(info: DeviceInfo, flags: int) -> NodeInfo:
    return NodeInfo(
        printable(info.name),
        _mac(info.mac_address),
        printable(info.esphome_version),
        flags,
        info.has_deep_sleep,
        area=printable(info.suggested_area),
        bluetooth_mac=_mac(info.bluetooth_mac_address),
        friendly_name=printable(info.friendly_name),
        model=printable(info.model),
        manufacturer=printable(info.manufacturer),
        project=(printable(info.project_name), printable(info.project_version)),
        compiled=printable(info.compilation_time),
    )


def _mac(text: str) -> Address | None:
    try:
        return parse_mac(text)
    except ValueError:
        return None


class WifiSignal:
    """How well a node receives its own Wi-Fi, over one session; ``rssi`` is None while it is not known.

    ::

        ListEntitiesRequest -> sensor: key 7, device class signal_strength, unit dBm, category diagnostic
                               ... other entities ... done
        SubscribeStatesRequest -> state: key 7, -58.0         now, and every minute

    Only a node with a ``wifi_signal`` sensor in its YAML reports it (docs/protocol/esphome-proxy.md#wi-fi-signal). One
    key and one number are kept, however much a node lists or sends.
    """

    def __init__(self, connection: APIConnection) -> None:
        self.rssi: int | None = None
        self._connection = connection
        self._key: int | None = None
        self._stop_listing: Callable[[], None] | None = connection.send_message_callback_response(
            _API.ListEntitiesRequest(), self._listed, (_API.ListEntitiesSensorResponse, _API.ListEntitiesDoneResponse)
        )

    def _listed(self, message: Any) -> None:
        """One entity, or the end of them."""
        if type(message) is _API.ListEntitiesDoneResponse:
            self._subscribe()
        elif (
            self._key is None
            and message.device_class == "signal_strength"
            and message.unit_of_measurement == "dBm"
            and message.entity_category == _DIAGNOSTIC
        ):
            self._key = message.key

    def _subscribe(self) -> None:
        if self._stop_listing is not None:
            self._stop_listing()
            self._stop_listing = None
            if self._key is not None:
                self._connection.send_message_callback_response(
                    _API.SubscribeStatesRequest(), self._received, (_API.SensorStateResponse,)
                )

    def _received(self, message: Any) -> None:
        if message.key == self._key:
            known = not message.missing_state and _WEAKEST <= message.state <= 0.0
            self.rssi = round(message.state) if known else None


class _DropGarbage(logging.Filter):
    """Drops asyncio's report of a protocol that failed on bytes which are no message: the session's end reports it."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, DecodeError)


_DROP_GARBAGE = _DropGarbage()


def silence_libraries() -> None:
    """Keep the libraries' messages out of the log: their failures become states. May be called again."""
    for name in ("aioesphomeapi", "zeroconf"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").addFilter(_DROP_GARBAGE)
