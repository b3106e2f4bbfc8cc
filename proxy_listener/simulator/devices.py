"""A device in the house and what it sends: its counter, its key, its frames and their copies.

Invariant: what a device sends depends on the seed and its MAC only, so it is the same in real and in virtual time.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import attrs

from proxy_listener.formats.xiaomi.mibeacon import UUID as MIBEACON
from proxy_listener.model.advertisement import PUBLIC, Address, mac_text
from proxy_listener.model.secret import Secret
from proxy_listener.simulator.frames import advertisement, frame
from proxy_listener.simulator.ground_truth import GroundTruth, Origin, SentFrame
from proxy_listener.simulator.profile import Content, Profile
from proxy_listener.simulator.radio import Point
from proxy_listener.simulator.seeded_random import random_for

STANDARD_AUTHENTICATION = 0x0800
"""Bits 10 and 11 of the frame control of nearly all encrypted devices."""

LONGEST = 31
"""Bytes of a legacy advertising payload (Bluetooth Core, volume 6, part B, 2.3.1.1)."""

SHORTEST_WAIT = 2.0
"""Seconds between frames at least, at any pace. An 8-bit counter then wraps after 512 s, as with the fastest real
devices."""


@attrs.frozen
class SimulatedDevice:
    """One device. ``listed``: it has an entry in the house's configuration; a neighbour's device has none."""

    mac: Address
    profile: Profile
    name: str
    place: Point
    bindkey: Secret | None
    listed: bool = True

    @property
    def model(self) -> str:
        """The model that its readings have."""
        return self.profile.model

    @property
    def key(self) -> bytes | None:
        """The bindkey's bytes."""
        return bytes.fromhex(self.bindkey.reveal()) if self.bindkey is not None else None


@attrs.frozen
class Transmission:
    """One packet: its address, its payload, and the frame in it if a device of the house sent it."""

    time: float
    address: Address
    address_type: int
    data: bytes
    place: Point
    frame: SentFrame | None = None


class Sender:
    """What one device sends. ``epoch``: seconds since 1970 at the house's time 0, for scales, which have a clock."""

    def __init__(self, device: SimulatedDevice, seed: str, truth: GroundTruth, epoch: float = 0.0) -> None:
        self.device = device
        self._truth = truth
        self._epoch = epoch
        self._chance = random_for(seed, mac_text(device.mac))
        self._contents = device.profile.contents(self._chance)
        self._key = device.key
        # Near the end of the 8 bits, so that counters wrap in every house.
        self._counter = self._chance.randrange(1, 4_000) * 256 + 250
        self._restarts = 0
        self._weighed = datetime.fromtimestamp(epoch, UTC)

    def restart(self, time: float, counter: int) -> None:
        """New batteries: the counter starts again."""
        self._counter = counter
        self._restarts += 1
        self._truth.restarts.append((self.device.mac, time, counter))

    def send(self, time: float) -> tuple[SentFrame, float]:
        """The next frame, not yet on air, and the seconds until the one after it."""
        content = next(self._contents)
        if content.fresh:
            self._weighed = datetime.fromtimestamp(self._epoch + time, UTC)
        payload = content.payload if isinstance(content.payload, bytes) else content.payload(self._weighed)
        sent = SentFrame(
            mac=self.device.mac,
            time=time,
            counter=None,
            values=content.values,
            events=content.events,
            data=self._advertisement(payload),
            origin=Origin.GENUINE if content.values or content.events else Origin.SIGN_OF_LIFE,
            epoch=self._restarts,
        )
        profile = self.device.profile
        if profile.uuid == MIBEACON:
            sent.counter = self._counter if self._key is not None and payload else self._counter & 0xFF
        elif profile.counter_bits:
            sent.counter = self._counter_of(profile.counter_bits)
        self._counter = (self._counter + 1) & 0xFFFF_FFFF
        return sent, self._wait(content)

    def packets(self, pace: float, *, restarts: tuple[tuple[float, float, int], ...] = ()) -> Iterator[Transmission]:
        """All its transmissions in order of time, without end.

        ``pace`` divides the waits. ``restarts``: (time, seconds without batteries, new counter).
        """
        due = list(restarts)
        time = self._chance.uniform(0.0, 2.0 * SHORTEST_WAIT)
        while True:
            if due and time >= due[0][0]:
                _, away, counter = due.pop(0)
                time += away
                self.restart(time, counter)
            sent, wait = self.send(time)
            last = time
            for packet in self.copies(sent):
                last = packet.time
                yield packet
            time = max(last + 0.05, time + max(SHORTEST_WAIT, wait / pace))

    def copies(self, sent: SentFrame) -> Iterator[Transmission]:
        """The transmissions of one frame, in order of time."""
        at = sent.time
        for _ in range(self.device.profile.copies):
            yield Transmission(at, self.device.mac, PUBLIC, sent.data, self.device.place, sent)
            at += self.device.profile.spacing * self._chance.uniform(0.7, 1.3)

    def _wait(self, content: Content) -> float:
        return content.wait * self._chance.uniform(0.8, 1.2)

    def _advertisement(self, payload: bytes) -> bytes:
        profile = self.device.profile
        if profile.wrap is not None:
            payload = profile.wrap(payload, self.device.mac, self._counter_of(profile.counter_bits), self._key)
        if profile.uuid != MIBEACON:
            return advertisement(payload, profile.uuid, name=profile.local_name)
        data = advertisement(self._frame(payload, include_mac=True))
        # A real device leaves its MAC out of a frame that would be too long with it.
        return data if len(data) <= LONGEST else advertisement(self._frame(payload, include_mac=False))

    def _counter_of(self, bits: int) -> int:
        return self._counter & ((1 << bits) - 1)

    def _frame(self, payload: bytes, *, include_mac: bool) -> bytes:
        profile = self.device.profile
        assert profile.product_id is not None
        return frame(
            profile.product_id,
            self._counter & 0xFF,
            payload,
            mac=self.device.mac,
            key=self._key,
            extended=self._counter >> 8,
            version=profile.version,
            include_mac=include_mac,
            capability=profile.capability,
            header_bits=profile.header_bits | (STANDARD_AUTHENTICATION if profile.encrypted else 0),
        )
