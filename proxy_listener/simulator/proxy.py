"""A proxy of the house: a real node in a room, and the switches for what can go wrong with it.

The rule of this file: a switch does to the node what the fault does in life, and nothing to the engine that listens.
"""

import asyncio

import structlog
from google.protobuf.message import Message

from proxy_listener.model.advertisement import RANDOM
from proxy_listener.node.air import Link, Lost, Notified
from proxy_listener.node.node import Node
from proxy_listener.simulator.chance import chance_of
from proxy_listener.simulator.plant import PlantSensor
from proxy_listener.simulator.radio import Room, mean_rssi

log = structlog.get_logger()

REACH = -92.0
"""dBm: a weaker device hears no connect request."""


class RoomAir:
    """What the radio of one room can connect to."""

    def __init__(self, room: Room, plants: dict[int, tuple[PlantSensor, tuple[float, float]]]) -> None:
        self._room = room
        self._plants = plants

    async def open(self, address: int, address_type: int, lost: Lost, notified: Notified) -> Link:
        """A link to a plant in reach; for ever for anything else."""
        del address_type
        found = self._plants.get(address)
        if found is None or mean_rssi(found[1], self._room.place) < REACH:
            never: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
            return await never
        return await found[0].open(lost, notified)


class Thief:
    """Another client of the stream, such as Home Assistant: takes everything and says nothing."""

    def send(self, *messages: Message) -> None:
        """Take it."""

    def offer(self, message: Message) -> bool:
        """Take it."""
        del message
        return True


class HouseProxy:
    """One room's proxy."""

    def __init__(self, room: Room, node: Node) -> None:
        self.room = room
        self.node = node
        self._thief = Thief()
        self._flood: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The node's."""
        return self.node.settings.name

    def take_stream(self) -> bool:
        """Another client subscribes. True where the firmware gives it the stream."""
        return self.node.stream.subscribe(self._thief, 1)

    def give_stream_back(self) -> None:
        """The other client leaves; nobody is promoted."""
        self.node.stream.leave(self._thief)

    def fill_slots(self, free: int = 0) -> None:
        """Others' links leave so many connection slots; the holder is told, as by the firmware."""
        self.node.links.limit = free + len(self.node.links.allocated)
        self.node.tell(self.node.links.report())

    def empty_slots(self) -> None:
        """All slots are there again."""
        self.node.links.limit = self.node.firmware.slots
        self.node.tell(self.node.links.report())

    def wedge(self, until: str = "scan") -> None:
        """The scan says RUNNING and hears nothing, until it is started again (``scan``) or the node is (``power``)."""
        self.node.scanner.wedged = until

    async def power_cycle(self, seconds: float = 0.0) -> None:
        """Power loss, and the same node back at the same port after ``seconds``."""
        zeroconf = self.node.announced_by
        self.stop_flood()
        try:
            await self.node.power_off()
            await asyncio.sleep(seconds)
        finally:
            await self.node.start(self.node.host, zeroconf=zeroconf)

    def flood(self, rate: float, size: int = 31) -> None:
        """Send ``rate`` advertisements a second from random addresses, until :meth:`stop_flood`."""
        self.stop_flood()
        self._flood = self.node.spawn(self._pour(rate, size))

    def stop_flood(self) -> None:
        """End it."""
        if self._flood is not None:
            self._flood.cancel()
            self._flood = None

    async def _pour(self, rate: float, size: int) -> None:
        chance, tick = chance_of("flood", self.name), 0.02
        while True:
            for _ in range(max(1, round(rate * tick))):
                self.node.hear(chance.getrandbits(48), RANDOM, -60, chance.randbytes(size))
            await asyncio.sleep(tick)
