"""A house with real nodes on loopback, announced by real mDNS, and its truth.

A seed and sizes go in; ``async with house.running():`` makes it live. The rule of this file: the house plays its scene
to the nodes' radios and notes who heard what; it never touches whoever listens to the nodes.
"""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.secret import Secret
from proxy_listener.node.firmware import Firmware, Timing
from proxy_listener.node.node import Node
from proxy_listener.node.settings import NodeSettings
from proxy_listener.simulator.chance import chance_of
from proxy_listener.simulator.devices import Device, Packet
from proxy_listener.simulator.evening import Evening, Network
from proxy_listener.simulator.plan import FIRMWARES, plan_devices, plan_neighbours, plan_rooms
from proxy_listener.simulator.plant import PlantSensor
from proxy_listener.simulator.proxy import HouseProxy, RoomAir
from proxy_listener.simulator.radio import Point, Room, mean_rssi, receive
from proxy_listener.simulator.scene import Attack, Scene
from proxy_listener.simulator.truth import Truth

LOOPBACK = "127.0.0.1"
ESPRESSIF = 0x246F28
FOR_EVER = 10.0**9
LOGGED = 300
"""Hours that a plant's log holds."""


class House:
    """``rooms`` and ``devices`` are how many, or which. ``pace``: so many times faster than life devices send.

    ``foreign``: the share of packets that are not Xiaomi's. ``loss``: the share that each room misses, however near.
    ``attack``: who plays old frames again, or makes some up. ``firmwares``: of the rooms' nodes, by turns.

    ``instance`` tells houses of one seed apart that live at the same time on one machine: it changes the nodes' names,
    MACs and key, and nothing of what the devices send.
    """

    def __init__(
        self,
        seed: int | str = 1,
        rooms: int | Sequence[Room] = 4,
        devices: int | Sequence[Device] = 12,
        *,
        neighbours: int = 1,
        foreign: float = 0.7,
        pace: float = 60.0,
        loss: float = 0.25,
        attack: Attack | None = None,
        firmwares: Sequence[Firmware] = FIRMWARES,
        noise: bool = True,
        timing: Timing | None = None,
        instance: str = "",
    ) -> None:
        self.seed = str(seed)
        self.rooms = plan_rooms(rooms, loss) if isinstance(rooms, int) else list(rooms)
        self.devices = plan_devices(self.seed, devices, self.rooms) if isinstance(devices, int) else list(devices)
        self.neighbours = plan_neighbours(self.seed, neighbours, self.rooms)
        self.pace = pace
        self.foreign = foreign
        self.attack = attack or Attack()
        self.truth = Truth()
        self._instance = instance
        self._own = chance_of(self.seed, "nodes", instance)
        self.noise_psk = Secret(b64encode(self._own.randbytes(32)).decode()) if noise else None
        self._plants: dict[Address, tuple[PlantSensor, Point]] = {
            device.mac: (self._plant(device), device.place)
            for device in self.devices
            if device.kind.gatt_firmware is not None
        }
        self.proxies = [
            HouseProxy(room, self._node(room, firmwares[index % len(firmwares)], timing))
            for index, room in enumerate(self.rooms)
        ]
        self._reception = chance_of(self.seed, "reception")
        self._playing: asyncio.Task[None] | None = None

    @property
    def plants(self) -> dict[Address, PlantSensor]:
        """The GATT side of each plant sensor, by MAC."""
        return {mac: plant for mac, (plant, _) in self._plants.items()}

    def proxy(self, name: str) -> HouseProxy:
        """The proxy of that name, or in the room of that name."""
        return next(proxy for proxy in self.proxies if name in {proxy.name, proxy.room.name})

    def configuration(self, *, static: bool = False) -> dict[str, Any]:
        """What a devices.toml for this house contains, as tables. ``static``: with host and port of each node."""
        return {
            "discovery": {
                "accept": "listed",
                "interfaces": [LOOPBACK],
            },
            "proxy": [self._proxy_entry(proxy, static=static) for proxy in self.proxies],
            "device": [_device_entry(device) for device in self.devices if device.listed],
        }

    @asynccontextmanager
    async def running(self, *, announced: bool = True) -> AsyncIterator["House"]:
        """The nodes are up and the devices send, in real time."""
        zeroconf = AsyncZeroconf(interfaces=[LOOPBACK]) if announced else None
        try:
            for proxy in self.proxies:
                await proxy.node.start(LOOPBACK, zeroconf=zeroconf)
            self.speak()
            yield self
        finally:
            await self.fall_silent()
            await asyncio.gather(*(proxy.node.stop() for proxy in self.proxies))
            if zeroconf is not None:
                await zeroconf.async_close()

    def speak(self) -> None:
        """The devices begin to send."""
        if self._playing is None:
            self._playing = asyncio.get_running_loop().create_task(self._play())

    async def fall_silent(self) -> None:
        """Nothing more goes on air; what the nodes hold is sent on. After it the truth stands still."""
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.gather(self._playing, return_exceptions=True)
            self._playing = None
        for proxy in self.proxies:
            proxy.node.stream.flush()

    def evening(
        self,
        seconds: float,
        *,
        network: Network | None = None,
        attack: Attack | None = None,
        restarts: int = 0,
        pace: float | None = None,
        epoch: float = 1_763_800_000.0,
    ) -> Evening:
        """This house by virtual time, from its beginning: an iterable of advertisements, with its own truth.

        ``restarts`` devices change their batteries; ``pace`` is the house's unless given; ``epoch`` is seconds since
        1970 at time 0.
        """
        scene = attrs.evolve(
            self._scene(), attack=attack or self.attack, restarts=restarts, pace=pace or self.pace, epoch=epoch
        )
        names = {proxy.room.name: proxy.name for proxy in self.proxies}
        return Evening(scene, seconds, names, network or Network())

    def play(self, packet: Packet) -> None:
        """One packet goes on air, now. A plant that is connected does not advertise."""
        now = time.time()
        plant = self._plants.get(packet.address)
        if plant is not None and not plant[0].advertises:
            return
        self.truth.on_air(packet.frame, now)
        for proxy in self.proxies:
            rssi = receive(self._reception, mean_rssi(packet.place, proxy.room.place), proxy.room.loss)
            if rssi is not None:
                self._receive(proxy, packet, rssi, now)

    @staticmethod
    def _receive(proxy: HouseProxy, packet: Packet, rssi: int, now: float) -> None:
        """Heard is what the proxy sent on: a deaf, unsubscribed or choking one did not hear it."""
        sent = partial(packet.frame.note, proxy.room.name, now) if packet.frame is not None else None
        heard = partial(proxy.node.hear, packet.address, packet.address_type, rssi, packet.data, sent)
        if proxy.room.latency:
            asyncio.get_running_loop().call_later(proxy.room.latency, heard)
        else:
            heard()

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        for packet in self._scene().packets(self.truth, FOR_EVER):
            ahead = started + packet.time - loop.time()
            # Less than a scheduler's tick is not worth a sleep; a second behind, others get a turn.
            if ahead > 0.005 or ahead < -1.0:
                await asyncio.sleep(max(0.0, ahead))
            self.play(packet)

    def _scene(self) -> Scene:
        devices = [*self.devices, *self.neighbours]
        return Scene(self.seed, self.rooms, devices, self.pace, self.foreign, self.attack, epoch=time.time())

    def _plant(self, device: Device) -> PlantSensor:
        chance = chance_of(self.seed, mac_text(device.mac), "gatt")
        plant = PlantSensor(device.mac, device.kind.product_id or 0, time.time, device.kind.gatt_firmware or "")
        plant.battery = chance.randint(20, 100)
        plant.tenths, plant.light = chance.randint(50, 300), chance.randint(0, 20_000)
        plant.moisture, plant.conductivity = chance.randint(5, 70), chance.randint(20, 1_500)
        plant.fill_log(LOGGED, chance)
        return plant

    def _node(self, room: Room, firmware: Firmware, timing: Timing | None) -> Node:
        mac = ESPRESSIF << 24 | self._own.getrandbits(24)
        name = room.name.lower().replace(" ", "-") + "-proxy" + (f"-{mac & 0xFFFFFF:06x}" if self._instance else "")
        wifi = chance_of(self.seed, "wifi", room.name).randint(-78, -45)
        settings = NodeSettings(name, mac, f"{room.name} proxy", self.noise_psk, area=room.name, wifi_rssi=wifi)
        return Node(settings, firmware, RoomAir(room, self._plants), timing)

    def _proxy_entry(self, proxy: HouseProxy, *, static: bool) -> dict[str, Any]:
        settings = proxy.node.settings
        entry: dict[str, Any] = {"name": proxy.name, "mac": mac_text(settings.mac), "room": proxy.room.name}
        if settings.noise_psk is not None:
            entry["noise_psk"] = settings.noise_psk.reveal()
        if static:
            entry |= {"host": proxy.node.host, "port": proxy.node.port}
        return entry


def _device_entry(device: Device) -> dict[str, Any]:
    entry: dict[str, Any] = {"mac": mac_text(device.mac), "name": device.name}
    if device.bindkey is not None:
        entry["bindkey"] = device.bindkey.reveal()
    return entry
