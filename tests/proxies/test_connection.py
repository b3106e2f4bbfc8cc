"""Connections through a real client and a node that behaves as ESPHome's firmware does: every way they end."""

import asyncio
import sys
import time
from contextlib import asynccontextmanager, nullcontext

import attrs
import pytest
from aioesphomeapi import APIClient
from support.faulty_node import FaultyNode, faster
from support.slow_network import slow_network

from proxy_listener.gatt import miflora, miflora_log
from proxy_listener.model.errors import GattError
from proxy_listener.node import firmware as generations
from proxy_listener.node.air import GattService
from proxy_listener.node.firmware import Feature
from proxy_listener.node.settings import NodeSettings
from proxy_listener.proxies.connection import connection
from proxy_listener.proxies.handle_cache import HandleCache
from proxy_listener.proxies.timing import GattTiming
from proxy_listener.simulator.miflora import PlantFaults, PlantSensor

FLOWER = attrs.evolve(miflora.PLANTS[0x0098], settle=0.02)
PLANT, OTHER = 0xC47C8D6A0001, 0xC47C8D6A0002
OLD = generations.ESPHOME_2026_6
OLDEST = generations.FIRST_RAW
NEW = generations.ESPHOME_2026_10
FAST = GattTiming(connect=0.6, services=0.3, operation=0.2, disconnect=0.2, release=0.4, settle=0.03, slots=0.2)
NODE = faster(20, open=0.4, operation=5.0)


class Air:
    """Sensors that any node reaches."""

    def __init__(self, *sensors):
        self.sensors = {sensor.mac: sensor for sensor in sensors}
        self.opened = asyncio.Event()
        self.boundless = False

    async def open(self, address, address_type, lost, notified):
        self.opened.set()
        link = await self.sensors[address].open(lost, notified)
        return BoundlessLink(link) if self.boundless else link


class BoundlessLink:
    """A link over which there is more than any device has."""

    mtu = 23

    def __init__(self, link):
        self.close = link.close

    async def services(self):
        return [GattService(number, number) for number in range(2000)]

    async def read(self, handle):
        return bytes(513)


@attrs.define
class Connector:
    """What gatt needs of a proxy."""

    name: str
    client: APIClient
    features: int
    connecting: bool = False
    round_trip: float = 0.0
    links: set = attrs.field(factory=set)
    tap: object = None

    def measured(self, seconds):
        self.round_trip = seconds


class Kept(dict):
    """Notes."""

    def save(self, name, value):
        if value is None:
            self.pop(name, None)
        else:
            self[name] = value


@attrs.define
class Room:
    """A node, a client that holds its stream, a sensor."""

    node: FaultyNode
    proxy: Connector
    sensor: PlantSensor
    notes: Kept
    tables: HandleCache
    air: Air

    def connect(self, mac=PLANT, timing=FAST):
        return connection(self.proxy, mac, 0, self.tables, timing)

    @property
    def taken(self):
        return self.node.links.allocated


def plant(mac=PLANT):
    return PlantSensor(mac, 0x0098, time.monotonic, step=0.002)


@asynccontextmanager
async def room(firmware=NEW, *, subscribe=True, delay=0.0):
    sensor, notes = plant(), Kept()
    air = Air(sensor, plant(OTHER))
    node = FaultyNode(NodeSettings("kitchen-proxy", 0xA0B1C2D3E4F5), firmware, air, NODE)
    await node.start()
    async with slow_network(node.port, delay) if delay else nullcontext(node.port) as port:
        client = APIClient("127.0.0.1", port, "")
        try:
            await client.connect(login=True)
            info = await client.device_info()
            features = info.bluetooth_proxy_feature_flags_compat(client.api_version)
            if subscribe:
                client.subscribe_bluetooth_le_raw_advertisements(lambda _batch: None)
                await client.device_info()
            proxy = Connector("kitchen-proxy", client, features)
            yield Room(node, proxy, sensor, notes, HandleCache(notes.get, notes.save), air)
        finally:
            await client.disconnect(force=True)
            await node.power_off()


async def values(link):
    return (await miflora.read(link, FLOWER)).values


async def do(house, act, **more):
    async with house.connect(**more) as link:
        await act(link)


async def fails(house, cause, act=values, **more):
    """A connection fails with this cause, and nothing is left of it."""
    with pytest.raises(GattError) as caught:
        await do(house, act, **more)
    assert caught.value.cause == cause, caught.value
    assert not house.proxy.connecting
    return caught.value


