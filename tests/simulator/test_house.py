"""A house with real nodes on loopback, heard by aioesphomeapi's client."""

import asyncio
import os
from collections import Counter

import pytest
from aioesphomeapi import APIClient
from zeroconf import ServiceStateChange
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from proxy_listener.simulator.house import House

INSTANCE = f"test-{os.getpid()}"


async def listen(proxy, psk, heard, own, enough):
    api = APIClient(proxy.node.host, proxy.node.port, "", noise_psk=psk.reveal())
    ready = asyncio.Event()
    await api.connect(login=True)
    api.subscribe_bluetooth_scanner_state(lambda _: ready.set())

    def batch(message):
        for advertisement in message.advertisements:
            heard[proxy.room.name].append((advertisement.address, advertisement.data))
        if len({item for items in heard.values() for item in items if item[0] in own}) >= 8:
            enough.set()

    api.subscribe_bluetooth_le_raw_advertisements(batch)
    await ready.wait()
    return api


async def test_all_that_rooms_heard_arrives():
    """Every copy that the truth counts as heard comes out of some client, byte for byte, and none more."""
    house = House(11, rooms=3, devices=6, neighbours=0, pace=600.0, instance=INSTANCE)
    heard = {room.name: [] for room in house.rooms}
    own = {device.mac for device in house.devices}
    async with house.running(announced=False):
        enough = asyncio.Event()
        clients = [await listen(proxy, house.noise_psk, heard, own, enough) for proxy in house.proxies]
        await enough.wait()
        await house.stop_sending()
        for client in clients:
            await client.device_info()  # answered behind all that was sent before it
        arrived = Counter(item for room in heard.values() for item in room if item[0] in own)
        sent = Counter()
        for frame in house.truth.frames:
            sent[frame.mac, frame.data] += frame.copies
        assert arrived == +sent
        assert len(arrived) >= 8
        for client in clients:
            await client.disconnect()


@pytest.mark.mdns("shared")
async def test_nodes_are_found_by_mdns():
    """A browser on loopback finds each node with its port, MAC and key hint."""
    house = House(12, rooms=2, devices=2, instance=INSTANCE)
    found = asyncio.Queue()

    def changed(zeroconf, service_type, name, state_change):
        if state_change is ServiceStateChange.Added:
            found.put_nowait((service_type, name))

    names = {f"{proxy.name}._esphomelib._tcp.local.": proxy for proxy in house.proxies}
    zeroconf = AsyncZeroconf(interfaces=["127.0.0.1"])
    browser = AsyncServiceBrowser(zeroconf.zeroconf, "_esphomelib._tcp.local.", handlers=[changed])
    async with house.running():
        while names:
            service_type, name = await asyncio.wait_for(found.get(), 5)
            proxy = names.pop(name, None)
            if proxy is None:
                continue
            info = AsyncServiceInfo(service_type, name)
            assert await info.async_request(zeroconf.zeroconf, 3_000)
            assert info.port == proxy.node.port
            assert info.properties[b"mac"] == f"{proxy.node.settings.mac:012x}".encode()
            assert b"api_encryption" in info.properties
    await browser.async_cancel()
    await zeroconf.async_close()


def test_the_configuration_is_the_house():
    """Every proxy and every listed device is in it, with what is needed to hear them; the neighbour is not."""
    house = House(13, rooms=3, devices=12, neighbours=2)
    tables = house.configuration()
    assert [entry["room"] for entry in tables["proxy"]] == ["Kitchen", "Hall", "Bedroom"]
    assert len(tables["device"]) == 12
    assert all(len(entry["bindkey"]) == 32 for entry in tables["device"] if "bindkey" in entry)
    assert sum("bindkey" in entry for entry in tables["device"]) == sum(d.profile.encrypted for d in house.devices)
    assert house.noise_psk.reveal() not in repr(house.__dict__)


@pytest.mark.parametrize("seed", [1, "words"])
def test_a_house_is_its_seed(seed):
    """The same seed: the same devices, keys and nodes. Another instance: other nodes, the same devices."""
    first, again, other = House(seed), House(seed), House(seed, instance="other")
    assert first.devices == again.devices == other.devices
    assert first.configuration() == again.configuration()
    assert first.configuration()["device"] == other.configuration()["device"]
    assert not {p.node.settings.mac for p in first.proxies} & {p.node.settings.mac for p in other.proxies}


def test_a_read_gives_what_the_device_advertises():
    """Before the first frame, too. A clock's humidity is a whole number when it is read."""
    house = House("plants", rooms=2, devices=17, neighbours=0, foreign=0.0)
    told, first = {mac: {} for mac in house.sensors}, {mac: sensor.live for mac, sensor in house.sensors.items()}
    for packet in house.traffic(0.0).packets(house.truth, 60.0):
        house.send(packet)
        for quantity, value in packet.frame.values.items() if packet.address in told else ():
            if quantity not in told[packet.address]:
                assert first[packet.address][quantity] == pytest.approx(value, abs=1)
            told[packet.address][quantity] = value
    assert sum(map(len, told.values())) >= 10
    for mac, values in told.items():
        live = house.sensors[mac].live
        assert values == {name: pytest.approx(live[name], abs=1 if name == "humidity" else 0) for name in values}
