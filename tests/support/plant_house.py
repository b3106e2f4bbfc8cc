"""A house with nodes, sensors and a fleet over loopback, in which routes fail on demand."""

import asyncio
import time
from contextlib import asynccontextmanager

import attrs
from aioesphomeapi.client import APIClient
from support.faulty_node import FaultyNode, faster

from proxy_listener.formats.xiaomi.models import MODELS
from proxy_listener.gatt.miflora import PLANTS
from proxy_listener.gatt.readers import READERS, miflora_reader
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.settings import DeviceSettings, DiscoverySettings, ProxySettings
from proxy_listener.model.status import DeviceStatus, Heard, KeyState, ProxyState
from proxy_listener.node import firmware as generations
from proxy_listener.node.air import GattService, OpenError
from proxy_listener.node.settings import NodeSettings
from proxy_listener.proxies.connection import connection
from proxy_listener.proxies.fleet import Fleet
from proxy_listener.proxies.handle_cache import HandleCache
from proxy_listener.proxies.timing import GattTiming, ProxyTiming
from proxy_listener.reads import ReadContext, ReadOptions, ReadQueue, ReadTiming
from proxy_listener.simulator.miflora import PlantSensor

PLANT = 0xC47C8D6A0001
NOISE = bytes.fromhex("020106")
ROOMS = {"cellar": -88.0, "kitchen": -60.0, "hall": -70.0}
GATT = GattTiming(connect=0.8, services=0.6, operation=0.5, disconnect=0.3, release=0.8, settle=0.02, slots=0.2)
UNHURRIED = attrs.evolve(GATT, connect=8.0, services=8.0, operation=8.0)
READS = ReadTiming(tick=0.02, live=6.0, log=20.0, patience=0.5, poll=0.02, quick=0.2, rest=0.03)
QUICK_PLANTS = {number: attrs.evolve(plant, settle=0.02, again=0.03) for number, plant in PLANTS.items()}
NODE = faster(25, open=0.35, operation=5.0, ping=60.0, reap=150.0, handshake=10.0)
FLEET = attrs.evolve(ProxyTiming(), spacing=0.1, tick=0.05, silence=5.0)
LIVE, LOG = ReadOptions(), ReadOptions(history=True)


class Notes(dict):
    """The journal's notes."""

    def noted(self, name):
        return self.get(name)

    def note(self, name, value):
        if value is None:
            self.pop(name, None)
        else:
            self[name] = value


class RoomAir:
    """What one node's radio reaches. ``faults``: what goes wrong with the next connections, first to last."""

    def __init__(self, sensors):
        self.sensors = sensors
        self.faults = []
        self.always = None
        self.opened = asyncio.Event()
        self.opens = 0

    async def open(self, address, address_type, lost, notified):
        self.opens += 1
        self.opened.set()
        fault = self.faults.pop(0) if self.faults else self.always
        sensor = self.sensors[address]
        if fault == "133":
            raise OpenError(133)
        if fault == "absent":
            await asyncio.get_running_loop().create_future()
        link = await sensor.open(lost, notified)
        return FaultyLink(link, fault, lost)


class FaultyLink:
    """A sensor's link on which the first operations go well and one goes wrong."""

    mtu = 23

    def __init__(self, link, fault, lost):
        self.link, self.fault, self.lost = link, fault, lost
        self.operations = 0

    async def services(self):
        if self.fault == "boundless":
            return [GattService(number, number) for number in range(2000)]
        return await self.link.services()

    async def read(self, handle):
        await self._strike()
        value = await self.link.read(handle)
        return {"garbage": b"\xff\x7f" * 8, "empty": b"", "zeros": bytes(16)}.get(self.fault, value)

    async def write(self, handle, data, response):
        await self._strike()
        await self.link.write(handle, data, response)

    async def _strike(self):
        self.operations += 1
        if self.operations == 2 and self.fault == "lost":
            asyncio.get_running_loop().call_soon(self._drop)
        if self.operations == 2 and self.fault in {"hang", "lost"}:
            await asyncio.get_running_loop().create_future()

    def _drop(self):
        self.link.close()
        self.lost(0x08)

    def close(self):
        self.link.close()


