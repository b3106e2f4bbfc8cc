"""Shared nodes before a client stack that nobody here wrote: bleak-esphome over habluetooth, as in Home Assistant."""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import attrs
import pytest
from bleak.exc import BleakError
from bleak_esphome import connect_scanner
from bluetooth_adapters import BluetoothAdapters
from habluetooth import BluetoothManager, HaBleakClientWrapper, set_manager
from support.cutting import cutter
from support.edge import FAST, make_node, running
from support.sharing import client_of, sharing_house
from support.waiting import until

from proxy_listener.gatt.miflora import BATTERY
from proxy_listener.model.advertisement import mac_text
from proxy_listener.proxies.connection import connection
from proxy_listener.proxies.handle_cache import HandleCache
from proxy_listener.simulator import frames
from proxy_listener.simulator.miflora import PlantSensor

pytestmark = [pytest.mark.mdns("shared"), pytest.mark.oracle]

PLANT, OTHER, THIRD = 0xC47C8D6A0001, 0xC47C8D6A0002, 0xC47C8D6A0003
CALM = attrs.evolve(FAST, silence=60.0, silence_alone=60.0, brief_silence=60.0)
"""No proxy is taken for wedged, which hears little in these tests."""
STEPS = 100
"""More frames than a connect and a read have."""


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
    """The plants in reach of a node. They never end a link, so whoever leaves one open is found out."""

    def __init__(self, *addresses):
        self.sensors = {
            address: PlantSensor(address, 0x0098, time.monotonic, link_limit=600.0, step=0.002) for address in addresses
        }

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
        # The node tells its scanner's mode when it has served the subscription.
        await until(lambda: data.scanner.current_mode is not None)
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
    garden = Garden(PLANT, OTHER, THIRD)
    one, two = make_node(1), make_node(2)
    one._air = two._air = garden
    async with running(one, two), sharing_house(one, two, first=first, timing=CALM) as house:
        shared = [await house.shared(name) for name in ("node1", "node2")]
        async with stack(*shared) as manager:
            yield house, (one, two), manager, garden


def advertise(nodes):
    """The plants are heard in both rooms, in the second one better."""
    for node, rssi in zip(nodes, (-85, -55)[-len(nodes) :], strict=True):
        for address in (PLANT, OTHER, THIRD):
            frame = b"\x71\x20\x98\x00\x01" + address.to_bytes(6, "little") + b"\x0d"
            node.hear(address, 0, rssi, frames.advertisement(frame))


async def reachable(manager, address, nodes, rooms=2):
    """The device, when it was heard in so many rooms. It advertises until then."""

    def heard():
        advertise(nodes)
        return len(manager.async_scanner_devices_by_address(mac_text(address), True)) == rooms

    await until(heard)
    return manager.async_ble_device_from_address(mac_text(address), True)


async def test_every_advertisement_of_every_shared_node_reaches_every_client(first):
    """All that the service heard, from both rooms, in two client stacks at once."""
    async with (
        two_rooms(first) as (house, nodes, one, _),
        stack(*[house.node_of(name) for name in ("node1", "node2")]) as two,
    ):
        for number in range(200):
            for node in nodes:
                node.hear(0xA4C138000000 + number, 0, -60, b"\x03\xff\x34\x12")
        addresses = {mac_text(0xA4C138000000 + number) for number in range(200)}
        for manager in (one, two):
            for data in manager.data:
                await house.until(lambda data=data: found_by(data) >= addresses)
            assert {address for address, _ in manager.heard} == addresses
        await house.until(lambda: len(house.heard) == 400)


def found_by(data):
    """The devices that one scanner heard."""
    return {device.address for device, _ in data.scanner.discovered_devices_and_advertisement_data.values()}


async def test_a_plant_is_read_while_our_own_read_of_another_runs(first, caplog):
    """Through the room that hears it best; neither takes the other's link."""
    async with two_rooms(first) as (house, nodes, manager, garden):
        device = await reachable(manager, PLANT, nodes)
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


def client_in(manager, device):
    """A client of this manager; habluetooth takes the one that was set last."""
    set_manager(manager)
    return HaBleakClientWrapper(device)


