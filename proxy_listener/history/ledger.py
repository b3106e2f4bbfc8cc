"""The journal's small facts: unlisted devices admitted, other rooms' notes, hours of hearing, sealed frames.

They are answered from memory at once and wait here for the next commit. The rule of this file: each is bounded, by its
key or by a count.
"""

from collections import Counter
from collections.abc import Callable, Iterable

import attrs

from proxy_listener.history.file import Store
from proxy_listener.history.queries import Hearing, Sealed, fetch
from proxy_listener.history.schema import Row
from proxy_listener.history.writer import Batch
from proxy_listener.model.advertisement import Address
from proxy_listener.model.timing import DAY

SEAL_WAITING = 2_000
"""Sealed frames that wait for the next commit, and recent ones whose copies are known."""


@attrs.define
class Small:
    """What waits for the next commit beside the readings."""

    notes: dict[str, str | None] = attrs.field(factory=dict)
    cursors: dict[str, int] = attrs.field(factory=dict)
    admitted: dict[Address, float] = attrs.field(factory=dict)
    hearing: dict[tuple[str, Address, int], tuple[int, int, int]] = attrs.field(factory=dict)
    seal: list[Sealed] = attrs.field(factory=list)
    unseal: list[tuple[Address, int]] = attrs.field(factory=list)

    def __bool__(self) -> bool:
        return any((self.notes, self.cursors, self.admitted, self.hearing, self.seal, self.unseal))

    def batch(self, number: int, rows: list[Row]) -> Batch:
        """One transaction of it, with the readings that go with it."""
        hearing = [Hearing(*key, *counts) for key, counts in self.hearing.items()]
        return Batch(number, rows, self.notes, self.cursors, self.admitted, hearing, self.seal, self.unseal)


class Ledger:
    """The small facts of a store; ``wake`` says that some wait to be committed."""

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._notes: dict[str, str] = dict(fetch(store.connection, "SELECT name, value FROM note"))
        self._positions: dict[str, int] = dict(fetch(store.connection, "SELECT name, position FROM cursor"))
        self._admitted: dict[Address, float] = dict(fetch(store.connection, "SELECT mac, time FROM admitted"))
        self._admitted_by_day = Counter(int(at // DAY) for at in self._admitted.values())
        self._small = Small()
        self._recently_sealed: dict[tuple[Address, bytes], None] = {}
        self._seal_lost = 0
        self._wake = wake

    def admit(self, mac: Address, time: float) -> None:
        """An unlisted device is admitted."""
        if mac not in self._admitted:
            self._admitted[mac] = self._small.admitted[mac] = time
            self._admitted_by_day[int(time // DAY)] += 1
            self._wake()

    def is_admitted(self, mac: Address) -> bool:
        """Whether an unlisted device was admitted, on whatever day."""
        return mac in self._admitted

    def admitted(self, day: int) -> int:
        """How many unlisted devices were admitted on a day (``time // 86400``)."""
        return self._admitted_by_day[day]

    def note(self, name: str, value: str | None) -> None:
        """A small durable fact of another room; None forgets it. On disk within a second, and at close."""
        if self._notes.get(name) == value:
            return
        if value is None:
            del self._notes[name]
        else:
            self._notes[name] = value
        self._small.notes[name] = value
        self._wake()

    def noted(self, name: str) -> str | None:
        """What was last noted under a name."""
        return self._notes.get(name)

    def record_hearing(self, rows: Iterable[Hearing]) -> None:
        """Adds counts of frames heard, gathered by the caller since it last said."""
        waiting = self._small.hearing
        for proxy, mac, hour, heard, alone, frames in rows:
            before = waiting.get((proxy, mac, hour), (0, 0, 0))
            waiting[proxy, mac, hour] = heard + before[0], alone + before[1], frames + before[2]
        self._wake()

    def seal(self, mac: Address, time: float, proxy: str, rssi: int, address_type: int, data: bytes) -> None:
        """Keeps an encrypted frame (its service data) until its key arrives; a copy of a kept one changes nothing."""
        if (mac, data) in self._recently_sealed:
            return
        if len(self._small.seal) >= SEAL_WAITING:
            self._seal_lost += 1
            return
        while len(self._recently_sealed) >= SEAL_WAITING:
            del self._recently_sealed[next(iter(self._recently_sealed))]
        self._recently_sealed[mac, data] = None
        self._small.seal.append(Sealed(0, mac, time, proxy, rssi, address_type, data))
        self._wake()

    def unseal(self, mac: Address, ids: Iterable[int]) -> None:
        """Forgets sealed frames that were opened."""
        self._small.unseal += [(mac, id_) for id_ in ids]
        self._wake()

    def _move(self, name: str, position: int) -> None:
        self._positions[name] = self._small.cursors[name] = position
        self._wake()

    def _again(self) -> None:
        """A fresh file took the place of a damaged one: what is known goes into it."""
        self._small.notes = {**self._notes, **self._small.notes}
        self._small.cursors = dict(self._positions)
        self._small.admitted = dict(self._admitted)
        self._recently_sealed.clear()
