"""A node on loopback and aioesphomeapi's own client, which holds its stream or not."""

import asyncio
from contextlib import asynccontextmanager

from aioesphomeapi import APIClient
from support.faulty_node import FaultyNode, faster

from proxy_listener.node import firmware as generations
from proxy_listener.node.air import READ, WRITE, Characteristic, GattService, OpenError, OperationError
from proxy_listener.node.settings import NodeSettings

PSK = "QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc="
OTHER_PSK = "bOFFzzvfpg5DB94DuBGLXD/hMnhpDKgP9UQyBulwWVU="
MAC = 0xA0B1C2D3E4F5
PLANT = 0xC47C8D6A0001
FAST = faster(20, ping=60.0, reap=150.0, handshake=60.0)
"""A client is not dropped for its silence, which depends on how busy the machine is."""


class OnePlant:
    """An air with one peripheral, which is its own link."""

    mtu = 85

    def __init__(self):
        self.value = b"\x00"
        self.lost = None
        self.absent = False
        self.code = 0
        self.silent = False
        self.open_links = 0
        self.closed = asyncio.Event()

    async def open(self, address, address_type, lost, notified):
        if self.code:
            raise OpenError(self.code)
        if self.absent or address != PLANT:
            await asyncio.get_running_loop().create_future()
        self.lost = lost
        self.open_links += 1
        return self

    async def services(self):
        return [
            GattService(0x1204, 0x31, [Characteristic(0x1A00, 0x33, READ | WRITE), Characteristic(0x1A02, 0x38, READ)]),
            *(GattService(0xFF00 + i, 0x100 + i, [Characteristic(0xEE00 + i, 0x200 + i, READ)]) for i in range(60)),
        ]

    async def read(self, handle):
        if self.silent:
            await asyncio.get_running_loop().create_future()
        if handle == 0x33:
            return self.value
        raise OperationError(1)

    async def write(self, handle, data, response):
        self.value = data

    def close(self):
        self.open_links -= 1
        self.closed.set()


@asynccontextmanager
async def running(firmware=generations.ESPHOME_2026_10, air=None, timing=FAST, **settings):
    node = FaultyNode(NodeSettings("kitchen-proxy", MAC, **settings), firmware, air, timing)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


@asynccontextmanager
async def client(node, psk=None, **more):
    api = APIClient("127.0.0.1", node.port, more.pop("password", ""), noise_psk=psk, **more)
    try:
        yield api
    finally:
        await api.disconnect(force=True)


@asynccontextmanager
async def holder(node, psk=None):
    """A connected client that holds the stream; ``heard`` collects advertisements, ``states`` scanner states."""
    async with client(node, psk) as api:
        await api.connect(login=True)
        api.heard, api.states, api.frees = asyncio.Queue(), asyncio.Queue(), asyncio.Queue()
        api.subscribe_bluetooth_scanner_state(lambda state: api.states.put_nowait(state.state.name))
        api.subscribe_bluetooth_connections_free(lambda *told: api.frees.put_nowait(told))
        api.subscribe_bluetooth_le_raw_advertisements(api.heard.put_nowait)
        await api.states.get()
        yield api


async def open_link(api, *, cached=False, address=PLANT, patience=5.0):
    told = asyncio.Queue()
    await api.bluetooth_device_connect(
        address, lambda *state: told.put_nowait(state), timeout=patience, disconnect_timeout=0.5,
        feature_flags=255, has_cache=cached, address_type=0,
    )  # fmt: skip
    return told


async def put(queue, value):
    queue.put_nowait(value)
