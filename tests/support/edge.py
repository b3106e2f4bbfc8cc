"""A fleet and real nodes on loopback, both faster than life: what the tests of proxies/ stand on."""

import asyncio
import base64
from contextlib import asynccontextmanager

import attrs
from support.faulty_node import FaultyNode, faster

from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.node import firmware
from proxy_listener.node.settings import NodeSettings
from proxy_listener.proxies.fleet import Fleet
from proxy_listener.proxies.timing import ProxyTiming

KEY = Secret(base64.b64encode(bytes(range(32))).decode())
OTHER_KEY = Secret(base64.b64encode(bytes(range(1, 33))).decode())
MAC = 0xA0B1C2D3E400
DATA = b"\x02\x01\x06"

FAST = ProxyTiming(
    attempt=2.0,
    dial=1.0,
    handshake=0.5,
    spacing=0.2,
    redial=0.05,
    auth=0.6,
    full=0.2,
    settle=1.0,
    search=0.1,
    keepalive=0.1,
    probe=0.1,
    probe_spacing=0.2,
    state=0.2,
    held=0.2,
    quiet=0.2,
    brief_silence=0.4,
    taken_once=0.3,
    silence=0.4,
    silence_alone=0.8,
    recovery_step=0.1,
    wedged=0.2,
    taken=0.5,
    bench=0.6,
    stray=0.2,
    leave=1.0,
    tick=0.02,
    identify=0.3,
    rebind=0.1,
    resolve=0.5,
)
NO_MDNS = DiscoverySettings("listed", None, ("127.0.0.1",))
NODE_TIMING = faster(20)


def make_node(number, generation=firmware.ESPHOME_2026_10, *, psk=KEY, name=None, password=None, flags=None, dial=None):
    if flags is not None:
        generation = attrs.evolve(generation, flags=firmware.Feature(flags))
    settings = NodeSettings(name or f"node{number}", MAC + number, noise_psk=psk, password=password, dial=dial)
    return FaultyNode(settings, generation, timing=NODE_TIMING)


def entry(node, **more):
    """An entry that finds the node without mDNS."""
    fields = {"noise_psk": node.settings.noise_psk, "host": "127.0.0.1", "port": node.port, **more}
    return ProxySettings(fields.pop("name", node.settings.name), **fields)


def ours(mac):
    """Whether this MAC is of a node made here, or unknown."""
    return mac is None or mac & ~0xFF == MAC


class House:
    """A running fleet: what it hears, and what it says of its proxies."""

    def __init__(self):
        self.heard = []
        self.changes = []
        self.lines = []
        self._news = asyncio.Event()
        self.fleet = None

    def hear(self, *call):
        self.heard.append(call)
        self._news.set()
        return Outcome.NOT_OURS

    def changed(self, status):
        self.changes.append((status.name, str(status.state)))
        self._news.set()

    def states(self):
        """Name to state. Loopback is everybody's: nodes of other programs, by their MAC, are left out."""
        return {status.name: str(status.state) for status in self.fleet.status() if ours(status.mac)}

    def cause(self, name):
        return next((status.cause for status in self.fleet.status() if status.name == name), "")

    async def until(self, condition, seconds=5.0):
        """Wait for a condition, looked at on every change and every tick."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                try:
                    async with asyncio.timeout(FAST.tick):
                        await self._news.wait()
                except TimeoutError:
                    pass

    async def state(self, name, state, seconds=5.0):
        await self.until(lambda: self.states().get(name) == state, seconds)

    async def hears(self, node, name=None, seconds=5.0):
        """A fresh advertisement from this node arrives."""
        name = name or node.settings.name
        before = len(self.heard)

        def arrived():
            node.hear(0xA4C1380283F4, 0, -60, DATA)
            return any(call[0] == name for call in self.heard[before:])

        await self.until(arrived, seconds)


@asynccontextmanager
async def house(proxies=(), discovery=NO_MDNS, *, state=None, timing=FAST):
    made = House()
    made.fleet = Fleet(discovery, proxies, made.hear, state=state, timing=timing, changed=made.changed)
    task = asyncio.create_task(made.fleet.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def running(*nodes, zeroconf=None):
    for node in nodes:
        await node.start(zeroconf=zeroconf)
    try:
        yield nodes
    finally:
        for node in nodes:
            await node.stop()
