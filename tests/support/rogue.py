"""Malicious or broken nodes: servers that stall, send slowly or claim wrong lengths; huge messages; mDNS spam.

Any host on the network can do all of this without a key; :func:`bomb` needs a compromised proxy.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Literal, TypeAlias

from google.protobuf.message import Message
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from proxy_listener.node.announce import SERVICE_TYPE
from proxy_listener.node.messages import api
from proxy_listener.simulator.seeded_random import random_for

Manner: TypeAlias = Literal["silent", "garbage", "drip", "huge", "closing"]

HOSTILE_NAME = "\x1b[2Jevil\r\n<b>\u202eyxorp</b>/../+#"
"""Terminal control, line break, markup, a direction override, a path, MQTT's wildcards."""


class _Peer(asyncio.Protocol):
    """One session of a rogue server."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._task = asyncio.get_running_loop().create_task(self._behave(transport))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._task is not None:
            self._task.cancel()

    async def _behave(self, transport: asyncio.Transport) -> None:
        chance = random_for("rogue", self._manner)
        if self._manner == "closing":
            transport.close()
        elif self._manner == "garbage":
            transport.write(chance.randbytes(512))
        elif self._manner == "huge":
            while not transport.is_closing():
                transport.write(b"\x01\xff\xff" + chance.randbytes(0xFFFF))
                await asyncio.sleep(0.01)
        elif self._manner == "drip":
            # The beginning of a node's hello, a byte at a time, without end.
            for byte in b"\x01\x00\x40\x01" + b"d" * 0x3F:
                transport.write(bytes((byte,)))
                await asyncio.sleep(0.5)


@asynccontextmanager
async def rogue(manner: Manner, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server of that manner; its port."""
    server = await asyncio.get_running_loop().create_server(lambda: _Peer(manner), host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def bomb(advertisements: int = 32_767, size: int = 0, *, address: int = 0, rssi: int = 0) -> Message:
    """One message with that many advertisements of that size; to be sent by ``node.send``.

    A frame holds 65,535 bytes at most, 65,515 under Noise: 32,757 empty advertisements.
    """
    batch = api.BluetoothLERawAdvertisementsResponse()
    for _ in range(advertisements):
        batch.advertisements.add(address=address, rssi=rssi, data=bytes(size))
    message: Message = batch
    return message


async def spam(zeroconf: AsyncZeroconf, count: int, *, port: int = 6053, name: str = "spam") -> list[AsyncServiceInfo]:
    """Announce ``count`` nodes that are not there. Returns their records, for :func:`hush`."""
    records = [
        AsyncServiceInfo(
            SERVICE_TYPE,
            f"{name}-{index}.{SERVICE_TYPE}",
            server=f"{name}-{index}.local.",
            addresses=[ip_address("127.0.0.1").packed],
            port=port,
            properties={"mac": f"{index:012x}", "version": "2026.10.0", "friendly_name": HOSTILE_NAME},
        )
        for index in range(count)
    ]
    for record in records:
        await zeroconf.async_register_service(record, cooperating_responders=True, strict=False)
    return records


async def hush(zeroconf: AsyncZeroconf, records: list[AsyncServiceInfo]) -> None:
    """Take them back."""
    for record in records:
        await zeroconf.async_unregister_service(record)
