"""Faults of a house's proxies do what they do in life, and are undone."""

import asyncio
import os
from contextlib import asynccontextmanager
from random import Random

import pytest
from aioesphomeapi import APIClient
from support.chaos import FAULTS, chaos
from support.faulty_node import FaultyNode, faster
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from proxy_listener.node.firmware import ESPHOME_2026_6, ESPHOME_2026_10
from proxy_listener.simulator.house import House

FAST = faster(20)


def house(firmware=ESPHOME_2026_10, rooms=1, devices=0):
    return House(
        21,
        rooms,
        devices,
        neighbours=0,
        foreign=0.0,
        firmwares=[firmware],
        timing=FAST,
        node_type=FaultyNode,
        instance=f"faults-{os.getpid()}",
    )


@asynccontextmanager
async def subscribed(proxy, psk):
    api = APIClient("127.0.0.1", proxy.node.port, "", noise_psk=psk.reveal())
    ready, api.heard, api.ended = asyncio.Event(), asyncio.Queue(), asyncio.Queue()
    await api.connect(login=True, on_stop=lambda expected: _put(api.ended, expected))
    api.subscribe_bluetooth_scanner_state(lambda _: ready.set())
    api.subscribe_bluetooth_le_raw_advertisements(api.heard.put_nowait)
    await ready.wait()
    yield api
    await api.disconnect(force=True)


async def _put(queue, value):
    queue.put_nowait(value)


@pytest.mark.mdns("shared")
async def test_a_power_cycle_ends_sessions_and_keeps_the_port():
    """The client sees an unexpected end; the node is back at its port and answers mDNS again."""
    home = house()
    (proxy,) = home.proxies
    async with home.running(), subscribed(proxy, home.noise_psk) as api:
        port = proxy.node.port
        await proxy.node.power_cycle()
        assert await api.ended.get() is False
        assert proxy.node.port == port
        zeroconf = AsyncZeroconf(interfaces=["127.0.0.1"])
        info = AsyncServiceInfo("_esphomelib._tcp.local.", f"{proxy.name}._esphomelib._tcp.local.")
        assert await info.async_request(zeroconf.zeroconf, 3_000)
        assert info.port == port
        await zeroconf.async_close()


@pytest.mark.parametrize(("firmware", "taken"), [(ESPHOME_2026_6, False), (ESPHOME_2026_10, True)])
async def test_the_stream_is_taken_where_the_newest_wins(firmware, taken):
    """On newer firmware the holder's stream just stops; on older the thief is refused."""
    home = house(firmware)
    (proxy,) = home.proxies
    async with home.running(announced=False), subscribed(proxy, home.noise_psk) as api:
        assert proxy.node.take_stream() is taken
        proxy.node.hear(1, 0, -50, b"\x01")
        proxy.node.stream.flush()
        await api.device_info()
        assert api.heard.empty() is taken
        proxy.node.give_stream_back()
        assert (proxy.node.stream.holder is None) is taken


async def test_a_flood_floods():
    """2,000 a second come from as many random addresses, and stop."""
    home = house()
    (proxy,) = home.proxies
    async with home.running(announced=False), subscribed(proxy, home.noise_psk) as api:
        flooding = proxy.node.flood(2_000)
        addresses = set()
        while len(addresses) < 400:
            addresses |= {advertisement.address for advertisement in (await api.heard.get()).advertisements}
        proxy.node.stop_flood()
        await asyncio.wait([flooding])
        assert flooding.cancelled()


@pytest.mark.parametrize("until", ["scan", "power"])
async def test_a_wedged_scanner_says_running_and_hears_nothing(until):
    """A new scan mends one kind, only power the other."""
    home = house()
    (proxy,) = home.proxies
    async with home.running(announced=False), subscribed(proxy, home.noise_psk):
        proxy.node.wedge(until)
        assert proxy.node.scanner.state.name == "RUNNING"
        assert not proxy.node.hear(1, 0, -50, b"\x01")
        await proxy.node.scanner.restart()
        assert proxy.node.hear(1, 0, -50, b"\x01") is (until == "scan")
        await proxy.node.power_cycle()
        assert proxy.node.scanner.hears


@pytest.mark.mdns("shared")
async def test_chaos_undoes_what_it_did():
    """After many faults of every kind each node answers, hears, has its slots and its record."""
    home = house(rooms=3)
    done, enough = [], asyncio.Event()

    def record(disturbance):
        done.append(disturbance)
        if len(done) >= 45:
            enough.set()

    async with home.running():
        task = asyncio.create_task(chaos(home, Random(4), every=0.01, lasting=0.02, record=record))
        await enough.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert {disturbance.fault for disturbance in done} == set(FAULTS)
        assert all(disturbance.end >= disturbance.start for disturbance in done)
        for proxy in home.proxies:
            async with subscribed(proxy, home.noise_psk) as api:
                assert (await api.device_info()).name == proxy.name
            assert proxy.node.links.limit == ESPHOME_2026_10.slots
            assert proxy.node.scanner.wedged is None
            assert proxy.node.announced_by is not None
