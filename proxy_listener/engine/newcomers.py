"""Newcomers: devices without an entry that were heard and are not admitted yet.

What comes in: each well-formed frame of such a device. What goes out: whether it is admitted by this frame, and who
waits. Invariants: a newcomer takes a few words of memory here and nothing elsewhere; their number is bounded; and no
number of invented addresses delays a device that has an entry or is admitted by hand.

::

    heard in 3 moments over a minute   admitted while more than half of the bucket is left
    heard for an hour, known product   admitted while anything is left

The second rule keeps room for late comers: an attacker who invents addresses has to go on sending each of them for an
hour to take it (docs/protocol/threats.md#r11).
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.models import HOUR, Model
from proxy_listener.model.rate import TokenBucket
from proxy_listener.model.timing import DAY, NEVER

MOMENTS, APART, WHILE = 3, 5.0, 60.0
"""What admits a device: heard in so many moments, so many seconds apart, over so many seconds. Devices repeat a frame
for up to 2 s and rooms deliver it within one more, so that is one moment; a minute is what a person waits."""

BUCKET = 256
"""Devices that can be admitted at once, and in a day: more than a house has (docs/protocol/threats.md#r11)."""

RESERVED = BUCKET // 2
"""Kept for known products that were heard for an hour."""

KEPT = 2048
"""Newcomers of each of three ranks (heard for less than a minute, for a minute, for an hour), of which the longest
unheard goes first. So those that were heard once push out none that was heard for longer; 1.5 MB in all."""

LATELY = 600.0
"""Seconds within which a newcomer that waits for the bucket was heard, for the bucket to count as empty."""


@attrs.define(slots=True)
class Trial:
    """What is known of a newcomer. ``first``, ``last``, ``counted``: monotonic seconds; ``moments``: so many, each
    ``APART`` from the one before; ``proxy`` and ``rssi`` are those of the last frame.
    """

    model: Model
    encrypted: bool
    first: float
    last: float
    counted: float
    proxy: str
    rssi: int
    moments: int = 1

    @property
    def rank(self) -> int:
        """0: not heard for long enough; 1: for a minute; 2: for an hour."""
        heard = self.counted - self.first
        return 0 if self.moments < MOMENTS or heard < WHILE else 2 if heard >= HOUR else 1


class Sign(NamedTuple):
    """A well-formed frame of an unlisted device: what it says that it is, and where it was heard."""

    model: Model
    encrypted: bool
    proxy: str
    rssi: int


class Newcomers:
    """Decides who is admitted. ``admissions``: monotonic times of those of the last day, so that a restart fills no
    bucket. ``at_once``: for captures, in which nothing comes later: by the first frame, while anything is left.
    """

    def __init__(self, now: float, admissions: Iterable[float] = (), *, at_once: bool = False) -> None:
        self._at_once = at_once
        self._ranks: tuple[dict[Address, Trial], ...] = ({}, {}, {})
        self._bucket = TokenBucket(BUCKET / DAY, BUCKET, now - DAY)
        for at in sorted(admissions):
            self._bucket.take(at)
        self._told = NEVER

    def admits(self, address: Address, sign: Sign, heard: float) -> bool:
        """A frame of a device that is not admitted: whether it is now."""
        if self._at_once:
            return self._bucket.take(heard)
        trial = self._forget(address)
        if trial is None:
            trial = Trial(sign.model, sign.encrypted, heard, heard, heard, sign.proxy, sign.rssi)
        elif heard - trial.counted >= APART:
            trial.counted = heard
            trial.moments += 1
        trial.model, trial.encrypted, trial.last, trial.proxy, trial.rssi = sign.model, sign.encrypted, heard, *sign[2:]
        rank = trial.rank
        if rank and self._takes(trial, rank, heard):
            return True
        kept = self._ranks[rank]
        kept[address] = trial
        if len(kept) > KEPT:
            del kept[next(iter(kept))]
        return False

    def _takes(self, trial: Trial, rank: int, heard: float) -> bool:
        kept = 0 if rank == 2 and trial.model.known else RESERVED
        if self._bucket.level(heard) < kept + 1:
            return False
        self._bucket.spend()
        return True

    def _forget(self, address: Address) -> Trial | None:
        return next((kept.pop(address) for kept in self._ranks if address in kept), None)

    def admitted_by_hand(self, address: Address) -> Trial | None:
        """It is no newcomer any more, and takes nothing from the bucket. What is known of it, if it was heard."""
        return self._forget(address)

    def __len__(self) -> int:
        return sum(map(len, self._ranks))

    def __iter__(self) -> Iterator[tuple[Address, Trial]]:
        """Those heard for longest first."""
        found = (item for kept in self._ranks for item in kept.items())
        return iter(sorted(found, key=lambda item: (item[1].first - item[1].counted, -item[1].moments)))

    def left(self, now: float) -> int:
        """How many devices can be admitted now, without those that are kept room for."""
        return max(0, int(self._bucket.level(now)) - RESERVED)

    def full(self, now: float) -> bool:
        """Whether a device that was heard for long enough, and lately, is not admitted because the bucket is empty."""
        last = (next(reversed(kept.values())).last for kept in self._ranks[1:] if kept)
        return any(now - heard <= LATELY for heard in last)

    def tell(self, now: float) -> bool:
        """Whether to log that the bucket is empty: once a day."""
        if not self.full(now) or now - self._told < DAY:
            return False
        self._told = now
        return True