@pytest.mark.parametrize("firmware", [OLDEST, OLD, NEW])
async def test_a_read_through_each_generation(firmware):
    """The values come, the second time by kept handles, and the slot is free each time."""
    async with room(firmware) as house:
        for cached in (False, True):
            async with house.connect() as link:
                assert link.cached == cached
                assert house.taken == [PLANT]
                read = await values(link)
                assert {name: read[name] for name in house.sensor.live} == house.sensor.live
            assert house.taken == []
        assert len(house.notes) == 1


async def test_no_slot_is_said_at_once():
    """All slots taken: the answer is no_slot, nothing goes on air, and the other's link stands."""
    async with room() as house:
        house.node.links.limit = 1
        async with house.connect() as link:
            await fails(house, "no_slot", mac=OTHER)
            assert house.taken == [PLANT]
            assert house.air.sensors[OTHER].opens == []
            assert (await values(link))["moisture"] == 21
        assert house.taken == []


async def test_status_133_then_well():
    """A refused connection names its status; the next one, at once, is not disturbed by what was said of it."""
    async with room() as house:
        for _ in range(8):
            house.sensor.faults.open_codes = [133]
            assert "133" in str(await fails(house, "refused"))
            async with house.connect() as link:
                assert (await link.read(miflora.BATTERY))[0] == 97


@pytest.mark.parametrize("firmware", [OLD, NEW])
async def test_a_device_out_of_range(firmware):
    """The proxy gives up by itself and says 133; the slot is free afterwards."""
    async with room(firmware) as house:
        house.sensor.faults.absent = True
        await fails(house, "refused")
        assert house.taken == []


async def test_a_connect_that_never_ends():
    """Where the proxy says nothing the attempt ends by our own limit, and the slot is given back."""
    async with room() as house:
        house.sensor.faults.absent = True
        await fails(house, "no_answer", timing=attrs.evolve(FAST, connect=0.1))
        assert house.taken == []


@pytest.mark.parametrize("firmware", [OLD, NEW])
async def test_the_link_is_lost_between_write_and_read(firmware):
    """The pause between them ends at once; the reason is the radio's own; a reconnect right after works."""
    async with room(firmware) as house:
        house.sensor.faults.lose_after_write = 1
        error = await fails(house, "connection_lost")
        assert str(error) == "link lost: supervision timeout"
        assert house.taken == []
        async with house.connect() as link:
            assert (await values(link))["moisture"] == 21


async def test_a_sensor_that_never_answers():
    """The operation ends after its time, the link is closed, the slot free."""
    async with room() as house:
        house.sensor.faults.hang = True
        await fails(house, "timeout")
        assert house.taken == []
        assert house.sensor.link is None


async def test_kept_handles_that_are_wrong():
    """Handles moved with the device's firmware: reported as bad_handle, forgotten, discovered again next time."""
    async with room() as house:
        async with house.connect() as link:
            await values(link)
        house.sensor.faults.shifted = 0x40
        await fails(house, "bad_handle")
        assert house.notes == {}
        async with house.connect() as link:
            assert not link.cached
            assert (await values(link))["battery"] == 97


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": "b"}', "7", '{"x": 4}'])
async def test_a_kept_table_that_is_none(text):
    """A damaged note is no table, or one that lacks what is needed: forgotten, never believed."""
    async with room() as house:
        house.notes["handles/C4:7C:8D:6A:00:01"] = text
        if text == '{"x": 4}':
            await fails(house, "bad_handle")
        async with house.connect() as link:
            assert (await values(link))["battery"] == 97


async def test_a_link_left_over_from_before():
    """A link that an earlier run left on the proxy is closed first; the read gets a fresh one."""
    async with room() as house:
        await house.proxy.client.bluetooth_device_connect(
            PLANT, lambda *_: None, feature_flags=house.proxy.features, address_type=0
        )
        assert house.taken == [PLANT]
        async with house.connect() as link:
            await values(link)
        assert len(house.sensor.opens) == 2
        assert house.taken == []


async def test_the_proxy_loses_power_during_a_read():
    """The session is gone: proxy_gone, at once, from whatever was waiting."""

    async def lose_power(link):
        await house.node.power_off()
        await link.read(miflora.BATTERY)

    async with room() as house:
        await fails(house, "proxy_gone", lose_power)


