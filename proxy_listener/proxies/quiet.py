"""Keeps the libraries' own words out of the log: every failure of theirs becomes a verdict of ours, said once.

The rule of this file: what a node sends can neither fill the log nor put a traceback into it.
"""

import logging

from google.protobuf.message import DecodeError

_SPEAKERS = ("aioesphomeapi", "zeroconf")


class _Garbage(logging.Filter):
    """Drops asyncio's report of a protocol that failed on bytes which are no message: the session's end tells it."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, DecodeError)


_GARBAGE = _Garbage()


def hush_libraries() -> None:
    """Silence them. May be called again."""
    for name in _SPEAKERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").addFilter(_GARBAGE)
