"""The writer: everything that waits becomes one transaction.

A :class:`Batch` goes in; the ids of the rows that are committed now come out. Invariant: a batch counts once. After a
commit failed, the file may hold the batch nevertheless: its rows are recognised by their ids, and what a second time
would add up, the counts of reception, by the batch's number, which is written with them.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeAlias, TypeVar

import attrs

from proxy_listener.history import queries
from proxy_listener.history.file import FAULTS, Store, damaged, open_store, put_aside, take_copy, write_copy
from proxy_listener.history.queries import Sealed
from proxy_listener.history.schema import INSERT, Row, record_of
from proxy_listener.history.tail import Tail
from proxy_listener.history.watch import Harm
from proxy_listener.model.advertisement import Address

SEALED_PER_DEVICE = 10_000
SEALED_BYTES = 64 << 20
SEALED_OVERHEAD = 64
"""Bounds of the frames without a key, per device and in all; the overhead is what SQLite needs beside the data."""

_HEARING = """INSERT INTO hearing (proxy, mac, hour, heard, alone, frames) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (hour, proxy, mac) DO UPDATE SET
    heard = heard + excluded.heard, alone = alone + excluded.alone, frames = frames + excluded.frames"""
_SEALED = """INSERT INTO sealed (mac, time, proxy, rssi, address_type, data, uuid) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING"""

_UNSTORABLE = (
    ValueError,
    TypeError,
    OverflowError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
)
"""What one row can raise that says nothing about the disk: NaN, numbers beyond 64 bits, lone surrogates."""

P = ParamSpec("P")
T = TypeVar("T")

_Key: TypeAlias = tuple[Address, bytes | float]
"""What an authenticated frame is known by, or an entry of a device's log."""


@attrs.define
class Batch:
    """What one transaction writes. A note whose value is None is removed; ``hearing`` holds (proxy, MAC, hour) ->
    frames that the proxy heard, those that only it heard, and all; ``unseal`` holds MAC and id.
    """

    number: int = 0
    rows: Sequence[Row] = ()
    notes: dict[str, str | None] = attrs.field(factory=dict)
    cursors: dict[str, int] = attrs.field(factory=dict)
    admitted: dict[Address, float] = attrs.field(factory=dict)
    hearing: dict[tuple[str, Address, int], tuple[int, int, int]] = attrs.field(factory=dict)
    seal: list[Sealed] = attrs.field(factory=list)
    unseal: list[tuple[Address, int]] = attrs.field(factory=list)


@attrs.frozen
class Committed:
    """The result of a batch: the ids of the rows that the history holds now. ``clashes`` rows were there before,
    ``refused`` ones cannot be stored.
    """

    ids: frozenset[int]
    clashes: int = 0
    refused: int = 0


