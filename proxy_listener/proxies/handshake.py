"""How a session begins, up to knowing what the node is: a target and a key in, the client and the node's own words out.

The rule of this file: the whole attempt has one time limit, and only a few handshakes are under way at once, so that
one node that hangs, or a hundred that pretend to be nodes, keep nobody else waiting.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import attrs
from aioesphomeapi.client import APIClient
from aioesphomeapi.connection import APIConnection
from aioesphomeapi.model import APIVersion, DeviceInfo
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.model.advertisement import Address, parse_mac
from proxy_listener.model.text import printable
from proxy_listener.proxies.access import Access
from proxy_listener.proxies.targets import Target
from proxy_listener.proxies.timing import Timing

CLIENT = "proxy_listener"
DIALS = 64
"""TCP connections being opened at once. A dead address holds its place for seconds; a thousand must not hold all."""
HANDSHAKES = 4
"""Handshakes at once, over all nodes: after a power cut all come back together."""
SLOW = 2
"""Of these, with nodes that hung the last time or never proved themselves: they cannot take every place."""


@attrs.frozen
class Node:
    """What a node says it is. Its texts passed ``printable``. ``sleeps``: it is built with deep sleep."""

    name: str
    friendly_name: str
    area: str
    mac: Address | None
    version: str
    flags: int
    api: tuple[int, int]
    sleeps: bool


class Lanes:
    """How much goes on at once, over all nodes."""

    def __init__(self) -> None:
        self._dials = asyncio.Semaphore(DIALS)
        self._handshakes = asyncio.Semaphore(HANDSHAKES)
        self._slow = asyncio.Semaphore(SLOW)

    @asynccontextmanager
    async def dialling(self) -> AsyncIterator[None]:
        """A place to open a TCP connection."""
        async with self._dials:
            yield

    @asynccontextmanager
    async def handshaking(self, *, slow: bool) -> AsyncIterator[None]:
        """A place to shake hands."""
        if slow:
            async with self._slow, self._handshakes:
                yield
        else:
            async with self._handshakes:
                yield


def make_client(
    target: Target, access: Access, expected: Address | None, timing: Timing, zeroconf: AsyncZeroconf | None
) -> APIClient:
    """A client for one session. The secrets leave their wrapping here and nowhere else."""
    return APIClient(
        target.addresses[0],
        target.port,
        None if access.password is None else access.password.reveal(),
        client_info=CLIENT,
        keepalive=timing.keepalive,
        zeroconf_instance=zeroconf,
        noise_psk=None if access.noise_psk is None else access.noise_psk.reveal(),
        addresses=list(target.addresses),
        # Checked by the library on Noise sessions only; the node's own word is compared on all.
        expected_mac=None if expected is None else f"{expected:012x}",
        # A node may ask its clients for the time; that is not our office.
        provide_time=False,
    )


async def dial(client: APIClient) -> None:
    """Resolve the host and open the TCP connection. Raises the library's errors."""
    await client.start_resolve_host(log_errors=False)
    await client.start_connection()


async def greet(client: APIClient) -> Node:
    """Shake hands over an open connection and ask what the node is. Raises the library's errors."""
    # Firmware before 2026.1 wants the login even without a password; later firmware ignores it.
    await client.finish_connection(login=True)
    info = await client.device_info()
    capabilities = await client.device_capabilities_compat(info)
    return _node(info, capabilities.bluetooth_proxy.feature_flags, client.api_version)


def connection_of(client: APIClient) -> APIConnection | None:
    """Its connection, for messages that the library has no bounded call for."""
    return client._connection  # noqa: SLF001  there is no public way to it


def socket_of(client: APIClient) -> socket.socket | None:
    """Its socket, for what coalescing and traffic need and the library has no word for. Only to look at."""
    connection = connection_of(client)
    sock = connection._socket if connection is not None else None  # noqa: SLF001  there is no public way to it
    return sock if sock is not None and sock.fileno() >= 0 else None


async def leave(client: APIClient, seconds: float) -> None:
    """Say goodbye, so that the node frees our place at once; hang up when it does not answer."""
    try:
        async with asyncio.timeout(seconds):
            await client.disconnect()
    except TimeoutError:
        client.force_disconnect()


def _node(info: DeviceInfo, flags: int, api: APIVersion | None) -> Node:
    mac = None
    with suppress(ValueError):
        mac = parse_mac(info.mac_address)
    area = info.area.name or info.suggested_area
    return Node(
        printable(info.name),
        printable(info.friendly_name),
        printable(area),
        mac,
        printable(info.esphome_version),
        flags,
        (api.major, api.minor) if api else (0, 0),
        info.has_deep_sleep,
    )
