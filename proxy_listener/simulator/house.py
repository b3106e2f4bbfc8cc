"""A house with real nodes on loopback, announced by real mDNS, and its ground truth.

A seed and sizes go in; ``async with house.running():`` starts the nodes and the devices. Invariant: the house hands
packets to the nodes' radios and records who received what; it never touches the clients of the nodes.
"""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from random import Random
from typing import Any, TypeAlias

import attrs
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.gatt.lywsd02 import PRODUCTS
from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.secret import Secret
from proxy_listener.node.air import Link, Lost, Notified
from proxy_listener.node.firmware import Firmware, NodeTiming
from proxy_listener.node.node import Node
from proxy_listener.node.settings import DialOut, NodeSettings
from proxy_listener.simulator.devices import Sender, SimulatedDevice, Transmission
from proxy_listener.simulator.generate import FIRMWARES, generate_devices, generate_neighbours, generate_rooms
from proxy_listener.simulator.ground_truth import GroundTruth
from proxy_listener.simulator.lywsd02 import ClockSensor
from proxy_listener.simulator.miflora import PlantSensor
from proxy_listener.simulator.radio import Point, Room, mean_rssi, receive
from proxy_listener.simulator.seeded_random import random_for
from proxy_listener.simulator.traffic import AirTraffic, Source

LOOPBACK = "127.0.0.1"
ESPRESSIF = 0x246F28
FOREVER = 10.0**9
"""Seconds; longer than any house runs."""
LOGGED = 300
"""Hours that the log of a plant or a clock holds."""
QUANTITIES = 4
"""What a plant sensor measures, one in each frame."""
REACH = -92.0
"""dBm: a weaker device does not receive a connect request."""


Placed: TypeAlias = tuple[PlantSensor | ClockSensor, Point]
"""A device that can be connected to, and where it is."""


class RoomAir:
    """What the radio of one room can connect to: sensors in reach. An open to anything else never returns."""

    def __init__(self, room: Room, sensors: Mapping[Address, Placed]) -> None:
        self._room = room
        self._sensors = sensors

    async def open(self, address: int, address_type: int, lost: Lost, notified: Notified) -> Link:
        """As :meth:`Air.open`."""
        del address_type
        found = self._sensors.get(address)
        if found is None or mean_rssi(found[1], self._room.place) < REACH:
            never: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
            return await never
        return await found[0].open(lost, notified)


@attrs.frozen
class HouseProxy:
    """One room's proxy."""

    room: Room
    node: Node

    @property
    def name(self) -> str:
        """The node's."""
        return self.node.settings.name