@attrs.define(eq=False)
class PlantHouse:
    """Everything around a :class:`ReadQueue`."""

    nodes: dict
    airs: dict
    sensors: dict
    rssi: dict  # (proxy) -> dBm, of every device
    entries: list
    notes: Notes = attrs.field(factory=Notes)
    readings: list = attrs.field(factory=list)
    hours: set = attrs.field(factory=set)
    valueless: bool = False
    age: float = 1.0
    ages: dict = attrs.field(factory=dict)  # (proxy) -> seconds, where it is not the same for all
    shift: float = 0.0  # of the wall clock
    product_id: int | None = 0x0098
    fleet: Fleet | None = None
    reads: ReadQueue | None = None
    changed: asyncio.Event = attrs.field(factory=asyncio.Event)
    more: asyncio.Event = attrs.field(factory=asyncio.Event)
    arrived: asyncio.Event = attrs.field(factory=asyncio.Event)
    heard: dict = attrs.field(factory=dict)

    def start_reads(self, gatt=GATT, **timing):
        tables = HandleCache(self.notes.noted, self.notes.note)
        self.reads = ReadQueue(
            ReadContext(
                entries=self.entries,
                readable=lambda: self.sensors,
                device=self.device,
                proxies=self.fleet.status,
                connect=lambda name, mac, kind: connection(self.fleet[name], mac, kind, tables, gatt),
                record=self._record,
                notes=self.notes,
                hours=self._hours,
                logged=self._logged,
                readers=READERS | {"miflora": miflora_reader(QUICK_PLANTS)},
                valueless=lambda _mac: self.valueless,
                wall=lambda: time.time() + self.shift,
                chance=lambda: 0.0,
            ),
            attrs.evolve(READS, **timing),
        )
        return self.reads

    def take_time(self):
        """Reads for which nothing is too late: what they count does not depend on how busy the machine is."""
        self.start_reads(UNHURRIED, quick=8.0, live=20.0)

    async def _hours(self, mac, since):
        return self.hours

    async def _logged(self, mac):
        return [reading.time for reading in self.readings if reading.source == "history" and reading.mac == mac]

    def device(self, mac):
        if mac not in self.sensors:
            return None
        heard = [Heard(name, name, rssi, self.ages.get(name, self.age), 0.9, 0) for name, rssi in self.rssi.items()]
        return plant(mac, self.age, heard, self.product_id)

    async def taken(self):
        """The addresses that hold a slot, asked of every node that has slots, by a client of its own."""
        held = {}
        for name, node in self.nodes.items():
            if not node.firmware.active:
                continue
            client = APIClient("127.0.0.1", node.port, "")
            await client.connect(login=True)
            told = asyncio.get_running_loop().create_future()
            client.subscribe_bluetooth_connections_free(lambda free, limit, used, told=told: told.set_result(used))
            held[name] = await told
            await client.disconnect()
        return {name: used for name, used in held.items() if used}

    async def live(self, *names):
        """Wait until these proxies, or all, have their stream."""
        wanted = set(names or self.nodes)
        async with asyncio.timeout(5):
            while not wanted <= {status.name for status in self.fleet.status() if status.state is ProxyState.LIVE}:
                self.changed.clear()
                await self.changed.wait()

    def hear(self, proxy, address, *_rest):
        self.heard[proxy, address] = self.heard.get((proxy, address), 0) + 1
        self.arrived.set()
        return Outcome.NOT_OURS

    async def all_heard(self, proxy, address, count):
        """Wait until so many advertisements of a device have come through a proxy."""
        async with asyncio.timeout(5):
            while self.heard.get((proxy, address), 0) < count:
                self.arrived.clear()
                await self.arrived.wait()

    async def recorded(self, count):
        """Wait until there are so many readings."""
        async with asyncio.timeout(8):
            while len(self.readings) < count:
                self.more.clear()
                await self.more.wait()

    def _record(self, reading):
        self.readings.append(reading)
        self.more.set()

    async def slots(self, name, free):
        """Other clients' links leave so many slots free; our session has received the message about it."""
        links = self.nodes[name].links
        links.limit = free
        self.nodes[name].send(links.report())
        await self.fleet[name].client.device_info()


def plant(mac, age, heard, product_id=0x0098):
    """The status of one that was heard so many seconds ago by these proxies."""
    return DeviceStatus(
        mac=mac,
        name=f"Plant {mac & 0xFFFF}",
        model="HHCCJCY01",
        kind="plant",
        listed=True,
        room="Kitchen",
        available=True,
        heard_age=age,
        key=KeyState.NOT_NEEDED,
        trust="claimed",
        values={},
        heard=heard,
        readings=1,
        sleepy=False,
        interval=60.0,
        product_id=product_id,
        product=MODELS.get(product_id),
        counter=1,
    )


def sensor(mac=PLANT, **more):
    return PlantSensor(mac, 0x0098, time.monotonic, step=0.001, **more)


@asynccontextmanager
async def plant_house(rssi, *, plants=1, firmware=None, clock=None, **entry):
    """Nodes by these names, each as strong as given; ``firmware`` by name where it is not the newest.

    ``clock``: the one device instead of plants.
    """
    sensors = {PLANT + i: sensor(PLANT + i) for i in range(plants)} if clock is None else {clock.mac: clock}
    airs = {name: RoomAir(sensors) for name in rssi}
    nodes = {
        name: FaultyNode(
            NodeSettings(name, 0xA0B1C2D3E400 + 16 * at),
            (firmware or {}).get(name, generations.ESPHOME_2026_10),
            air,
            NODE,
        )
        for at, (name, air) in enumerate(airs.items())
    }
    for node in nodes.values():
        await node.start()
    entries = [DeviceSettings(mac, **({"read_limit": 1000} | entry)) for mac in sensors]
    house = PlantHouse(nodes, airs, sensors, dict(rssi), entries)
    house.product_id = next(iter(sensors.values())).product_id
    house.fleet = Fleet(
        DiscoverySettings(accept="listed", interfaces=("127.0.0.1",)),
        [ProxySettings(name, host="127.0.0.1", port=node.port) for name, node in nodes.items()],
        house.hear,
        timing=FLEET,
        changed=lambda _status: house.changed.set(),
    )
    tasks = [asyncio.create_task(house.fleet.run()), asyncio.create_task(_chatter(nodes))]
    try:
        await house.live(*(name for name in nodes if nodes[name].firmware.flags))
        house.start_reads()
        yield house
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for node in nodes.values():
            await node.power_off()


async def _chatter(nodes):
    """Advertisements of another device, so that every stream lives."""
    while True:
        for node in nodes.values():
            node.hear(0x112233445566, 0, -50, NOISE)
        await asyncio.sleep(0.1)


def ignore(_progress):
    pass


def tried(report):
    return [(attempt.proxy, attempt.cause) for attempt in report.attempts]
