"""The journal: every reading in SQLite, committed before it is told, and those who follow it.

Readings come in by :meth:`Journal.append`; rows go out by feeds (live), cursors (durable) and queries.
"""

from proxy_listener.history.following import Cursor, Feed
from proxy_listener.history.journal import Journal
from proxy_listener.history.rows import Device, Hearing, Known, Latest, Point, Row, Sealed, Storage

__all__ = [
    "Cursor",
    "Device",
    "Feed",
    "Hearing",
    "Journal",
    "Known",
    "Latest",
    "Point",
    "Row",
    "Sealed",
    "Storage",
]
