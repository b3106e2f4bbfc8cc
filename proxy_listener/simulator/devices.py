"""A device in the house, and what it sends: its counter, its key, its frames, their copies.

The rule of this file: a device's whole story depends on its seed and its MAC alone, so the same house tells the same
story in real time and by virtual time.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import attrs

from proxy_listener.formats.xiaomi.mibeacon import UUID as MIBEACON
from proxy_listener.model.advertisement import PUBLIC, Address, mac_text
from proxy_listener.model.secret import Secret
from proxy_listener.simulator.frames import advertisement, frame
from proxy_listener.simulator.ground_truth import GroundTruth, Origin, SentFrame
from proxy_listener.simulator.profiles import Content, Profile
from proxy_listener.simulator.radio import Point
from proxy_listener.simulator.seeded_random import random_for

STANDARD_AUTHENTICATION = 0x0800
"""Bits 10 and 11 of the frame control of nearly all encrypted devices."""

QUICKEST = 2.0
"""Seconds: no device sends its frames faster than this, however fast the house lives: 8 bits of a counter then come
round in 512 s, as those of the quickest real ones do."""


@attrs.frozen
class SimulatedDevice:
    """One thing with a MAC. ``listed``: it has an entry in the house's configuration; a neighbour's has not."""

    mac: Address
    profile: Profile
    name: str
    place: Point
    bindkey: Secret | None
    listed: bool = True

    @property
    def model(self) -> str:
        """What a reading calls it."""
        return self.profile.model

    @property
    def key(self) -> bytes | None:
        """The bindkey's bytes."""
        return bytes.fromhex(self.bindkey.reveal()) if self.bindkey is not None else None


@attrs.frozen
class Transmission:
    """One transmission: the address it carries, its payload, and the frame in it if it is one of the house's."""

    time: float
    address: Address
    address_type: int
    data: bytes
    place: Point
    frame: SentFrame | None = None


class Sender:
    """A device at work. ``epoch`` is seconds since 1970 at the house's time 0, for scales that have a clock."""

    def __init__(self, device: SimulatedDevice, seed: str, truth: GroundTruth, epoch: float = 0.0) -> None:
        self.device = device
        self._truth = truth
        self._epoch = epoch
        self._chance = random_for(seed, mac_text(device.mac))
        self._life = device.profile.life(self._chance)
        self._key = device.key
        # Near the end of the 8 bits, so that every house sees counters wrap.
        self._counter = self._chance.randrange(1, 4_000) * 256 + 250
        self._restarts = 0
        self._weighed = datetime.fromtimestamp(epoch, UTC)

    def restart(self, time: float, counter: int) -> None:
        """New batteries: the counter begins again."""
        self._counter = counter
        self._restarts += 1
        self._truth.restarts.append((self.device.mac, time, counter))

    def send(self, time: float) -> tuple[SentFrame, float]:
        """The next frame, made and not yet on air, and how long the device waits then."""
        content = next(self._life)
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
        if self.device.profile.uuid == MIBEACON:
            sent.counter = self._counter if self._key is not None and payload else self._counter & 0xFF
            self._counter = (self._counter + 1) & 0xFFFF_FFFF
        return sent, self._wait(content)

    def packets(self, pace: float, *, restarts: tuple[tuple[float, float, int], ...] = ()) -> Iterator[Transmission]:
        """All its transmissions, in order of time, for ever.

        ``pace`` divides the waits. ``restarts`` are (time, seconds without batteries, counter it begins again at).
        """
        due = list(restarts)
        time = self._chance.uniform(0.0, 2.0 * QUICKEST)
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
            time = max(last + 0.05, time + max(QUICKEST, wait / pace))

    def copies(self, sent: SentFrame) -> Iterator[Transmission]:
        """The transmissions of one frame, in order of time."""
        at = sent.time
        for _ in range(self.device.profile.copies):
            yield Transmission(at, self.device.mac, PUBLIC, sent.data, self.device.place, sent)
            at += self.device.profile.spacing * self._chance.uniform(0.7, 1.3)

    def _wait(self, content: Content) -> float:
        return content.wait * self._chance.uniform(0.8, 1.2)

    def _advertisement(self, payload: bytes) -> bytes:
        kind = self.device.profile
        if kind.uuid != MIBEACON or kind.product_id is None:
            return advertisement(payload, kind.uuid)
        bits = kind.header_bits | (STANDARD_AUTHENTICATION if kind.encrypted else 0)
        return advertisement(
            frame(
                kind.product_id,
                self._counter & 0xFF,
                payload,
                mac=self.device.mac,
                key=self._key,
                extended=self._counter >> 8,
                version=kind.version,
                capability=kind.capability,
                header_bits=bits,
            )
        )
