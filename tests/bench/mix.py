"""What the air of a house holds, made before the clock starts: who hears what when, and what may come out of it.

In: a :class:`Mix`, a few numbers and a seed. Out: an :class:`Air`, the messages that each proxy sends and the frames
that a receiver must find in them.

::

    70 %   foreign: phones whose addresses rotate, beacons, earbuds; a third has service data of some UUID
    30 %   ours: each frame six times within 1.5 s, heard in five rooms; one in twenty copies comes as a scan response
           that holds only a name, so an address alone says nothing
     1 %   of all is a new frame; two thirds of them encrypted (MiBeacon v5); one in ten has a leak's flag beside its
           temperature, which people act on at once

The rule of this file: everything follows from the seed, and each frame of a device carries a temperature of its own, so
that a client that shows it has read it.
"""

import hashlib
import random
from collections.abc import Iterator

import attrs

from proxy_listener.simulator import frames

NEW = 0.01
FOREIGN = 0.70
ROOMS = 5
REPEATS, REPEAT_SECONDS = 6, 0.25
NAME_ONLY = 0.05
ROTATION = 0.02
"""Of the foreign advertisements, so many come from an address that was never heard before."""

PHONES = 40
"""Foreign devices within hearing of a proxy."""

FLUSH, BATCH = 0.1, 16
"""How firmware gathers: seconds after the first of a message, and how many fill it."""

WIFI = 0.01
"""Seconds by which messages are late, at most. Without it, one packet heard in five rooms would leave them at once."""

LYWSD03MMC, LYWSDCGQ = 0x055B, 0x01AA
TEMPERATURE, HUMIDITY, LEAK = 0x1004, 0x1006, 0x1014
FIRST = 0xA4C138000000
NAME = frames.structure(frames.COMPLETE_NAME, b"LYWSD03MMC")


@attrs.frozen
class Mix:
    """``rate`` is advertisements a second of each proxy; ``devices`` how many are listed.

    ``warm`` seconds of the same come before it, in which each device that will be heard sends two frames: what happens
    once in a service's life (a key that verifies, a room that is found, and their log lines) is not what is measured.
    """

    proxies: int = 50
    rate: float = 20.0
    devices: int = 100
    seconds: float = 8.0
    warm: float = 4.0
    seed: int = 1

    @property
    def frames(self) -> int:
        """How many new frames there are in its seconds."""
        return round(self.proxies * self.rate * self.seconds * NEW)


@attrs.frozen
class Sensor:
    """A device of the house; without a key it sends in plain. ``leak``: it sends a leak's flag, too."""

    mac: int
    key: bytes | None
    leak: bool = False

    def frame(self, number: int) -> tuple[bytes, int, float]:
        """Its frame of this number: the payload, the counter that a reading shows, the temperature inside."""
        tenths = (self.mac * 37 + number * 7) % 600 - 100
        temperature = frames.obj(TEMPERATURE, tenths.to_bytes(2, "little", signed=True))
        objects = temperature + frames.obj(LEAK, b"\0") if self.leak else temperature
        if self.key is None:
            counter, extended, product = number % 256, 0, LYWSDCGQ
        else:
            counter, extended, product = (number + 1) % 256, (number + 1) // 256, LYWSD03MMC
        data = frames.frame(product, counter, objects, mac=self.mac, key=self.key, extended=extended)
        return frames.advertisement(data), extended << 8 | counter, tenths / 10


@attrs.frozen
class Frame:
    """One that must be found: when it was first on air (seconds from the start), and what it says."""

    mac: int
    counter: int
    celsius: float
    time: float


@attrs.frozen
class Heard:
    """One advertisement, as one proxy received it."""

    address: int
    address_type: int
    rssi: int
    data: bytes


@attrs.frozen
class Message:
    """What one proxy sends at once, at ``time`` seconds from the start."""

    time: float
    proxy: int
    heard: tuple[Heard, ...]


@attrs.frozen
class Air:
    """``messages`` in the order of their times."""

    messages: list[Message]
    frames: list[Frame]

    @property
    def advertisements(self) -> int:
        return sum(len(message.heard) for message in self.messages)


def sensors(devices: int) -> list[Sensor]:
    """The listed devices: every third sends in plain."""
    return [
        Sensor(FIRST + n, None if n % 3 == 2 else hashlib.sha256(b"bench %d" % n).digest()[:16], leak=n % 10 == 9)
        for n in range(devices)
    ]


