"""The history: every reading in SQLite, committed before any follower gets it.

Readings come in by :meth:`Journal.append`; rows go out by feeds (live), by cursors (durable), and as answers of
``journal.reader``.
"""

from proxy_listener.history.followers import Cursor, Feed
from proxy_listener.history.journal import Journal, Storage
from proxy_listener.history.queries import Latest, Point, Sealed, StoredDevice
from proxy_listener.history.reader import known_devices
from proxy_listener.history.schema import Row

__all__ = [
    "Cursor",
    "Feed",
    "Journal",
    "Latest",
    "Point",
    "Row",
    "Sealed",
    "Storage",
    "StoredDevice",
    "known_devices",
]
