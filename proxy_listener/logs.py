"""Log calls, ours and the libraries', in; lines on standard error out: text, or JSON, or text for journald.

::

    2026-11-22T18:04:05Z warning  the stream was taken  proxy=kitchen-proxy cause="another client"
    <4>the stream was taken  proxy=kitchen-proxy cause="another client"                              under journald

The rule of this file: nothing that comes from outside can end a line, start an escape sequence or show a secret, and no
library can fill the log.
"""

import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from proxy_listener.model.secret import Secret

PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""sd-daemon(3): the syslog level in angle brackets at a line's start."""

LIBRARIES = ("aioesphomeapi", "aiohttp", "aiomqtt", "asyncio", "mqtt", "py.warnings", "zeroconf")

LIBRARY_LINES = 20
LIBRARY_WINDOW = 60.0
"""Lines that one library may write in so many seconds: what it says of packets, anyone on the network can repeat."""

VALUE_LIMIT = 1000
DEPTH_LIMIT = 4

_OWN_KEYS = ("event", "level", "timestamp", "exception")


def configure(
    *,
    verbose: bool = False,
    quiet: bool = False,
    as_json: bool = False,
    stream: TextIO | None = None,
    journal: bool | None = None,
) -> None:
    """Set up all logging of the process: from info on; ``verbose`` from debug on, ``quiet`` from warnings on.

    ``journal`` None asks ``$JOURNAL_STREAM``, which systemd sets.
    """
    if journal is None:
        journal = "JOURNAL_STREAM" in os.environ
    render: Processor = as_json_line if as_json else as_journal_line if journal else as_text_line
    shared: list[Processor] = [structlog.stdlib.add_log_level, stamp]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[name_library, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                harmless,
                render,
            ],
        )
    )
    handler.addFilter(Sparing(time.monotonic))
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    for name in LIBRARIES:
        # Never DEBUG: aioesphomeapi then writes every message, the password in it.
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.WARNING)


class Sparing(logging.Filter):
    """Lets a library write so many lines a minute; the first line of the next minute tells how many were left out."""

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


def stamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """When it happened, UTC."""
    event["timestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return event


def name_library(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Which library says it."""
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event["library"] = record.name
    return event


def harmless(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Every value without secrets and control characters, and not endless."""
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
    """``text`` on one line: what is invisible or moves the cursor is written as Python would write it."""
    if len(text) > VALUE_LIMIT:
        text = text[:VALUE_LIMIT] + "..."
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def as_text_line(_: WrappedLogger, __: str, event: EventDict) -> str:
    """``time level  event  key=value``; a traceback on indented lines below it."""
    return f"{event['timestamp']} {event['level']:7}  {_said(event)}"


def as_journal_line(_: WrappedLogger, __: str, event: EventDict) -> str:
    """Each line with its priority; journald knows the time itself."""
    priority = PRIORITIES.get(event["level"], 5)
    return "\n".join(f"<{priority}>{line}" for line in _said(event).splitlines())


def as_json_line(_: WrappedLogger, __: str, event: EventDict) -> str:
    """One object a line."""
    head = {"time": event.pop("timestamp"), "level": event.pop("level"), "event": event.pop("event")}
    return json.dumps(head | {key: value for key, value in event.items() if key not in head}, ensure_ascii=False)


def _said(event: EventDict) -> str:
    parts = [str(event["event"])]
    parts.extend(f"{key}={_quoted(value)}" for key, value in event.items() if key not in _OWN_KEYS)
    line = parts[0] + ("  " + " ".join(parts[1:]) if parts[1:] else "")
    trace = event.get("exception")
    return line + "".join(f"\n    {each}" for each in str(trace).splitlines()) if trace else line


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    plain = text and not any(c in text for c in ' "=')
    return text if plain or not isinstance(value, str) else json.dumps(text, ensure_ascii=False)
