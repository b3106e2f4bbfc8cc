"""What happens to proxies over the months, in minutes: faults drawn by chance, each with its end.

The rule of this file: whatever a fault did is undone when it is over, or when the chaos is cancelled.
"""

import asyncio
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from random import Random

import attrs
import structlog

from proxy_listener.model.secret import Secret
from proxy_listener.simulator.house import House
from proxy_listener.simulator.proxy import HouseProxy

log = structlog.get_logger()

Fault = Callable[[HouseProxy, float], Awaitable[None]]

STRANGE_KEY = Secret(b64encode(b"?" * 32).decode())
"""A Noise key that nobody in the house has."""


@attrs.frozen
class Disturbance:
    """One fault of one proxy, in wall seconds. What only that room heard in this time may be lost."""

    room: str
    fault: str
    start: float
    end: float


async def power_cycle(proxy: HouseProxy, seconds: float) -> None:
    """Power loss, and back."""
    await proxy.power_cycle(seconds)


async def restart(proxy: HouseProxy, seconds: float) -> None:
    """A clean reboot, as after an update."""
    zeroconf = proxy.node.announced_by
    try:
        await proxy.node.stop()
        await asyncio.sleep(seconds)
    finally:
        await proxy.node.start(proxy.node.host, zeroconf=zeroconf)


async def freeze(proxy: HouseProxy, seconds: float) -> None:
    """The Wi-Fi stalls: sessions are half-open, then what was held arrives at once."""
    proxy.node.freeze()
    try:
        await asyncio.sleep(seconds)
    finally:
        proxy.node.thaw()


async def wedge(proxy: HouseProxy, seconds: float) -> None:
    """The scanner gives nothing until the scan is started again, at the latest after ``seconds``."""
    proxy.wedge("scan")
    try:
        await asyncio.sleep(seconds)
    finally:
        proxy.node.scanner.wedged = None


async def steal(proxy: HouseProxy, seconds: float) -> None:
    """Another client takes the stream, where the firmware lets it."""
    if not proxy.take_stream():
        return
    try:
        await asyncio.sleep(seconds)
    finally:
        proxy.give_stream_back()


async def occupy(proxy: HouseProxy, seconds: float) -> None:
    """No connection slot is free."""
    proxy.fill_slots()
    try:
        await asyncio.sleep(seconds)
    finally:
        proxy.empty_slots()


async def flap(proxy: HouseProxy, seconds: float) -> None:
    """MDNS: a goodbye, and the record again, while the node works on."""
    zeroconf = proxy.node.announced_by
    if zeroconf is None:
        return
    try:
        await proxy.node.withdraw()
        await asyncio.sleep(seconds)
    finally:
        await proxy.node.announce(zeroconf)


async def move(proxy: HouseProxy, seconds: float) -> None:
    """Power loss, and back at another port, as a node comes back at another address."""
    proxy.node.port = 0
    await proxy.power_cycle(seconds)


async def rekey(proxy: HouseProxy, seconds: float) -> None:
    """Somebody flashes the node with another key, sees what it does, and flashes the old one again."""
    node, settings = proxy.node, proxy.node.settings
    if settings.noise_psk is None:
        return
    try:
        node.settings = attrs.evolve(settings, noise_psk=STRANGE_KEY)
        await proxy.power_cycle()
        await asyncio.sleep(seconds)
    finally:
        node.settings = settings
        await proxy.power_cycle()


async def crowd(proxy: HouseProxy, seconds: float) -> None:
    """It restarts, and other clients are faster: none of its client slots is left for a while."""
    node, firmware = proxy.node, proxy.node.firmware
    try:
        node.firmware = attrs.evolve(firmware, clients=0)
        await proxy.power_cycle()
        await asyncio.sleep(seconds)
    finally:
        node.firmware = firmware


FAULTS: Mapping[str, Fault] = {
    fault.__name__: fault for fault in (power_cycle, restart, freeze, wedge, steal, occupy, flap, move, rekey, crowd)
}


async def chaos(
    house: House,
    chance: Random,
    *,
    every: float,
    lasting: float,
    faults: Mapping[str, Fault] = FAULTS,
    record: Callable[[Disturbance], None],
) -> None:
    """One fault after the other, until cancelled: about ``every`` seconds, each of up to ``lasting``."""
    while True:
        await asyncio.sleep(chance.uniform(0.5, 1.5) * every)
        proxy, name = chance.choice(house.proxies), chance.choice(sorted(faults))
        start = time.time()
        log.debug("a fault begins", proxy=proxy.name, fault=name)
        try:
            await faults[name](proxy, chance.uniform(0.2, 1.0) * lasting)
        finally:
            record(Disturbance(proxy.room.name, name, start, time.time()))
