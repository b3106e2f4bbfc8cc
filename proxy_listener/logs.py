"""Log calls of this program and its libraries in; lines on standard error out: text, JSON, or text for journald.

::

    2026-11-22T18:04:05Z warning  the stream was taken  proxy=kitchen-proxy cause="another client"
    <4>the stream was taken  proxy=kitchen-proxy cause="another client"                              under journald

Text from outside cannot end a line, start an escape sequence or show a secret, and no library can fill the log.
"""

import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from proxy_listener.model.secret import Secret

PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""sd-daemon(3): a line begins with its syslog level in angle brackets."""

LIBRARIES = ("aioesphomeapi", "aiohttp", "aiomqtt", "asyncio", "mqtt", "py.warnings", "zeroconf")

LIBRARY_LINES = 20
LIBRARY_WINDOW = 60.0
"""A library may write this many lines in this many seconds. Some lines are about packets that anyone on the network can
repeat.
"""

VALUE_LIMIT = 1000
"""Characters of one value."""

DEPTH_LIMIT = 4
"""Levels of lists and tables in one value; what is deeper is shown as text."""


_SHARED: list[Processor] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper("%Y-%m-%dT%H:%M:%SZ", utc=True, key="time"),
]
"""Processors of this program's lines and of the libraries'."""


def configure(
    *,
    verbose: bool = False,
    quiet: bool = False,
    as_json: bool = False,
    stream: TextIO | None = None,
    journal: bool | None = None,
) -> None:
    """Set up all logging of the process: from level info, ``verbose`` from debug, ``quiet`` from warning.

    ``journal``: write for journald; None: where ``$JOURNAL_STREAM`` is set, as systemd does.
    """
    if journal is None:
        journal = "JOURNAL_STREAM" in os.environ
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(as_json_line if as_json else as_journal_line if journal else as_text_line))
    handler.addFilter(LibraryRateLimit(time.monotonic))
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    for name in LIBRARIES:
        # Never DEBUG: aioesphomeapi would log every message, and the password in it.
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.WARNING)


def _formatter(render: Processor) -> structlog.stdlib.ProcessorFormatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[add_library, *_SHARED],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            harmless,
            render,
        ],
    )


class LibraryRateLimit(logging.Filter):
    """Limits each library's lines in a window; the first line of its next window says how many were left out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        library = next((name for name in LIBRARIES if (record.name + ".").startswith(name + ".")), None)
        if library is None:
            return True
        now = self._clock()
        began, lines = self._windows.get(library, (now, 0))
        left_out = 0
        if now - began >= LIBRARY_WINDOW:
            left_out, began, lines = max(0, lines - LIBRARY_LINES), now, 0
        self._windows[library] = began, lines + 1
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} lines before it left out)", None
        return lines < LIBRARY_LINES


def add_library(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the name of the library's logger."""
    event["library"] = event["_record"].name
    return event


def harmless(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Mask secrets, escape control characters and limit lengths in all keys and values."""
    return {escaped(str(key)): _harmless(value, DEPTH_LIMIT, key == "exception") for key, value in event.items()}


def _harmless(value: Any, depth: int, lines: bool = False) -> Any:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, Mapping) and depth:
        return {escaped(str(key)): _harmless(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_harmless(item, depth - 1) for item in value]
    if lines:
        return "\n".join(escaped(line) for line in str(value).splitlines())
    return escaped(value if isinstance(value, str) else str(value))


def escaped(text: str) -> str:
    """``text`` on one line, with Python's escapes for characters that are invisible or move the cursor."""
    if len(text) > VALUE_LIMIT:
        text = text[:VALUE_LIMIT] + "..."
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def as_text_line(_: WrappedLogger, __: str, event: EventDict) -> str:
    """``time level  event  key=value``; a traceback on indented lines below it."""
    return f"{event.pop('time')} {event.pop('level'):7}  {_message(event)}"


def as_journal_line(_: WrappedLogger, __: str, event: EventDict) -> str:
    """Each line with its priority, and without the time, which journald adds."""
    priority = PRIORITIES.get(event.pop("level"), 5)
    del event["time"]
    return "\n".join(f"<{priority}>{line}" for line in _message(event).splitlines())


def as_json_line(_: WrappedLogger, __: str, event: EventDict) -> str:
    """One object a line."""
    head = {key: event.pop(key) for key in ("time", "level", "event")}
    return json.dumps({**head, **event}, ensure_ascii=False)


def _message(event: EventDict) -> str:
    text, trace = str(event.pop("event")), event.pop("exception", "")
    pairs = " ".join(f"{key}={_quoted(value)}" for key, value in event.items())
    return "".join([text, f"  {pairs}" if pairs else "", *(f"\n    {line}" for line in trace.splitlines())])


def _quoted(value: object) -> str:
    """The value as JSON; text without quotes where it is one word."""
    if isinstance(value, str) and value and not any(c in value for c in ' "='):
        return value
    return json.dumps(value, ensure_ascii=False)
