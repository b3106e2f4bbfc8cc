"""The watch on the history's file: whether it is still the file that the service has open.

A path goes in when the file is opened; a :class:`Harm` comes out once somebody deleted, replaced, cut or overwrote it.
SQLite does not look: it goes on writing into a file without a name, and at the next start everything is gone.

The watch keeps one descriptor of its own and never closes it while SQLite has the file open, because closing any
descriptor of a file drops all locks that the process holds on it.
"""

import os
from pathlib import Path

import attrs

from proxy_listener.history.migration import APPLICATION_ID

MAGIC = b"SQLite format 3\0"
HEADER = 100
ID_AT = 68
"""The first page's header, and where it holds the application id: https://www.sqlite.org/fileformat2.html."""


@attrs.frozen
class Harm:
    """What happened to the file, in words. ``sound``: its content is whole in the file that is open."""

    what: str
    sound: bool


class Watch:
    """Of one open history. OSError where the file is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._size = 0
        self._log: int | None = None

    def look(self) -> Harm | None:
        """What happened since the last look; None where all is well. Takes microseconds."""
        opened = os.fstat(self._descriptor)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return Harm("was deleted or renamed", sound=True)
        if (named.st_dev, named.st_ino) != (opened.st_dev, opened.st_ino):
            return Harm("was replaced by another file", sound=True)
        if opened.st_size < self._size:
            return Harm("was cut off", sound=False)
        self._size = opened.st_size
        header = os.pread(self._descriptor, HEADER, 0)
        if header[:16] != MAGIC or header[ID_AT : ID_AT + 4] != APPLICATION_ID.to_bytes(4, "big"):
            return Harm("was overwritten", sound=False)
        return self._look_at_log()

    def _look_at_log(self) -> Harm | None:
        """SQLite makes the write-ahead log at the first commit, and keeps the file until the last connection closes."""
        try:
            inode = self._path.with_name(self._path.name + "-wal").stat().st_ino
        except FileNotFoundError:
            inode = None
        before, self._log = self._log, inode
        if before is not None and inode != before:
            return Harm("lost its write-ahead log, which was deleted or replaced", sound=True)
        return None

    def close(self) -> None:
        """After SQLite has closed the file."""
        os.close(self._descriptor)
