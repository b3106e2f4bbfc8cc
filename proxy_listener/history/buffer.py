"""The readings that wait for a commit, oldest first.

Readings come in and get their ids; rows go out to the writer. Invariant: at most so many wait. Beyond that the oldest
is dropped and counted.
"""

from collections import deque
from collections.abc import Iterable

from proxy_listener.history.schema import Row
from proxy_listener.model.advertisement import Address
from proxy_listener.model.reading import Reading


class Buffer:
    """At most ``limit`` rows, whose ids begin with ``next_id``. ``lost`` counts the dropped ones, and those that
    the journal lost in another way.
    """

    def __init__(self, next_id: int, limit: int) -> None:
        self.next_id = next_id
        self.lost = 0
        self.rows: deque[Row] = deque()
        self._limit = limit
        self._identities: set[tuple[Address, bytes]] = set()

    def __len__(self) -> int:
        return len(self.rows)

    def append(self, reading: Reading) -> None:
        """Add a reading."""
        if len(self.rows) >= self._limit:
            self.forget([self.rows.popleft()])
            self.lost += 1
        self.rows.append(Row(self.next_id, reading))
        self.next_id += 1
        if reading.trust == "authenticated" and reading.identity:
            self._identities.add((reading.mac, reading.identity))

    def take(self, limit: int) -> list[Row]:
        """Remove the oldest rows. Their identities stay known until :meth:`forget`."""
        return [self.rows.popleft() for _ in range(min(len(self.rows), limit))]

    def forget(self, rows: Iterable[Row]) -> None:
        """These rows are committed, or lost."""
        self._identities.difference_update((row.reading.mac, row.reading.identity) for row in rows)

    def known(self, mac: Address, identity: bytes) -> bool:
        """Whether an authenticated frame waits, or is being committed."""
        return (mac, identity) in self._identities

    def highest_identity(self, mac: Address, prefix: bytes) -> bytes:
        """The highest identity of a device's authenticated frames that begins so; empty where none waits."""
        return max((name for whose, name in self._identities if whose == mac and name.startswith(prefix)), default=b"")
