"""The tail: what the hot path and the writer must know of the rows that are not folded yet.

Committed rows come in; a device's ids and identities come out. Invariant: a committed row is in the tail, or folded, or
for a moment both. Only the event loop changes it; the writing thread looks single keys up in it.
"""

import sqlite3
from collections.abc import Iterable

from proxy_listener.history.fold import position
from proxy_listener.history.schema import Row
from proxy_listener.model.advertisement import Address


class Tail:
    """Empty at first. ``rows`` counts what it holds."""

    def __init__(self) -> None:
        self.rows = 0
        self._ids: dict[Address, list[int]] = {}
        self._identities: dict[Address, dict[bytes, int]] = {}
        self._log_times: dict[tuple[Address, float], int] = {}

    def load(self, connection: sqlite3.Connection) -> None:
        """What a file has behind its position: nothing, unless the fold at its opening failed."""
        rows = "SELECT id, mac, source, time, trust, identity FROM reading WHERE id > ? ORDER BY id"
        for id_, mac, source, time, trust, identity in connection.execute(rows, (position(connection),)):
            self._add(id_, mac, source, time, identity if trust == "authenticated" else b"")

    def add(self, rows: Iterable[Row]) -> None:
        """These rows are committed."""
        for row in rows:
            reading = row.reading
            identity = reading.identity if reading.trust == "authenticated" else b""
            self._add(row.id, reading.mac, reading.source, reading.time, identity)

    def _add(self, id_: int, mac: Address, source: str, time: float, identity: bytes) -> None:
        self.rows += 1
        self._ids.setdefault(mac, []).append(id_)
        if identity:
            self._identities.setdefault(mac, {})[identity] = id_
        if source == "history":
            self._log_times[mac, time] = id_

    def folded(self, position: int) -> None:
        """The rows up to this id are folded."""
        ids = {mac: [id_ for id_ in ids if id_ > position] for mac, ids in self._ids.items()}
        self._ids = {mac: kept for mac, kept in ids.items() if kept}
        self.rows = sum(map(len, self._ids.values()))
        for mac in [mac for mac in self._identities if mac not in self._ids]:
            del self._identities[mac]
        for mac, identities in self._identities.items():
            self._identities[mac] = {one: id_ for one, id_ in identities.items() if id_ > position}
        self._log_times = {key: id_ for key, id_ in self._log_times.items() if id_ > position}

    def clear(self) -> None:
        """The file is another one."""
        self.rows = 0
        self._ids.clear()
        self._identities.clear()
        self._log_times.clear()

    def ids(self, mac: Address) -> list[int]:
        """The ids of a device's rows, in order."""
        return self._ids.get(mac, [])

    def known(self, mac: Address, identity: bytes) -> bool:
        """Whether an authenticated frame is in it."""
        return identity in self._identities.get(mac, ())

    def highest_identity(self, mac: Address, prefix: bytes) -> bytes:
        """The highest identity of a device's authenticated frames that begins so; empty where there is none."""
        return max((one for one in self._identities.get(mac, ()) if one.startswith(prefix)), default=b"")

    def logged(self, mac: Address, time: float) -> bool:
        """Whether the entry of that time of a device's own log is in it."""
        return (mac, time) in self._log_times
