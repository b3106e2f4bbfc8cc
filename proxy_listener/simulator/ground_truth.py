"""Every frame on air and who heard it: what the results of the engine are compared with.

Invariant: only the house writes it, and the engine under test never reads it.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.reading import Event, Value


class Origin(StrEnum):
    """Where a frame comes from."""

    GENUINE = "genuine"  # from the device
    SIGN_OF_LIFE = "sign_of_life"  # from the device, without objects
    REPLAY = "replay"  # an attacker's copy of a genuine frame
    FORGED = "forged"  # an attacker's own


@attrs.define(eq=False)
class SentFrame:
    """One frame on air.

    ``counter`` is what a reading of it has: the 32 bits of an encrypted frame, 8 of a plain one, None without.
    ``data`` is the advertising payload. ``heard``: the rooms that received a copy and whose proxy sent it on.
    ``copies``: how many copies that were, ``first_heard``: when the first. ``of``: the frame that a replay copies.
    """

    mac: Address
    time: float
    counter: int | None
    values: Mapping[str, Value]
    events: tuple[Event, ...]
    data: bytes
    origin: Origin = Origin.GENUINE
    of: "SentFrame | None" = None
    number: int = -1  # its place in the truth; -1 until it is on air
    epoch: int = 0  # how often the device's counter had been restarted
    heard: set[str] = attrs.field(factory=set)
    copies: int = 0
    first_heard: float | None = None

    def record(self, room: str, time: float) -> None:
        """A copy was received in ``room``."""
        self.heard.add(room)
        self.copies += 1
        if self.first_heard is None:
            self.first_heard = time

    @property
    def has_content(self) -> bool:
        """Whether a reading must result from it, if any room heard it."""
        return self.origin is Origin.GENUINE and bool(self.values or self.events)


@attrs.define
class GroundTruth:
    """All frames, in the order in which they went on air. ``foreign`` counts all other packets."""

    frames: list[SentFrame] = attrs.field(factory=list)
    foreign: int = 0
    restarts: list[tuple[Address, float, int]] = attrs.field(factory=list)  # MAC, time, counter it began again at

    def on_air(self, frame: SentFrame | None, time: float) -> None:
        """Record that a packet is sent: a copy of that frame, or a foreign one."""
        if frame is None:
            self.foreign += 1
        elif frame.number < 0:
            frame.number, frame.time = len(self.frames), time
            self.frames.append(frame)

    def expected(self) -> Iterator[SentFrame]:
        """The frames that must give a reading: genuine, with content, heard in some room."""
        return (frame for frame in self.frames if frame.has_content and frame.heard)
