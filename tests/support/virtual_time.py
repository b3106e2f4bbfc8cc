"""A house in virtual time: what its proxies would deliver, in order of arrival, as fast as it can be computed. Pure.

Packets of one room arrive in the order in which they were received; those of different rooms do not. A room whose
Wi-Fi stalls delivers minutes of packets at once.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import attrs

from proxy_listener.model.advertisement import Advertisement
from proxy_listener.simulator.ground_truth import GroundTruth
from proxy_listener.simulator.house import House
from proxy_listener.simulator.radio import Room, mean_rssi, receive
from proxy_listener.simulator.seeded_random import random_for
from proxy_listener.simulator.traffic import AirTraffic, Source

STARTED = 1_000.0
"""Monotonic seconds at the house's time 0. Not 0, which could be mistaken for "never"."""


HOUR = 3600.0


@attrs.frozen
class Network:
    """Delays. ``batch``: seconds that a packet waits at most; ``stalls``: of the Wi-Fi, per hour and room."""

    batch: float = 0.2
    stalls: float = 0.0
    longest_stall: float = 240.0


@attrs.define
class VirtualHouse:
    """Iterate once. ``truth`` grows with it; ``frames[...].first_heard`` is the arrival of the first copy."""

    traffic: AirTraffic
    seconds: float
    proxies: Mapping[str, str]  # room -> proxy's name
    network: Network = Network()
    truth: GroundTruth = attrs.field(factory=GroundTruth)

    def __iter__(self) -> Iterator[Advertisement]:
        reception = random_for(self.traffic.seed, "reception")
        arrivals = {
            room.name: _Arrivals(self.traffic.seed, room, self.network, self.seconds) for room in self.traffic.rooms
        }
        waiting: list[tuple[float, int, Advertisement]] = []
        order = count()
        for packet in self.traffic.packets(self.truth, self.seconds):
            while waiting and waiting[0][0] <= packet.time:
                yield heapq.heappop(waiting)[2]
            self.truth.on_air(packet.frame, packet.time)
            for room in self.traffic.rooms:
                rssi = receive(reception, mean_rssi(packet.place, room.place), room.loss)
                if rssi is None:
                    continue
                arrival = arrivals[room.name].after(packet.time)
                if packet.frame is not None:
                    packet.frame.record(room.name, arrival)
                advertisement = Advertisement(
                    packet.address,
                    packet.address_type,
                    packet.data,
                    self.proxies[room.name],
                    rssi,
                    self.traffic.epoch + arrival,
                    STARTED + arrival,
                )
                heapq.heappush(waiting, (arrival, next(order), advertisement))
        while waiting:
            yield heapq.heappop(waiting)[2]


class _Arrivals:
    """When packets of one room arrive."""

    def __init__(self, seed: str, room: Room, network: Network, seconds: float) -> None:
        self._chance = random_for(seed, "network", room.name)
        self._latency = room.latency
        self._batch = network.batch
        self._last = 0.0
        self._stalls: list[tuple[float, float]] = []
        time = 0.0
        while network.stalls:
            time += self._chance.expovariate(network.stalls / HOUR)
            if time >= seconds:
                break
            end = time + self._chance.uniform(1.0, network.longest_stall)
            self._stalls.append((time, end))
            time = end

    def after(self, heard: float) -> float:
        arrival = heard + self._latency + self._chance.uniform(0.0, self._batch)
        while self._stalls and self._stalls[0][1] < heard:
            self._stalls.pop(0)
        if self._stalls and self._stalls[0][0] <= arrival:
            arrival = max(arrival, self._stalls[0][1])
        self._last = max(self._last, arrival)
        return self._last


def in_virtual_time(
    house: House,
    seconds: float,
    *,
    network: Network | None = None,
    attackers: Sequence[Source] = (),
    restarts: int = 0,
    pace: float | None = None,
    epoch: float = 1_763_800_000.0,
) -> VirtualHouse:
    """This house from its beginning: an iterable of advertisements, with a ground truth of its own.

    ``restarts`` devices change their batteries; ``pace`` is the house's unless given; ``epoch`` is seconds since 1970
    at time 0.
    """
    traffic = attrs.evolve(house.traffic(epoch), others=attackers, restarts=restarts, pace=pace or house.pace)
    names = {proxy.room.name: proxy.name for proxy in house.proxies}
    return VirtualHouse(traffic, seconds, names, network or Network())