async def test_two_clients_read_at_once_beside_our_own_read(first, caplog):
    """Three links of one proxy, and neither client takes what another, or our own read, is connected to."""
    async with two_rooms(first) as (house, nodes, one, garden):
        shared = [house.node_of(name) for name in ("node1", "node2")]
        async with stack(*shared) as two:
            devices = {manager: await reachable(manager, PLANT, nodes) for manager in (one, two)}
            other, third = [await reachable(two, address, nodes) for address in (OTHER, THIRD)]
            async with (
                connection(house.fleet["node2"], THIRD, 0, HandleCache({}.get, lambda *_: None)) as ours,
                client_in(one, devices[one]) as plant,
            ):
                async with client_in(two, other) as client:
                    assert sorted(shared[1].held) == [PLANT, OTHER]
                    assert await asyncio.gather(
                        plant.read_gatt_char(BATTERY), client.read_gatt_char(BATTERY), ours.read(BATTERY)
                    ) == [answer_of(garden, address) for address in (PLANT, OTHER, THIRD)]
                for taken in (devices[two], third):
                    with pytest.raises(BleakError):
                        await client_in(two, taken).connect()
                assert bytes(await plant.read_gatt_char(BATTERY)) == answer_of(garden, PLANT)
                assert await ours.read(BATTERY) == answer_of(garden, THIRD)
            await house.until(lambda: not shared[1].held)
            async with client_in(two, devices[two]) as client:
                assert bytes(await client.read_gatt_char(BATTERY)) == answer_of(garden, PLANT)
    assert "inconsistent" not in caplog.text


async def read_plant(device):
    async with HaBleakClientWrapper(device) as client:
        return bytes(await client.read_gatt_char(BATTERY))


async def read_or_die(way, device):
    """What was read, in a client that ends where its way is cut; None then."""
    reading, cut = asyncio.create_task(read_plant(device)), asyncio.create_task(way.cut.wait())
    await asyncio.wait((reading, cut), return_when=asyncio.FIRST_COMPLETED)
    killed = way.cut.is_set()
    for task in (reading, cut):
        if killed or task is cut:
            task.cancel()
    await asyncio.gather(reading, cut, return_exceptions=True)
    return None if killed else reading.result()


async def test_a_client_killed_at_every_step_of_a_connect_leaves_nothing(first):
    """Whichever frame of connect, services, read and disconnect is its last: the link is closed, the slot is free."""
    node = make_node(1)
    node._air = garden = Garden(PLANT)
    async with running(node), sharing_house(node, first=first, timing=CALM) as house:
        shared = await house.shared("node1")
        for steps in range(STEPS):
            async with cutter(shared.port) as way, stack(SimpleNamespace(port=way.port)) as manager:
                device = await reachable(manager, PLANT, [node], rooms=1)
                way.arm(steps)
                value = await read_or_die(way, device)
                if not way.cut.is_set():
                    break
                await house.until(lambda: not shared.held and not shared.sessions and node.links.free == 3)
                assert garden.sensors[PLANT].link is None
        assert 8 <= way.passed <= steps
        assert value == answer_of(garden, PLANT)


@pytest.mark.parametrize("end", ["stop", "power_off"])
async def test_a_proxy_that_goes_ends_the_read_and_serves_again(first, end):
    """The client stack learns that the link is lost, and reads through the other room, and later through this one."""
    async with two_rooms(first) as (house, nodes, manager, garden):
        client = HaBleakClientWrapper(await reachable(manager, PLANT, nodes))
        await client.connect()
        await getattr(nodes[1], end)()
        await house.until(lambda: not client.is_connected)
        await house.unshared("node2")
        await read_again(house, nodes, manager, garden, "node1", rooms=1)
        await nodes[1].start()
        async with scanner_of(manager, await house.shared("node2", seconds=10.0)):
            await read_again(house, nodes, manager, garden, "node2", rooms=2)


async def read_again(house, nodes, manager, garden, name, rooms):
    async with HaBleakClientWrapper(await reachable(manager, PLANT, nodes, rooms)) as client:
        assert list(house.node_of(name).held) == [PLANT]
        assert bytes(await client.read_gatt_char(BATTERY)) == answer_of(garden, PLANT)
    await house.until(lambda: not house.node_of(name).held)


async def test_a_proxy_that_is_power_cycled_while_a_link_opens_ends_the_attempt(first):
    """The client need not wait for its own time limit, and nothing of the attempt is left."""
    async with two_rooms(first) as (house, nodes, manager, garden):
        garden.sensors[PLANT].faults.absent = True
        device = await reachable(manager, PLANT, nodes)
        attempt = asyncio.create_task(HaBleakClientWrapper(device).connect())
        await house.until(lambda: house.node_of("node2").connecting)
        await nodes[1].power_cycle()
        with pytest.raises(BleakError):
            await asyncio.wait_for(attempt, 5.0)
        garden.sensors[PLANT].faults.absent = False
        await house.until(lambda: (again := house.node_of("node2")) is not None and not again.held, 10.0)
        await read_again(house, nodes, manager, garden, "node1", rooms=1)
