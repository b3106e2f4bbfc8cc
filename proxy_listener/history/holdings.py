"""How the history's size is shared out: who holds how many rows, and whose oldest go first when there is no room.

Counts go in; a plan comes out: so many of the oldest rows of these holdings. The rule of this file: whoever holds most
gives first. A flood in one device's name then costs that device its past and no other: it stops where what is left of
it is as small as the next. A device that seldom says anything, a door or a leak sensor, loses nothing until all others
are down to its size.

Identities are no holding: they are the memory against replays, and never go.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from heapq import nlargest
from typing import Literal, NamedTuple, TypeAlias

from proxy_listener.history.schema import SLOT
from proxy_listener.model.advertisement import Address
from proxy_listener.model.reading import Reading

Table: TypeAlias = Literal["reading", "summary", "hearing"]

BYTES: Mapping[Table, int] = {"reading": 230, "summary": 55, "hearing": 55}
"""What a row takes with its indexes, as dbstat shows it for 200,000 readings of 20 devices."""

GIVERS = 64
"""Holdings that give in one step, at most: a plan is a few statements even where there are thousands of devices."""


class Holding(NamedTuple):
    """The rows of one table that belong to a device; those of ``hearing`` are one holding of nobody (None)."""

    table: Table
    mac: Address | None


Plan: TypeAlias = list[tuple[Holding, int]]
"""Holdings, and how many of their oldest rows go."""


class Holdings:
    """Who holds how many rows."""

    def __init__(self, rows: Mapping[Holding, int]) -> None:
        self._rows = Counter(rows)
        self._slots: dict[Address, int] = {}

    @classmethod
    def counted(cls, connection: sqlite3.Connection) -> "Holdings":
        """By what is in the file: seconds for a large one, so in a thread that nobody waits for."""
        rows: dict[Holding, int] = {}
        tables: tuple[Table, ...] = ("reading", "summary")
        for table in tables:
            found = connection.execute(f"SELECT mac, count(*) FROM {table} GROUP BY mac")  # noqa: S608  constants
            rows |= {Holding(table, mac): count for mac, count in found}
        (rows[Holding("hearing", None)],) = connection.execute("SELECT count(*) FROM hearing").fetchone()
        return cls(rows)

    def add(self, readings: Iterable[Reading]) -> None:
        """These were committed. Of summaries that is about: a slot's later frames may bring further quantities."""
        for reading in readings:
            self._rows[Holding("reading", reading.mac)] += 1
            slot = int(reading.time // SLOT)
            if self._slots.get(reading.mac) != slot:
                self._slots[reading.mac] = slot
                self._rows[Holding("summary", reading.mac)] += len(reading.values)

    def subtract(self, holding: Holding, rows: int) -> None:
        """So many went; none at all means that there are none."""
        left = self._rows[holding] - rows
        if rows and left > 0:
            self._rows[holding] = left
        else:
            del self._rows[holding]

    def plan(self, rows: int) -> Plan:
        """At most ``rows`` rows, of those who hold most; empty where nobody holds any.

        Nobody gives more than half of what it has, and nobody that holds less than half of what the largest does.
        """
        largest = nlargest(GIVERS, self._rows, key=self._bytes)
        plan: Plan = []
        for holding in largest:
            count = min(rows, -(-self._rows[holding] // 2))
            if count <= 0 or self._bytes(holding) * 2 < self._bytes(largest[0]):
                break
            plan.append((holding, count))
            rows -= count
        return plan

    def _bytes(self, holding: Holding) -> int:
        return self._rows[holding] * BYTES[holding.table]
