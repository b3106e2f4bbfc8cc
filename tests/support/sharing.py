"""A fleet over simulated nodes, its proxies shared on loopback, and clients of the shared nodes."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

from aioesphomeapi import APIClient
from support.edge import FAST, KEY, NO_MDNS, House, entry, make_node, running

from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import ShareSettings
from proxy_listener.proxies.fleet import Fleet
from proxy_listener.share.shares import Shares

SHARE_KEY = Secret("bOFFzzvfpg5DB94DuBGLXD/hMnhpDKgP9UQyBulwWVU=")
FREE_PORT = 20_300
"""Where ports of shared nodes begin. Each worker of a test run has its own hundred."""


class SharingHouse(House):
    """A running fleet whose proxies are shared."""

    shares: Shares

    def node_of(self, name):
        return next(iter(share.node for key, share in self.shares._shares.items() if key == name), None)

    async def shared(self, name="node1", seconds=5.0):
        await self.until(lambda: self.node_of(name) is not None, seconds)
        return self.node_of(name)

    async def unshared(self, name="node1", seconds=5.0):
        await self.until(lambda: self.node_of(name) is None, seconds)


@asynccontextmanager
async def sharing_house(*nodes, state=None, timing=FAST, first=FREE_PORT, **settings):
    """The nodes are running; ``settings``: of ``[share]``."""
    made = SharingHouse()
    names = settings.pop("names", [node.settings.name for node in nodes])
    settings = ShareSettings(listen="127.0.0.1", noise_psk=settings.pop("noise_psk", SHARE_KEY), port=first, **settings)
    made.shares = Shares(settings, state, lambda: made.fleet, lambda: made.fleet.zeroconf)

    def changed(status):
        made.changed(status)
        made.shares.changed()

    entries = [entry(node, name=name) for node, name in zip(nodes, names, strict=True)]
    made.fleet = Fleet(
        NO_MDNS, entries, made.hear, state=state, timing=timing, changed=changed,
        tap=made.shares.tap,
    )  # fmt: skip
    tasks = [asyncio.create_task(made.fleet.run()), asyncio.create_task(made.shares.run())]
    try:
        yield made
    finally:
        for task in reversed(tasks):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def shared_proxy(first=FREE_PORT, air=None, state=None, **settings):
    """One node, its fleet, and its shared node."""
    node = make_node(1)
    if air is not None:
        node._air = air
    async with running(node), sharing_house(node, first=first, state=state, **settings) as house:
        shared = await house.shared()
        yield house, node, shared


@asynccontextmanager
async def client_of(shared, key=SHARE_KEY, *, connect=True):
    api = APIClient("127.0.0.1", shared.port, None, noise_psk=None if key is None else key.reveal())
    try:
        if connect:
            await api.connect(login=True)
        yield api
    finally:
        await api.disconnect(force=True)


@asynccontextmanager
async def subscriber(shared, key=SHARE_KEY):
    """A client with the stream: ``heard`` collects messages of advertisements, ``states``, ``frees``."""
    async with client_of(shared, key) as api:
        api.heard, api.states, api.frees = asyncio.Queue(), asyncio.Queue(), asyncio.Queue()
        api.subscribe_bluetooth_scanner_state(api.states.put_nowait)
        api.subscribe_bluetooth_connections_free(lambda *told: api.frees.put_nowait(told))
        api.subscribe_bluetooth_le_raw_advertisements(api.heard.put_nowait)
        await api.states.get()
        yield api


__all__ = ["KEY", "AsyncExitStack", "client_of", "shared_proxy", "sharing_house", "subscriber"]
