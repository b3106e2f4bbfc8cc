"""What goes out of the history's tables, in small steps.

A connection inside a transaction and a limit come in, rows go, and how many they were comes out. The rule of this file:
one step takes a few milliseconds, however large the table is, because readings wait behind it; identities stay.
"""

import sqlite3

from proxy_listener.history.holdings import Holding
from proxy_listener.history.schema import SLOT
from proxy_listener.model.advertisement import Address

STEP = 500
"""Rows that one step removes of a table."""


def sealed(connection: sqlite3.Connection, before: float) -> int:
    """Sealed frames from before a wall time; ``STEP`` where there may be more."""
    return _remove_oldest(connection, "sealed", "time", before)


def older(connection: sqlite3.Connection, before: float) -> bool:
    """What is from before a wall time, in every other table; True where there may be more."""
    removed = _remove_oldest(connection, "reading", "time", before)
    heard = connection.execute("DELETE FROM hearing WHERE hour < ?", (before // 3600,)).rowcount
    slots = _remove_summaries(connection, before // SLOT)
    connection.execute("DELETE FROM latest WHERE mac IN (SELECT mac FROM device WHERE time < ?)", (before,))
    connection.execute("DELETE FROM device WHERE time < ?", (before,))
    unheard = "DELETE FROM admitted WHERE time < ? AND mac NOT IN (SELECT mac FROM device)"
    connection.execute(unheard, (before,))
    return STEP in (removed, slots) or heard > STEP


def oldest_of(connection: sqlite3.Connection, holding: Holding, rows: int) -> int:
    """The oldest rows of a holding, about as many as said; none only where it has none."""
    if holding.table == "hearing":
        oldest = "SELECT hour, proxy, mac FROM hearing ORDER BY hour, proxy, mac LIMIT ?"
        return connection.execute(f"DELETE FROM hearing WHERE (hour, proxy, mac) IN ({oldest})", (rows,)).rowcount  # noqa: S608  a constant
    if holding.table == "summary":
        return _remove_oldest_slots(connection, holding.mac, rows)
    oldest = "SELECT id FROM reading WHERE mac = ? ORDER BY time LIMIT ?"
    return connection.execute(f"DELETE FROM reading WHERE id IN ({oldest})", (holding.mac, rows)).rowcount  # noqa: S608  a constant


def _remove_oldest_slots(connection: sqlite3.Connection, mac: Address | None, rows: int) -> int:
    """The oldest slots of all curves of a device: as many slots as ``rows`` rows are if no curve has a gap."""
    follow = "SELECT quantity, slot FROM summary WHERE mac = ? AND quantity > ? ORDER BY quantity, slot LIMIT 1"
    oldest: dict[str, int] = {}
    quantity = ""
    while found := connection.execute(follow, (mac, quantity)).fetchone():
        quantity, oldest[quantity] = found[0], found[1]
    if not oldest:
        return 0
    end = min(oldest.values()) + max(1, rows // len(oldest))
    remove = "DELETE FROM summary WHERE mac = ? AND quantity = ? AND slot < ?"
    return sum(connection.execute(remove, (mac, quantity, end)).rowcount for quantity in oldest)


def _remove_oldest(connection: sqlite3.Connection, table: str, column: str, before: float) -> int:
    oldest = f"SELECT id FROM {table} WHERE {column} < ? ORDER BY {column} LIMIT {STEP}"  # noqa: S608  constants
    return connection.execute(f"DELETE FROM {table} WHERE id IN ({oldest})", (before,)).rowcount  # noqa: S608  constants


def _remove_summaries(connection: sqlite3.Connection, before: float) -> int:
    """Curve by curve, because the table lies in that order and has no index by time."""
    curve, removed = (-1, ""), 0
    follow = "SELECT mac, quantity FROM summary WHERE (mac, quantity) > (?, ?) ORDER BY mac, quantity LIMIT 1"
    remove = "DELETE FROM summary WHERE mac = ? AND quantity = ? AND slot < ?"
    while removed < STEP and (found := connection.execute(follow, curve).fetchone()):
        curve = found
        removed += connection.execute(remove, (*curve, before)).rowcount
    return min(removed, STEP)
