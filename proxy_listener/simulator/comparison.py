"""Readings compared with the ground truth: which frames were lost, which readings came twice, which match no frame.

A reading matches a frame if device and counter are equal and it has all the frame's values; of several such frames
(a plain counter wraps) the nearest in time. Invariant: each frame is matched by one reading.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.reading import Reading
from proxy_listener.simulator.ground_truth import GroundTruth, SentFrame

Key = tuple[Address, int | None]


@attrs.frozen
class Comparison:
    """``frames``: those on air with content, ``heard``: those of them that any room heard."""

    frames: int
    heard: int
    readings: int
    lost: tuple[SentFrame, ...]
    twice: tuple[Reading, ...]
    false: tuple[Reading, ...]

    @property
    def perfect(self) -> bool:
        """Nothing lost, twice or false."""
        return not (self.lost or self.twice or self.false)


def compare(
    truth: GroundTruth, readings: Iterable[Reading], epoch: float = 0.0, unreadable: Collection[Address] = ()
) -> Comparison:
    """Match advertised readings with frames. Readings of active reads are ignored.

    ``epoch``: wall seconds at the truth's time 0. ``unreadable``: encrypted devices whose bindkey nobody here has.
    """
    expected: dict[Key, list[SentFrame]] = defaultdict(list)
    for frame in truth.expected():
        if frame.mac not in unreadable:
            expected[frame.mac, frame.counter].append(frame)
    heard = sum(map(len, expected.values()))
    matched: dict[Key, list[SentFrame]] = defaultdict(list)
    twice: list[Reading] = []
    false: list[Reading] = []
    advertised = sorted(
        (reading for reading in readings if reading.source == "advertisement"), key=lambda reading: reading.time
    )
    for reading in advertised:
        key = (reading.mac, reading.counter)
        found = _nearest(expected[key], reading, epoch)
        if found is not None:
            expected[key].remove(found)
            matched[key].append(found)
        elif _nearest(matched[key], reading, epoch) is not None:
            twice.append(reading)
        else:
            false.append(reading)
    lost = tuple(frame for frames in expected.values() for frame in frames)
    on_air = sum(frame.has_content and frame.mac not in unreadable for frame in truth.frames)
    return Comparison(on_air, heard, len(advertised), lost, tuple(twice), tuple(false))


def _nearest(frames: list[SentFrame], reading: Reading, epoch: float) -> SentFrame | None:
    fitting = [
        frame
        for frame in frames
        if frame.values.items() <= reading.values.items()
        and len(frame.events) == len(reading.events)
        and all(
            (mine.event, mine.type) == (theirs.event, theirs.type)
            for mine, theirs in zip(frame.events, reading.events, strict=True)
        )
    ]
    at = reading.time - epoch
    return min(fitting, key=lambda frame: abs((frame.first_heard or frame.time) - at), default=None)
