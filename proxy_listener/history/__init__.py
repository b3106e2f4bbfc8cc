"""The journal: every reading in SQLite, committed before it is told, and those who follow it.

Readings come in by :meth:`Journal.append`; rows go out by feeds (live), cursors (durable) and queries.
"""

from proxy_listener.history.following import Cursor, Feed
from proxy_listener.history.journal import Journal, Storage
from proxy_listener.history.queries import Hearing, Known, Latest, Point, Sealed, StoredDevice
from proxy_listener.history.schema import Row

__all__ = [
    "Cursor",
    "Feed",
    "Hearing",
    "Journal",
    "Known",
    "Latest",
    "Point",
    "Row",
    "Sealed",
    "Storage",
    "StoredDevice",
]
