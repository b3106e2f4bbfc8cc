"""Shared nodes before a client stack that nobody here wrote: bleak-esphome over habluetooth, as in Home Assistant."""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from support.edge import make_node, running
from support.library_client import open_link
from support.sharing import client_of, sharing_house
from support.waiting import until

from proxy_listener.gatt.miflora import BATTERY
from proxy_listener.model.advertisement import mac_text
from proxy_listener.proxies.connection import connection
from proxy_listener.proxies.handle_cache import HandleCache
from proxy_listener.simulator import frames
from proxy_listener.simulator.miflora import PlantSensor

pytest.importorskip("bleak_esphome")

from bleak_esphome import connect_scanner
from bluetooth_adapters import BluetoothAdapters
from habluetooth import BluetoothManager, HaBleakClientWrapper, set_manager

pytestmark = [pytest.mark.mdns("shared"), pytest.mark.oracle]

PLANT, OTHER = 0xC47C8D6A0001, 0xC47C8D6A0002


@pytest.fixture
def first(worker_id):
    """The first port of this worker's tests."""
    return 20_370 + 100 * int(worker_id.removeprefix("gw") if worker_id.startswith("gw") else 0)


class NoAdapters(BluetoothAdapters):
    """A machine without Bluetooth of its own."""

    @property
    def adapters(self):
        return {}

    @property
    def default_adapter(self):
        return ""


class Manager(BluetoothManager):
    """Keeps what each scanner heard."""

    def __init__(self):
        super().__init__(NoAdapters())
        self.heard = []

    def _discover_service_info(self, service_info):
        self.heard.append((service_info.address, bytes(service_info.raw or b"")))


class Garden:
    """The peripherals in reach of a node."""

    def __init__(self, *addresses):
        self.sensors = {address: PlantSensor(address, 0x0098, time.monotonic, step=0.002) for address in addresses}

    async def open(self, address, address_type, lost, notified):
        return await self.sensors[address].open(lost, notified)


@asynccontextmanager
async def scanner_of(manager, shared):
    """What Home Assistant's ESPHome integration does with a node, and when its session ends."""
    async with client_of(shared, connect=False) as api, AsyncExitStack() as scanner:

        async def stopped(_expected):
            await scanner.aclose()

        await api.connect(login=True, on_stop=stopped)
        data = connect_scanner(api, await api.device_info(), True)
        scanner.callback(data.scanner.async_setup())
        scanner.callback(manager.async_register_scanner(data.scanner))
        scanner.callback(lambda: [callback() for callback in list(data.disconnect_callbacks)])
        scanner.callback(data.bluetooth_device.async_set_unavailable)
        yield data


@asynccontextmanager
async def stack(*shared):
    """habluetooth's manager with a scanner for each shared node."""
    manager = Manager()
    set_manager(manager)
    await manager.async_setup()
    async with AsyncExitStack() as scanners:
        manager.data = [await scanners.enter_async_context(scanner_of(manager, one)) for one in shared]
        yield manager
    manager.async_stop()


@asynccontextmanager
async def two_rooms(first):
    """Two nodes that reach both plants, shared, with the client stack in front of them."""
    garden = Garden(PLANT, OTHER)
    one, two = make_node(1), make_node(2)
    one._air = two._air = garden
    async with running(one, two), sharing_house(one, two, first=first) as house:
        shared = [await house.shared(name) for name in ("node1", "node2")]
        async with stack(*shared) as manager:
            yield house, (one, two), manager, garden


def advertise(nodes, manager):
    """A plant is heard in both rooms, in the second one better."""
    for node, rssi in zip(nodes, (-85, -55), strict=True):
        for address in (PLANT, OTHER):
            frame = b"\x71\x20\x98\x00\x01" + address.to_bytes(6, "little") + b"\x0d"
            node.hear(address, 0, rssi, frames.advertisement(frame))


async def reachable(manager, address):
    await until(lambda: manager.async_ble_device_from_address(mac_text(address), True))
    return manager.async_ble_device_from_address(mac_text(address), True)


async def test_every_advertisement_of_every_shared_node_reaches_its_manager(first):
    """All that the service heard, from both rooms."""
    async with two_rooms(first) as (house, nodes, manager, _):
        for number in range(200):
            for node in nodes:
                node.hear(0xA4C138000000 + number, 0, -60, b"\x03\xff\x34\x12")
        addresses = {mac_text(0xA4C138000000 + number) for number in range(200)}
        await house.until(lambda: {address for address, _ in manager.heard} >= addresses)
        for data in manager.data:
            found = data.scanner.discovered_devices_and_advertisement_data.values()
            assert {device.address for device, _ in found} >= addresses
        assert len(house.heard) == 400


async def test_a_plant_is_read_while_our_own_read_of_another_runs(first, caplog):
    """Through the room that hears it best; neither takes the other's link."""
    async with two_rooms(first) as (house, nodes, manager, garden):
        advertise(nodes, manager)
        device = await reachable(manager, PLANT)
        async with (
            connection(house.fleet["node2"], OTHER, 0, HandleCache({}.get, lambda *_: None)) as ours,
            HaBleakClientWrapper(device) as client,
        ):
            assert [list(house.node_of(name).held) for name in ("node1", "node2")] == [[], [PLANT]]
            theirs = await client.read_gatt_char(BATTERY)
            assert bytes(theirs) == answer_of(garden, PLANT)
            assert await ours.read(BATTERY) == answer_of(garden, OTHER)
        await house.until(lambda: not house.node_of("node2").held)
    assert "inconsistent" not in caplog.text


def answer_of(garden, address):
    sensor = garden.sensors[address]
    return bytes((sensor.battery, 0x28)) + sensor.firmware.encode()


async def test_a_client_killed_at_every_step_of_a_connect_leaves_nothing(first):
    """Its socket is cut so long after it asked: its link is closed, and the next client gets the plant."""
    async with two_rooms(first) as (house, nodes, manager, garden):
        shared = house.node_of("node2")
        for step in range(8):
            async with client_of(shared) as api:
                api.subscribe_bluetooth_le_raw_advertisements(lambda _: None)
                asking = asyncio.create_task(open_link(api, address=PLANT))
                for _ in range(step):
                    await asyncio.sleep(0.01)
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                api._connection._socket.close()
            await house.until(lambda: not shared.held and nodes[1].links.free == 3)
        advertise(nodes, manager)
        async with HaBleakClientWrapper(await reachable(manager, PLANT)) as client:
            assert bytes(await client.read_gatt_char(BATTERY)) == answer_of(garden, PLANT)


async def test_a_proxy_that_is_power_cycled_ends_the_read_and_serves_again(first):
    """The client stack learns that the link is lost; the other room reads the plant meanwhile."""
    async with two_rooms(first) as (house, nodes, manager, garden):
        advertise(nodes, manager)
        client = HaBleakClientWrapper(await reachable(manager, PLANT))
        await client.connect()
        await nodes[1].stop()
        await house.until(lambda: not client.is_connected)
        await house.unshared("node2")
        advertise(nodes, manager)
        async with HaBleakClientWrapper(await reachable(manager, PLANT)) as other:
            assert list(house.node_of("node1").held) == [PLANT]
            assert bytes(await other.read_gatt_char(BATTERY)) == answer_of(garden, PLANT)
        await nodes[1].start()
        await house.shared("node2", seconds=10.0)