async def test_the_stream_has_another_holder():
    """Answers go to the client that holds the stream: the attempt ends as no_answer, and no link is left behind."""
    async with room() as house:
        thief = APIClient("127.0.0.1", house.node.port, "")
        await thief.connect(login=True)
        thief.subscribe_bluetooth_le_raw_advertisements(lambda _batch: None)
        await thief.device_info()
        await fails(house, "no_answer", timing=attrs.evolve(FAST, connect=0.2))
        assert house.taken == []
        await thief.disconnect(force=True)


async def test_a_passive_proxy_is_not_asked():
    """Without flag 2 the request is never sent."""
    async with room(NEW.passive()) as house:
        await fails(house, "refused")
        assert house.sensor.opens == []


async def test_firmware_without_remote_caching_is_not_asked():
    """Without flag 4 the client could not connect, and the error is ours, not its ValueError."""
    async with room(attrs.evolve(NEW, flags=NEW.flags & ~Feature.REMOTE_CACHING)) as house:
        await fails(house, "refused")


async def test_cancelling_gives_the_slot_back():
    """A read that is cancelled while it connects, or while it reads, leaves no slot taken."""
    async with room() as house:
        for fault in (PlantFaults(absent=True), PlantFaults(hang=True)):
            house.sensor.faults = fault
            house.air.opened.clear()
            task = asyncio.create_task(do(house, values))
            await house.air.opened.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert house.taken == []


async def test_one_operation_at_a_time():
    """Firmware from 2026.8 on refuses a second operation on a link as busy; one that comes meanwhile waits."""
    async with room() as house, house.connect() as link:
        house.sensor.step = 0.05
        first = asyncio.create_task(link.read(miflora.BATTERY))
        await house.proxy.client.device_info()
        assert len(await link.read(miflora_log.CLOCK)) == 4
        assert (await first)[0] == 97


async def test_an_unknown_characteristic():
    """A device without the characteristic is an error of its own, not a stale table."""
    async with room() as house, house.connect() as link:
        with pytest.raises(GattError, match="no characteristic") as caught:
            await link.read("0000dead-0000-1000-8000-00805f9b34fb")
        assert caught.value.cause == "error"


async def test_services_without_end():
    """A proxy that lists too many services: the connection fails with that cause, and keeps no handles."""
    async with room() as house:
        house.air.boundless = True
        assert "more than 1024" in str(await fails(house, "excess"))
        assert house.notes == {}
        assert house.taken == []


async def test_a_value_that_no_device_has():
    """A value of more than 512 bytes fails the read with that cause."""
    async with room() as house:
        async with house.connect() as link:
            await values(link)
        house.air.boundless = True
        assert "513 bytes" in str(await fails(house, "excess"))


async def test_states_without_end():
    """A node that reports the link's state without end costs no memory: the first and the last are kept."""
    async with room() as house, house.connect() as link:
        before = sys.getsizeof(vars(link)) + sum(map(sys.getsizeof, vars(link).values()))
        for code in range(1000):
            link._changed(True, 23, code % 100)
        assert sys.getsizeof(vars(link)) + sum(map(sys.getsizeof, vars(link).values())) <= before + 64


@pytest.mark.parametrize("firmware", [OLD, NEW])
async def test_a_network_slower_than_any_wait(firmware):
    """A round trip takes longer than an operation may: it is measured, waits grow by it, and the slot is free after."""
    async with room(firmware, delay=0.25) as house:
        for _ in range(2):
            async with house.connect() as link:
                assert (await values(link))["moisture"] == 21
            assert house.taken == []
            assert house.proxy.round_trip >= 0.5 > FAST.operation


async def test_a_proxy_that_does_not_answer():
    """Where the first question is not answered no connection is requested: no_answer, and nothing is on air."""
    async with room() as house:
        house.node.freeze()
        await fails(house, "no_answer", timing=attrs.evolve(FAST, first=0.1))
        assert not house.air.opened.is_set()


async def test_a_device_that_a_client_of_a_shared_node_holds_is_left_alone():
    """The read is refused before anything is asked of the proxy."""

    class Tap:
        def holds(self, address):
            return address == PLANT

    async with room() as house:
        house.proxy.tap = Tap()
        with pytest.raises(GattError, match="a client of a shared node is connected to it"):
            async with house.connect():
                pass
        assert not house.taken
