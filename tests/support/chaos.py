"""Faults of a house's proxies, drawn by chance: months of trouble within minutes.

Invariant: whatever a fault did is undone when it is over, and when the chaos is cancelled.
"""

import asyncio
import time
from base64 import b64encode

import attrs
import structlog

from proxy_listener.model.secret import Secret

log = structlog.get_logger()

STRANGE_KEY = Secret(b64encode(b"?" * 32).decode())
"""A Noise key that is not the house's."""


@attrs.frozen
class Disturbance:
    """One fault of one proxy, in wall seconds. What only that room heard in this time may be lost."""

    room: str
    fault: str
    start: float
    end: float


async def power_cycle(node, seconds):
    """Power loss, and back."""
    await node.power_cycle(seconds)


async def restart(node, seconds):
    """A clean reboot, as after an update."""
    zeroconf = node.announced_by
    try:
        await node.stop()
        await asyncio.sleep(seconds)
    finally:
        await node.start(node.host, zeroconf=zeroconf)


async def freeze(node, seconds):
    """The Wi-Fi stalls: sessions are half-open, then what was held arrives at once."""
    node.freeze()
    try:
        await asyncio.sleep(seconds)
    finally:
        node.thaw()


async def wedge(node, seconds):
    """The scanner hears nothing until the scan is started again, at the latest after ``seconds``."""
    node.wedge("scan")
    try:
        await asyncio.sleep(seconds)
    finally:
        node.scanner.wedged = None


async def steal(node, seconds):
    """Another client takes the stream, where the firmware lets it."""
    if not node.take_stream():
        return
    try:
        await asyncio.sleep(seconds)
    finally:
        node.give_stream_back()


async def occupy(node, seconds):
    """No connection slot is free."""
    node.fill_slots()
    try:
        await asyncio.sleep(seconds)
    finally:
        node.empty_slots()


async def flap(node, seconds):
    """MDNS: a goodbye, and the record again, while the node keeps running."""
    zeroconf = node.announced_by
    if zeroconf is None:
        return
    try:
        await node.withdraw()
        await asyncio.sleep(seconds)
    finally:
        await node.announce(zeroconf)


async def move(node, seconds):
    """Power loss, and back at another port, as a node comes back at another address."""
    node.port = 0
    await node.power_cycle(seconds)


async def rekey(node, seconds):
    """The node is flashed with another key, and later with the old one again."""
    settings = node.settings
    if settings.noise_psk is None:
        return
    try:
        node.settings = attrs.evolve(settings, noise_psk=STRANGE_KEY)
        await node.power_cycle()
        await asyncio.sleep(seconds)
    finally:
        node.settings = settings
        await node.power_cycle()


async def crowd(node, seconds):
    """It restarts, and other clients take all its client slots for a while."""
    firmware = node.firmware
    try:
        node.firmware = attrs.evolve(firmware, clients=0)
        await node.power_cycle()
        await asyncio.sleep(seconds)
    finally:
        node.firmware = firmware


FAULTS = {
    fault.__name__: fault for fault in (power_cycle, restart, freeze, wedge, steal, occupy, flap, move, rekey, crowd)
}


async def chaos(house, chance, *, every, lasting, record, faults=FAULTS):
    """One fault after the other, until cancelled: about ``every`` seconds, each of up to ``lasting``."""
    while True:
        await asyncio.sleep(chance.uniform(0.5, 1.5) * every)
        proxy, name = chance.choice(house.proxies), chance.choice(sorted(faults))
        start = time.time()
        log.debug("a fault begins", proxy=proxy.name, fault=name)
        try:
            await faults[name](proxy.node, chance.uniform(0.2, 1.0) * lasting)
        finally:
            record(Disturbance(proxy.room.name, name, start, time.time()))
