"""The history's small tables: admitted devices, notes, hourly counts of reception, frames without a key, cursors.

Changes come in and are answered from memory at once; they wait for the next commit in :attr:`Tables.pending`.
Invariant: each table is bounded, by its key or by a count.
"""

from collections.abc import Callable, Iterable

from proxy_listener.history.file import Store
from proxy_listener.history.queries import Sealed, fetch
from proxy_listener.history.schema import Row
from proxy_listener.history.writer import Batch
from proxy_listener.model.advertisement import Address
from proxy_listener.model.history import Reception
from proxy_listener.model.rate import TokenBucket

SEAL_WAITING = 2_000
"""Frames without a key that wait for the next commit, and recent ones whose copies are recognised."""

SEAL_RATE, SEAL_BURST = 1 / 60, 5_000.0
"""Frames without a key that one device may add, a second and at once: half of what is kept of it, and as many as a busy
sensor sends. Forged frames do not push out the older ones."""

SEAL_DEVICES = 4_096
"""Devices whose frames are counted; beyond it the one counted for longest begins again."""


class Tables:
    """The small tables of a store. ``wake`` is called when something waits to be committed."""

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self.pending = Batch()
        self.seal_lost = 0
        self._notes: dict[str, str] = dict(fetch(store.connection, "SELECT name, value FROM note"))
        self._positions: dict[str, int] = dict(fetch(store.connection, "SELECT name, position FROM cursor"))
        self._admitted: dict[Address, float] = dict(fetch(store.connection, "SELECT mac, time FROM admitted"))
        self._recently_sealed: dict[tuple[Address, bytes], None] = {}
        self._seal_rate: dict[Address, TokenBucket] = {}
        self._wake = wake

    @property
    def waiting(self) -> bool:
        """Whether something waits for the next commit."""
        batch = self.pending
        return any((batch.notes, batch.cursors, batch.admitted, batch.hearing, batch.seal, batch.unseal))

    def admit(self, mac: Address, time: float) -> None:
        """Admit an unlisted device, for good."""
        if mac not in self._admitted:
            self._admitted[mac] = self.pending.admitted[mac] = time
            self._wake()

    def admitted(self, mac: Address) -> float | None:
        """When an unlisted device was admitted; None where it was not."""
        return self._admitted.get(mac)

    def admissions(self, since: float) -> list[float]:
        """When unlisted devices were admitted since a time."""
        return [at for at in self._admitted.values() if at >= since]

    def note(self, name: str, value: str | None) -> None:
        """Keep a text under a name; None removes it. On disk within a second, and when the journal closes."""
        if self._notes.get(name) == value:
            return
        if value is None:
            del self._notes[name]
        else:
            self._notes[name] = value
        self.pending.notes[name] = value
        self._wake()

    def noted(self, name: str) -> str | None:
        """The text kept under a name."""
        return self._notes.get(name)

    def record_reception(self, rows: Iterable[Reception]) -> None:
        """Add counts of frames heard since the last call."""
        waiting = self.pending.hearing
        for proxy, mac, hour, heard, alone, frames in rows:
            before = waiting.get((proxy, mac, hour), (0, 0, 0))
            waiting[proxy, mac, hour] = heard + before[0], alone + before[1], frames + before[2]
        self._wake()

    def seal(self, mac: Address, time: float, proxy: str, rssi: int, address_type: int, data: bytes, uuid: int) -> bool:
        """Keep an encrypted frame (its service data under ``uuid``) until its key is entered. False for a copy, which
        is ignored.
        """
        if (mac, data) in self._recently_sealed:
            return False
        if len(self.pending.seal) >= SEAL_WAITING or not self._may_seal(mac, time):
            self.seal_lost += 1
            return True
        while len(self._recently_sealed) >= SEAL_WAITING:
            del self._recently_sealed[next(iter(self._recently_sealed))]
        self._recently_sealed[mac, data] = None
        self.pending.seal.append(Sealed(0, mac, time, proxy, rssi, address_type, data, uuid))
        self._wake()
        return True

    def _may_seal(self, mac: Address, time: float) -> bool:
        if mac not in self._seal_rate:
            if len(self._seal_rate) >= SEAL_DEVICES:
                del self._seal_rate[next(iter(self._seal_rate))]
            self._seal_rate[mac] = TokenBucket(SEAL_RATE, SEAL_BURST, time)
        return self._seal_rate[mac].take(time)

    def unseal(self, mac: Address, ids: Iterable[int]) -> None:
        """Remove kept frames of a device, by their ids."""
        self.pending.unseal += [(mac, id_) for id_ in ids]
        self._wake()

    def position(self, cursor: str) -> int | None:
        """The last row that a cursor confirmed."""
        return self._positions.get(cursor)

    def move(self, cursor: str, position: int) -> None:
        """A cursor confirmed the rows up to this one."""
        self._positions[cursor] = self.pending.cursors[cursor] = position
        self._wake()

    def next_batch(self, number: int, rows: list[Row]) -> Batch:
        """All that waits, with the readings of the same transaction."""
        batch, self.pending = self.pending, Batch()
        batch.number, batch.rows = number, rows
        return batch

    def write_again(self) -> None:
        """A new file took the place of a damaged one: everything in memory is committed once more."""
        self.pending.notes = {**self._notes, **self.pending.notes}
        self.pending.cursors = dict(self._positions)
        self.pending.admitted = dict(self._admitted)
        self._recently_sealed.clear()