class House:
    """``rooms`` and ``devices`` are how many, or which. ``pace``: so many times faster than life devices send.

    ``foreign``: the share of packets of no device of ours. ``loss``: the share that each room misses, however near.
    ``others``: further sources of packets. ``firmwares``: of the rooms' nodes, by turns. ``node_type``: their class.
    ``dial``: whom the nodes call whose firmware can; these are announced nowhere.

    ``instance`` distinguishes houses of one seed that run at the same time on one machine: it changes the nodes'
    names, MACs and key, and nothing of what the devices send.
    """

    def __init__(
        self,
        seed: int | str = 1,
        rooms: int | Sequence[Room] = 4,
        devices: int | Sequence[SimulatedDevice] = 15,
        *,
        neighbours: int = 1,
        foreign: float = 0.7,
        pace: float = 60.0,
        loss: float = 0.25,
        others: Sequence[Source] = (),
        firmwares: Sequence[Firmware] = FIRMWARES,
        noise: bool = True,
        timing: NodeTiming | None = None,
        instance: str = "",
        node_type: type[Node] = Node,
        dial: DialOut | None = None,
    ) -> None:
        self.seed = str(seed)
        self.rooms = generate_rooms(rooms, loss) if isinstance(rooms, int) else list(rooms)
        self.devices = generate_devices(self.seed, devices, self.rooms) if isinstance(devices, int) else list(devices)
        self.neighbours = generate_neighbours(self.seed, neighbours, self.rooms)
        self.pace = pace
        self.foreign = foreign
        self.others = others
        self.truth = GroundTruth()
        self._instance = instance
        self._node_type = node_type
        self._dial = dial
        self._own = random_for(self.seed, "nodes", instance)
        self.noise_psk = Secret(b64encode(self._own.randbytes(32)).decode()) if noise else None
        self._sensors: Mapping[Address, Placed] = {
            device.mac: (self._sensor(device), device.place)
            for device in self.devices
            if device.profile.gatt_firmware is not None
        }
        for device in self.devices:
            if device.mac in self._sensors:
                self._measure_first(device)
        self.proxies = [
            HouseProxy(room, self._node(room, firmwares[index % len(firmwares)], timing))
            for index, room in enumerate(self.rooms)
        ]
        self._reception = random_for(self.seed, "reception")
        self._playing: asyncio.Task[None] | None = None

    @property
    def sensors(self) -> dict[Address, PlantSensor | ClockSensor]:
        """The GATT side of each plant sensor and clock, by MAC."""
        return {mac: sensor for mac, (sensor, _) in self._sensors.items()}

    def proxy(self, name: str) -> HouseProxy:
        """The proxy of that name, or in the room of that name."""
        return next(proxy for proxy in self.proxies if name in {proxy.name, proxy.room.name})

    def configuration(self, *, static: bool = False) -> dict[str, Any]:
        """What a devices.toml for this house contains, as tables. ``static``: with host and port of each node."""
        discovery = {"accept": "listed", "interfaces": [LOOPBACK]}
        if self._dial is not None:
            discovery["dial_in"] = f"{LOOPBACK}:{self._dial.port}"
        return {
            "discovery": discovery,
            "proxy": [self._proxy_entry(proxy, static=static) for proxy in self.proxies],
            "device": [_device_entry(device) for device in self.devices if device.listed],
        }

    @asynccontextmanager
    async def running(self, *, announced: bool = True) -> AsyncIterator["House"]:
        """The nodes run and the devices send, in real time."""
        zeroconf = AsyncZeroconf(interfaces=[LOOPBACK]) if announced else None
        try:
            for proxy in self.proxies:
                calls = proxy.node.settings.dial is not None
                await proxy.node.start(LOOPBACK, zeroconf=None if calls else zeroconf)
            self.start_sending()
            yield self
        finally:
            await self.stop_sending()
            await asyncio.gather(*(proxy.node.stop() for proxy in self.proxies))
            if zeroconf is not None:
                await zeroconf.async_close()

    def start_sending(self) -> None:
        """The devices begin to send."""
        if self._playing is None:
            self._playing = asyncio.get_running_loop().create_task(self._play())

    async def stop_sending(self) -> None:
        """Nothing more goes on air, and the nodes send on what they hold. The truth does not change after it."""
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.gather(self._playing, return_exceptions=True)
            self._playing = None
        for proxy in self.proxies:
            proxy.node.stream.flush()

    def traffic(self, epoch: float) -> AirTraffic:
        """What is sent in this house from its beginning. ``epoch``: seconds since 1970 at that time."""
        devices = [*self.devices, *self.neighbours]
        return AirTraffic(self.seed, self.rooms, devices, self.pace, self.foreign, self.others, epoch=epoch)

    def send(self, packet: Transmission) -> None:
        """Send one packet now. A sensor that is connected does not advertise."""
        now = time.time()
        sensor = self._sensors.get(packet.address)
        if sensor is not None and not sensor[0].advertises:
            return
        if sensor is not None and packet.frame is not None:
            sensor[0].measure(packet.frame.values)
        self.truth.on_air(packet.frame, now)
        for proxy in self.proxies:
            rssi = receive(self._reception, mean_rssi(packet.place, proxy.room.place), proxy.room.loss)
            if rssi is not None:
                self._receive(proxy, packet, rssi, now)

    @staticmethod
    def _receive(proxy: HouseProxy, packet: Transmission, rssi: int, now: float) -> None:
        """A packet counts as heard once the proxy sent it to its client."""
        sent = partial(packet.frame.record, proxy.room.name, now) if packet.frame is not None else None
        heard = partial(proxy.node.hear, packet.address, packet.address_type, rssi, packet.data, sent)
        if proxy.room.latency:
            asyncio.get_running_loop().call_later(proxy.room.latency, heard)
        else:
            heard()

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        for packet in self.traffic(time.time()).packets(self.truth, FOREVER):
            ahead = started + packet.time - loop.time()
            # A sleep shorter than a scheduler's tick costs more than it gains. More than a second late, let others run.
            if ahead > 0.005 or ahead < -1.0:
                await asyncio.sleep(max(0.0, ahead))
            self.send(packet)

    def _sensor(self, device: SimulatedDevice) -> PlantSensor | ClockSensor:
        chance = random_for(self.seed, mac_text(device.mac), "gatt")
        if device.profile.product_id in PRODUCTS:
            return self._clock(device, chance)
        plant = PlantSensor(device.mac, device.profile.product_id or 0, time.time, device.profile.gatt_firmware or "")
        plant.battery = chance.randint(20, 100)
        plant.tenths, plant.light = chance.randint(50, 300), chance.randint(0, 20_000)
        plant.moisture, plant.conductivity = chance.randint(5, 70), chance.randint(20, 1_500)
        plant.fill_log(LOGGED, chance)
        return plant

    def _measure_first(self, device: SimulatedDevice) -> None:
        """What its first frames will say, one for each quantity."""
        own = Sender(device, self.seed, GroundTruth()).packets(self.pace)
        for packet in islice(own, QUANTITIES * device.profile.copies):
            if packet.frame is not None:
                self._sensors[device.mac][0].measure(packet.frame.values)

    @staticmethod
    def _clock(device: SimulatedDevice, chance: Random) -> ClockSensor:
        clock = ClockSensor(device.mac, device.profile.product_id or 0, time.time, device.profile.gatt_firmware or "")
        clock.battery, clock.humidity = chance.randint(20, 100), chance.randint(20, 90)
        clock.hundredths = chance.randint(500, 3_000)
        clock.fill_log(LOGGED, chance)
        return clock

    def _node(self, room: Room, firmware: Firmware, timing: NodeTiming | None) -> Node:
        mac = ESPRESSIF << 24 | self._own.getrandbits(24)
        name = room.name.lower().replace(" ", "-") + "-proxy" + (f"-{mac & 0xFFFFFF:06x}" if self._instance else "")
        wifi = random_for(self.seed, "wifi", room.name).randint(-78, -45)
        dial = self._dial if firmware.dials else None
        settings = NodeSettings(
            name, mac, f"{room.name} proxy", self.noise_psk, area=room.name, wifi_rssi=wifi, dial=dial
        )
        return self._node_type(settings, firmware, RoomAir(room, self._sensors), timing)

    def _proxy_entry(self, proxy: HouseProxy, *, static: bool) -> dict[str, Any]:
        settings = proxy.node.settings
        entry: dict[str, Any] = {"name": proxy.name, "mac": mac_text(settings.mac), "room": proxy.room.name}
        if settings.noise_psk is not None:
            entry["noise_psk"] = settings.noise_psk.reveal()
        if static and settings.dial is None:
            entry |= {"host": proxy.node.host, "port": proxy.node.port}
        return entry


def _device_entry(device: SimulatedDevice) -> dict[str, Any]:
    entry: dict[str, Any] = {"mac": mac_text(device.mac), "name": device.name}
    if device.bindkey is not None:
        entry["bindkey"] = device.bindkey.reveal()
    return entry
