"""All transmissions in a house, as one endless sequence in order of time. Pure.

Invariant: what is sent does not depend on who receives it. Only ``others`` may read the truth.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import TypeAlias

import attrs

from proxy_listener.simulator.devices import Sender, SimulatedDevice, Transmission
from proxy_listener.simulator.ground_truth import GroundTruth
from proxy_listener.simulator.phones import phone
from proxy_listener.simulator.radio import Room
from proxy_listener.simulator.seeded_random import random_for

SAMPLE = 60.0
"""Seconds of the devices' traffic that are counted to compute how much foreign traffic makes its share."""

Source: TypeAlias = Callable[["AirTraffic", GroundTruth], Iterator[Transmission]]
"""A further sender, such as an attacker: its transmissions in order of time."""


@attrs.frozen
class AirTraffic:
    """Who sends. ``foreign`` is the share of all packets of no device of ours; ``pace`` divides the waits between
    frames. ``restarts``: so many devices change their batteries. ``epoch``: seconds since 1970 at time 0.
    """

    seed: str
    rooms: Sequence[Room]
    devices: Sequence[SimulatedDevice]
    pace: float = 1.0
    foreign: float = 0.7
    others: Sequence[Source] = ()
    restarts: int = 0
    epoch: float = 0.0

    def packets(self, truth: GroundTruth, seconds: float) -> Iterator[Transmission]:
        """All packets of the first ``seconds``; restarts are spread over them."""
        sources = self._own(truth, seconds) + self._foreign() + [source(self, truth) for source in self.others]
        merged = heapq.merge(*sources, key=lambda packet: packet.time)
        return takewhile(lambda packet: packet.time < seconds, merged)

    def _own(self, truth: GroundTruth, seconds: float) -> list[Iterator[Transmission]]:
        chance = random_for(self.seed, "restarts")
        restarted = chance.sample(list(self.devices), min(self.restarts, len(self.devices)))
        sources = []
        for device in self.devices:
            restarts: tuple[tuple[float, float, int], ...] = ()
            if device in restarted:
                at, away = chance.uniform(0.3, 0.7) * seconds, chance.uniform(130.0, 300.0)
                restarts = ((at, away, chance.choice((0, 1, chance.getrandbits(24)))),)
            sender = Sender(device, self.seed, truth, self.epoch)
            sources.append(sender.packets(self.pace, restarts=restarts))
        return sources

    def _foreign(self) -> list[Iterator[Transmission]]:
        if not self.foreign or not self.rooms:
            return []
        scratch = GroundTruth()
        own = sum(
            1
            for device in self.devices
            for _ in takewhile(
                lambda packet: packet.time < SAMPLE, Sender(device, self.seed, scratch).packets(self.pace)
            )
        )
        rate = max(1.0, own / SAMPLE * self.foreign / (1 - self.foreign))
        count = max(4, min(60, round(rate)))
        chance = random_for(self.seed, "foreign")
        places = [room.place for room in self.rooms]
        rotation = max(10.0, 900.0 / self.pace)
        return [
            phone(random_for(self.seed, "foreign", index), chance.choice(places), count / rate, rotation)
            for index in range(count)
        ]