def air(mix: Mix) -> Air:
    """Everything that is sent in this mix. Its times start with the warming."""
    rng = random.Random(mix.seed)
    heard: list[list[tuple[float, Heard]]] = [[] for _ in range(mix.proxies)]
    house = sensors(mix.devices)
    rng.shuffle(house)
    house = house[: max(1, mix.frames)]
    sent = dict.fromkeys((sensor.mac for sensor in house), 0)
    found: list[Frame] = []

    def send(sensor: Sensor, begin: float, repeats: int) -> None:
        data, counter, celsius = sensor.frame(sent[sensor.mac])
        sent[sensor.mac] += 1
        found.append(Frame(sensor.mac, counter, celsius, begin))
        _hear(mix, rng, heard, sensor, data, begin, repeats)

    for half in (0, 1) if mix.warm else ():
        for n, sensor in enumerate(house):
            send(sensor, mix.warm / 2 * (half + n / len(house)), 1)
    # Sensors know nothing of one another: their frames come at random, not in step.
    for n, begin in enumerate(sorted(rng.random() * mix.seconds for _ in range(mix.frames))):
        send(house[n % len(house)], mix.warm + begin, REPEATS)
    warm = round(mix.proxies * mix.rate * mix.warm * FOREIGN)
    _foreign(mix, rng, heard, warm, 0.0, mix.warm)
    _foreign(mix, rng, heard, round(mix.proxies * mix.rate * mix.seconds * FOREIGN), mix.warm, mix.seconds)
    messages = [message for proxy, events in enumerate(heard) for message in _batches(proxy, events, rng)]
    messages.sort(key=lambda message: message.time)
    return Air(messages, found)


def _hear(
    mix: Mix,
    rng: random.Random,
    heard: list[list[tuple[float, Heard]]],
    sensor: Sensor,
    data: bytes,
    begin: float,
    repeats: int,
) -> None:
    """The copies of one frame. The last ones are not cut off at the end of the mix, so that each frame has as many."""
    home = sensor.mac % mix.proxies
    for proxy in sorted({(home + room) % mix.proxies for room in range(ROOMS)}):
        for repeat in range(repeats):
            rssi = -60 - 5 * ((proxy - home) % mix.proxies) + rng.randint(-3, 3)
            # Never instead of the first copies of a frame: one that no proxy delivers cannot be found.
            payload = NAME if repeat and rng.random() < NAME_ONLY else data
            heard[proxy].append((begin + repeat * REPEAT_SECONDS, Heard(sensor.mac, 0, rssi, payload)))


def _foreign(
    mix: Mix, rng: random.Random, heard: list[list[tuple[float, Heard]]], count: int, begin: float, seconds: float
) -> None:
    phones = [[_phone(rng) for _ in range(PHONES)] for _ in range(mix.proxies)]
    for n in range(count):
        proxy = n % mix.proxies
        place = rng.randrange(PHONES)
        if rng.random() < ROTATION:
            phones[proxy][place] = _phone(rng)
        address, data = phones[proxy][place]
        heard[proxy].append((begin + rng.random() * seconds, Heard(address, 1, rng.randint(-98, -50), data)))


def _phone(rng: random.Random) -> tuple[int, bytes]:
    kinds = (
        b"\x02\x01\x1a\x0b\xff\x4c\x00\x10\x06" + rng.randbytes(6),
        b"\x02\x01\x06\x1a\xff\x4c\x00\x02\x15" + rng.randbytes(21),
        b"\x1e\xff\x06\x00\x01\x09\x20\x22" + rng.randbytes(23),
        b"\x02\x01\x06\x03\x03\xaa\xfe\x11\x16\xaa\xfe\x10\x00" + rng.randbytes(13),
        b"\x03\x03\x6f\xfd\x17\x16\x6f\xfd" + rng.randbytes(20),
        b"\x02\x01\x1a\x02\x0a\x08\x06\x16\x2c\xfe" + rng.randbytes(3),
        b"\x02\x01\x1a\x0f\xff\x75\x00\x42\x04" + rng.randbytes(11),
        b"\x02\x01\x06\x09\x09Keyboard",
        b"\x11\x07" + rng.randbytes(16),
    )
    return 0xC00000000000 | rng.getrandbits(46), rng.choice(kinds)


def strangers(count: int, seed: int) -> list[tuple[int, bytes]]:
    """So many foreign advertisements, each from an address of its own."""
    rng = random.Random(seed)
    return [_phone(rng) for _ in range(count)]


def _batches(proxy: int, events: list[tuple[float, Heard]], rng: random.Random) -> Iterator[Message]:
    events.sort(key=lambda event: event[0])
    waiting: list[Heard] = []
    due = left = 0.0
    for time, heard in events:
        if waiting and (time >= due or len(waiting) == BATCH):
            left = max(left, min(due, time) + rng.random() * WIFI)
            yield Message(left, proxy, tuple(waiting))
            waiting = []
        if not waiting:
            due = time + FLUSH
        waiting.append(heard)
    if waiting:
        yield Message(max(left, due), proxy, tuple(waiting))
