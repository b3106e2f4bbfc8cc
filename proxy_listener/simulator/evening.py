"""A house by virtual time: what its proxies would hand in, in order of arrival, as fast as it can be computed. Pure.

The rule of this file: within one room packets arrive in the order in which they were heard; between rooms they do not,
and a room whose Wi-Fi stalls hands in minutes of them at once.
"""

import heapq
from collections.abc import Iterator, Mapping
from itertools import count

import attrs

from proxy_listener.model.advertisement import Advertisement
from proxy_listener.simulator.chance import chance_of
from proxy_listener.simulator.radio import Room, mean_rssi, receive
from proxy_listener.simulator.scene import HOUR, Scene
from proxy_listener.simulator.truth import Truth

STARTED = 1_000.0
"""Monotonic seconds at the house's time 0: not 0, so that nobody takes it for "never"."""


@attrs.frozen
class Network:
    """How what rooms hear arrives. ``batch``: seconds that a packet waits at most; ``stalls`` an hour and room."""

    batch: float = 0.2
    stalls: float = 0.0
    longest_stall: float = 240.0


@attrs.define
class Evening:
    """Iterate once. ``truth`` grows with it; ``frames[...].first_heard`` is the arrival of the first copy."""

    scene: Scene
    seconds: float
    proxies: Mapping[str, str]  # room -> proxy's name
    network: Network = Network()
    truth: Truth = attrs.field(factory=Truth)

    def __iter__(self) -> Iterator[Advertisement]:
        reception = chance_of(self.scene.seed, "reception")
        arrivals = {
            room.name: _Arrivals(self.scene.seed, room, self.network, self.seconds) for room in self.scene.rooms
        }
        waiting: list[tuple[float, int, Advertisement]] = []
        order = count()
        for packet in self.scene.packets(self.truth, self.seconds):
            while waiting and waiting[0][0] <= packet.time:
                yield heapq.heappop(waiting)[2]
            self.truth.on_air(packet.frame, packet.time)
            for room in self.scene.rooms:
                rssi = receive(reception, mean_rssi(packet.place, room.place), room.loss)
                if rssi is None:
                    continue
                arrival = arrivals[room.name].after(packet.time)
                if packet.frame is not None:
                    packet.frame.note(room.name, arrival)
                advertisement = Advertisement(
                    packet.address,
                    packet.address_type,
                    packet.data,
                    self.proxies[room.name],
                    rssi,
                    self.scene.epoch + arrival,
                    STARTED + arrival,
                )
                heapq.heappush(waiting, (arrival, next(order), advertisement))
        while waiting:
            yield heapq.heappop(waiting)[2]


class _Arrivals:
    """When packets of one room arrive."""

    def __init__(self, seed: str, room: Room, network: Network, seconds: float) -> None:
        self._chance = chance_of(seed, "network", room.name)
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