@attrs.define
class Writer:
    """Owns the store's writing connection. Every method runs in the journal's one writing thread.

    ``size`` is the bytes of the file's pages in use, without the write-ahead log, as of the last transaction.
    """

    store: Store
    tail: Tail = attrs.field(factory=Tail)
    sealed_per_device: int = SEALED_PER_DEVICE
    sealed_limit: int = SEALED_BYTES
    sealed_count: dict[Address, int] = attrs.field(factory=dict, init=False)
    sealed_since: dict[Address, float] = attrs.field(factory=dict, init=False)
    sealed_bytes: int = attrs.field(default=0, init=False)
    sealed_lost: int = attrs.field(default=0, init=False)
    size: int = attrs.field(default=0, init=False)
    _broken: Exception | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.count_sealed()
        self._measure()

    def commit(self, batch: Batch) -> Committed:
        """Write the batch durably. After an error call it again with the same batch: it is written once."""
        try:
            doubt = self._broken is not None
            if self._broken:
                self._mend(self._broken)
            return self._commit(batch, doubt=doubt)
        except FAULTS as error:
            self._broken = error
            raise

    def put_aside(self, why: str) -> None:
        """Start a new file because the check in the background found this one damaged. Sets ``store.fresh`` and its
        ``alarm``.
        """
        assert self.store.path is not None
        self.store.close()
        self._reopen(put_aside(self.store.path, why))

    def look(self) -> Harm | None:
        """Whether something outside harmed the file. Where its content is whole, it is written again; where not, a new
        file is started, as :meth:`put_aside` does.
        """
        watch, path = self.store.watch, self.store.path
        if self._broken or watch is None or path is None:
            return None
        harm = watch.look()
        if harm is not None and harm.sound:
            write_copy(self.store)
            self.store.close()
            try:
                self._reopen(take_copy(path, harm.what))
            except FAULTS as error:
                self._broken = error
                raise
        elif harm is not None:
            self.put_aside(f"{harm.what} while the service ran")
        return harm

    def change(self, step: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one transaction that folds or removes rows. After a fault it raises until a commit has opened the file
        again.
        """
        if self._broken:
            raise self._broken
        try:
            with self.store.writing() as connection:
                done = step(connection, *args, **kwargs)
                self._measure()
        except FAULTS as error:
            self._broken = error
            raise
        return done

    def _mend(self, error: Exception) -> None:
        """Open the file again: after a failed fsync the system may call pages clean that never reached the disk, and
        the checkpoint on opening writes them again (docs/protocol/threats.md#storage).
        """
        path = self.store.path
        if path is not None:
            self.store.close()
            broken = damaged(error) and path.exists()
            self._reopen(put_aside(path, f"is damaged ({error})") if broken else None)
        self._broken = None

    def _reopen(self, alarm: str | None) -> None:
        opened = open_store(self.store.path, check=False, migrations=self.store.migrations)
        self.store.connection, self.store.watch = opened.connection, opened.watch
        self.store.alarm = alarm or opened.alarm or self.store.alarm
        self.store.fresh |= opened.fresh
        self.count_sealed()
        self._measure()

    def _commit(self, batch: Batch, *, doubt: bool) -> Committed:
        """``doubt``: the previous commit failed, and may have reached the disk nevertheless."""
        try:
            return self._write(batch, doubt=doubt, singly=False)
        except _UNSTORABLE:
            return self._write(batch, doubt=doubt, singly=True)

    def _write(self, batch: Batch, *, doubt: bool, singly: bool) -> Committed:
        with self.store.writing() as connection:
            found = _found(connection, batch) if doubt else frozenset()
            rows = [row for row in batch.rows if row.id not in found]
            done = (self._write_singly if singly else self._write_all)(connection, rows)
            self._small(connection, batch)
            self._count_reception(connection, batch, doubt=doubt)
            self._seal(connection, batch)
            self._measure()
        return attrs.evolve(done, ids=done.ids | found)

    def _write_all(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> Committed:
        taken: set[_Key] = set()
        ids = frozenset(row.id for row in rows if self._append(connection, row, taken))
        return Committed(ids, clashes=len(rows) - len(ids))

    def _write_singly(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> Committed:
        """Each row by itself, because one of them cannot be stored. The statement of that one changes nothing."""
        taken: set[_Key] = set()
        ids: set[int] = set()
        clashes = refused = 0
        for row in rows:
            try:
                if self._append(connection, row, taken):
                    ids.add(row.id)
                else:
                    clashes += 1
            except _UNSTORABLE:
                refused += 1
        return Committed(frozenset(ids), clashes, refused)

    def _append(self, connection: sqlite3.Connection, row: Row, taken: set[_Key]) -> bool:
        """False where the history has the frame, or the entry of the device's log. ``taken``: those of this batch."""
        reading = row.reading
        mac, identity = reading.mac, reading.identity
        key: _Key | None = None
        if reading.trust == "authenticated" and identity:
            key = mac, identity
            known = self.tail.known(mac, identity) or queries.known(connection, mac, identity)
        elif reading.source == "history":
            key = mac, reading.time
            known = self.tail.logged(mac, reading.time) or queries.logged(connection, mac, reading.time)
        if key is not None and (known or key in taken):
            return False
        if not connection.execute(INSERT, record_of(row)).rowcount:
            return False
        if key is not None:
            taken.add(key)
        return True

    def _count_reception(self, connection: sqlite3.Connection, batch: Batch, *, doubt: bool) -> None:
        if not batch.hearing:
            return
        if doubt and connection.execute("SELECT 1 FROM batch WHERE number = ?", (batch.number,)).fetchone():
            return
        connection.execute("INSERT OR REPLACE INTO batch VALUES (1, ?)", (batch.number,))
        connection.executemany(_HEARING, [(*key, *counts) for key, counts in batch.hearing.items()])

    def _small(self, connection: sqlite3.Connection, batch: Batch) -> None:
        for name, value in batch.notes.items():
            if value is None:
                connection.execute("DELETE FROM note WHERE name = ?", (name,))
            else:
                connection.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, value))
        connection.executemany("INSERT OR REPLACE INTO cursor VALUES (?, ?)", batch.cursors.items())
        connection.executemany("INSERT OR REPLACE INTO admitted VALUES (?, ?)", batch.admitted.items())

    def _seal(self, connection: sqlite3.Connection, batch: Batch) -> None:
        for mac, id_ in batch.unseal:
            connection.execute("DELETE FROM sealed WHERE id = ? AND mac = ?", (id_, mac))
        for frame in batch.seal:
            if self.sealed_bytes >= self.sealed_limit:
                # Refused, because a flood in one device's name must not push out the frames of another.
                self.sealed_lost += 1
                continue
            written = connection.execute(_SEALED, frame[1:]).rowcount
            if not written:
                continue
            self.sealed_bytes += len(frame.data) + SEALED_OVERHEAD
            count = self.sealed_count.get(frame.mac, 0) + 1
            if count > self.sealed_per_device:
                oldest = "SELECT id FROM sealed WHERE mac = ? ORDER BY id LIMIT 1"
                connection.execute(f"DELETE FROM sealed WHERE id = ({oldest})", (frame.mac,))  # noqa: S608  a constant
                self.sealed_bytes -= len(frame.data) + SEALED_OVERHEAD
                self.sealed_lost += 1
                count -= 1
                kept = "SELECT time FROM sealed WHERE mac = ? ORDER BY id LIMIT 1"
                (self.sealed_since[frame.mac],) = connection.execute(kept, (frame.mac,)).fetchone()
            self.sealed_count[frame.mac] = count
            self.sealed_since.setdefault(frame.mac, frame.time)
        if batch.unseal:
            self.count_sealed()

    def _measure(self) -> None:
        """Microseconds: three numbers of the first page."""
        pages, free, size = (self._number(name) for name in ("page_count", "freelist_count", "page_size"))
        self.size = (pages - free) * size

    def _number(self, pragma: str) -> int:
        number: int = self.store.connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        return number

    def count_sealed(self) -> None:
        """Count the kept frames in the file."""
        found = self.store.connection.execute(
            "SELECT mac, count(*), sum(length(data)), min(time) FROM sealed GROUP BY mac"
        )
        counted = found.fetchall()
        self.sealed_count = {mac: count for mac, count, _, _ in counted}
        self.sealed_since = {mac: since for mac, _, _, since in counted}
        self.sealed_bytes = sum(size + count * SEALED_OVERHEAD for _, count, size, _ in counted)


def _found(connection: sqlite3.Connection, batch: Batch) -> frozenset[int]:
    """The rows of a batch that are in the file."""
    if not batch.rows:
        return frozenset()
    ends = (batch.rows[0].id, batch.rows[-1].id)
    return frozenset(id_ for (id_,) in connection.execute("SELECT id FROM reading WHERE id BETWEEN ? AND ?", ends))
