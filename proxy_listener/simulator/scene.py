"""Everything that is sent in a house, as one endless sequence of packets in order of time. Pure.

The rule of this file: what is sent does not depend on who hears it; the attackers alone look at the truth.
"""

import heapq
from collections.abc import Iterator, Sequence
from itertools import takewhile
from random import Random

import attrs

from proxy_listener.model.advertisement import PUBLIC, RANDOM
from proxy_listener.simulator.chance import chance_of
from proxy_listener.simulator.devices import Device, Packet, Sender
from proxy_listener.simulator.foreign import phone
from proxy_listener.simulator.frames import advertisement, frame, obj
from proxy_listener.simulator.radio import Point, Room
from proxy_listener.simulator.truth import Frame, Origin, Truth

HOUR = 3600.0
SAMPLE = 60.0
"""Seconds of the devices' traffic that are counted to know how much foreign traffic makes its share."""


@attrs.frozen
class Attack:
    """Attackers on the radio, per hour."""

    replays: float = 0.0
    forgeries: float = 0.0


@attrs.frozen
class Scene:
    """Who sends. ``foreign`` is the share of all packets that are not Xiaomi's; ``pace`` divides the waits."""

    seed: str
    rooms: Sequence[Room]
    devices: Sequence[Device]
    pace: float = 1.0
    foreign: float = 0.7
    attack: Attack = Attack()
    restarts: int = 0
    epoch: float = 0.0

    def packets(self, truth: Truth, seconds: float) -> Iterator[Packet]:
        """All packets of the first ``seconds``; restarts and attacks are spread over them."""
        return takewhile(lambda packet: packet.time < seconds, self._merged(truth, seconds))

    def _merged(self, truth: Truth, seconds: float) -> Iterator[Packet]:
        sources = self._own(truth, seconds)
        sources += self._foreign()
        places = [room.place for room in self.rooms]
        attackers = chance_of(self.seed, "attackers")
        if self.attack.replays and places:
            sources.append(_replays(attackers, truth, places, HOUR / self.attack.replays))
        # Of a device whose key nobody here has, a lie cannot be told from the truth.
        keyed = [device for device in self.devices if device.key is not None and device.listed]
        if self.attack.forgeries and places and keyed:
            sources.append(_forgeries(attackers, keyed, places, HOUR / self.attack.forgeries))
        return heapq.merge(*sources, key=lambda packet: packet.time)

    def _own(self, truth: Truth, seconds: float) -> list[Iterator[Packet]]:
        chance = chance_of(self.seed, "restarts")
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

    def _foreign(self) -> list[Iterator[Packet]]:
        if not self.foreign or not self.rooms:
            return []
        scratch = Truth()
        own = sum(
            1
            for device in self.devices
            for _ in takewhile(
                lambda packet: packet.time < SAMPLE, Sender(device, self.seed, scratch).packets(self.pace)
            )
        )
        rate = max(1.0, own / SAMPLE * self.foreign / (1 - self.foreign))
        count = max(4, min(60, round(rate)))
        chance = chance_of(self.seed, "foreign")
        places = [room.place for room in self.rooms]
        rotation = max(10.0, 900.0 / self.pace)
        return [
            phone(chance_of(self.seed, "foreign", index), chance.choice(places), count / rate, rotation)
            for index in range(count)
        ]


def _replays(chance: Random, truth: Truth, places: Sequence[Point], mean: float) -> Iterator[Packet]:
    """Copies of what was on air before, some with header bits changed that no tag protects."""
    time = 0.0
    while True:
        time += chance.expovariate(1 / mean)
        place = chance.choice(places)
        chosen = _recorded(chance, truth, time)
        if chosen is None:
            yield Packet(time, chance.getrandbits(46), RANDOM, b"", place)
            continue
        data = chosen.data
        if chosen.counter is not None and chance.random() < 0.3:
            # Byte 8 is the high byte of the frame control: bit 0 there says "bound", and is in no nonce.
            data = data[:8] + bytes((data[8] ^ 0x01,)) + data[9:]
        copy = attrs.evolve(
            chosen,
            time=time,
            data=data,
            origin=Origin.REPLAY,
            of=chosen,
            number=-1,
            heard=set(),
            copies=0,
            first_heard=None,
        )
        for index in range(3):
            yield Packet(time + index * 0.05, copy.mac, PUBLIC, data, place, copy)


def _recorded(chance: Random, truth: Truth, time: float) -> Frame | None:
    """Any genuine frame that was on air 5 s ago or earlier, if a few tries find one."""
    for _ in range(min(20, len(truth.frames))):
        sent = chance.choice(truth.frames)
        if sent.origin is Origin.GENUINE and sent.time < time - 5.0:
            return sent
    return None


def _forgeries(chance: Random, keyed: Sequence[Device], places: Sequence[Point], mean: float) -> Iterator[Packet]:
    """In the name of devices that have a key: counters far ahead under a bad tag, plain objects, legacy versions."""
    time = 0.0
    while True:
        time += chance.expovariate(1 / mean)
        device = chance.choice(keyed)
        counter, lie = chance.getrandbits(32), obj(0x1004, b"\xe7\x03")
        key, version = chance.choice(((chance.randbytes(16), 5), (None, 5), (chance.randbytes(12), 3)))
        assert device.kind.product_id is not None
        payload = frame(
            device.kind.product_id,
            counter & 0xFF,
            lie,
            mac=device.mac,
            key=key,
            extended=counter >> 8,
            version=version,
        )
        data = advertisement(payload)
        forged = Frame(device.mac, time, counter, {"temperature": 99.9}, (), data, Origin.FORGED)
        yield Packet(time, device.mac, PUBLIC, data, chance.choice(places), forged)
