"""What really happened: every frame on air and who heard it, to hold the results of an engine against.

The rule of this file: the truth is written by the house alone, and an engine under test never reads it.
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
class Frame:
    """One frame on air.

    ``counter`` is what a reading of it has: the 32 bits of an encrypted frame, 8 of a plain one, None without.
    ``data`` is the advertising payload. ``heard`` are the rooms that received a copy which their proxy could send on;
    ``copies`` is how many copies that were, ``first_heard`` when the first. ``of`` is the frame that a replay copies.
    """

    mac: Address
    time: float
    counter: int | None
    values: Mapping[str, Value]
    events: tuple[Event, ...]
    data: bytes
    origin: Origin = Origin.GENUINE
    of: "Frame | None" = None
    number: int = -1  # its place in the truth; -1 until it is on air
    epoch: int = 0  # how often the device's counter had been restarted
    heard: set[str] = attrs.field(factory=set)
    copies: int = 0
    first_heard: float | None = None

    def note(self, room: str, time: float) -> None:
        """A copy was received in ``room``."""
        self.heard.add(room)
        self.copies += 1
        if self.first_heard is None:
            self.first_heard = time

    @property
    def tells(self) -> bool:
        """A reading is to come of it, if anyone heard it."""
        return self.origin is Origin.GENUINE and bool(self.values or self.events)


@attrs.define
class Truth:
    """All frames, in the order in which they went on air. ``foreign`` counts packets that are none of ours."""

    frames: list[Frame] = attrs.field(factory=list)
    foreign: int = 0
    restarts: list[tuple[Address, float, int]] = attrs.field(factory=list)  # MAC, time, counter it began again at

    def on_air(self, frame: Frame | None, time: float) -> None:
        """A packet is sent: a copy of that frame, or something foreign."""
        if frame is None:
            self.foreign += 1
        elif frame.number < 0:
            frame.number, frame.time = len(self.frames), time
            self.frames.append(frame)

    def expected(self) -> Iterator[Frame]:
        """The frames of which a reading must come: genuine, with content, heard in some room."""
        return (frame for frame in self.frames if frame.tells and frame.heard)

    def unheard(self) -> Iterator[Frame]:
        """Frames with content that no room received."""
        return (frame for frame in self.frames if frame.tells and not frame.heard)

    def of_origin(self, origin: Origin) -> Iterator[Frame]:
        """The frames of one origin."""
        return (frame for frame in self.frames if frame.origin is origin)

    def find(self, mac: Address, counter: int | None, values: Mapping[str, Value], time: float) -> Frame | None:
        """The frame that a reading is of: with that counter, or, without one, most of those values; nearest in time."""
        candidates = [
            frame
            for frame in self.frames
            if frame.mac == mac
            and frame.origin is Origin.GENUINE
            and frame.counter == counter
            and (counter is not None or frame.values.items() <= values.items())
        ]
        return min(candidates, key=lambda frame: (-len(frame.values), abs(frame.time - time)), default=None)
