"""Logs: what must not get into them, and their formats."""

import io
import json
import logging

import pytest
import structlog

from proxy_listener import logs
from proxy_listener.model.secret import Secret

log = structlog.get_logger()


def fail(reason) -> None:
    raise ValueError(reason)


HOSTILE = 'kitchen\n<0>forged \x1b[31m\x07 \u202egnp.exe \x9b"'


@pytest.fixture
def started():
    """Starts logging into a text stream and returns it. Logging is restored afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()

    def start(**how) -> io.StringIO:
        logs.configure(stream=stream, **{"journal": False} | how)
        return stream

    yield start
    root.handlers[:], level = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.mark.parametrize("how", [{}, {"as_json": True}, {"journal": True}], ids=["text", "json", "journal"])
def test_nothing_from_outside_breaks_a_line_or_moves_the_cursor(started, how):
    """Line breaks, escape sequences and direction overrides in names are escaped."""
    text = started(**how)
    log.info("new node", name=HOSTILE, **{HOSTILE: 1}, nested={"a": [HOSTILE]}, odd=HOSTILE.encode())
    logging.getLogger("zeroconf").warning("bad record from %s", HOSTILE)
    lines = text.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert all("kitchen" in line for line in lines)


@pytest.mark.parametrize("how", [{}, {"as_json": True}, {"journal": True}], ids=["text", "json", "journal"])
def test_a_secret_is_never_written(started, how):
    """Neither by itself nor in a list, a table, a message or an exception."""
    text = started(verbose=True, **how)
    secret = Secret("canary")
    log.info("a key", key=secret, keys=[secret], table={"key": secret}, deep={"a": {"b": {"c": {"d": {"e": secret}}}}})
    log.info("a key %s", secret)
    try:
        fail(secret)
    except ValueError:
        log.exception("failed", key=secret)
    assert text.getvalue().count("***") >= 7
    assert "canary" not in text.getvalue()


def test_a_line_of_text(started):
    """Time, level, event, then keys and values."""
    text = started()
    log.warning("the stream was taken", proxy="kitchen-proxy", cause="another client", tries=2, since=None)
    time, _, rest = text.getvalue().partition(" ")
    assert time.endswith("Z")
    assert rest == 'warning  the stream was taken  proxy=kitchen-proxy cause="another client" tries=2 since=null\n'


def test_a_line_of_json(started):
    """One object a line: time, level and event come first."""
    text = started(as_json=True)
    log.error("history failing", level_of_disk=float("inf"), proxy="k")
    document = json.loads(text.getvalue())
    assert list(document) == ["time", "level", "event", "level_of_disk", "proxy"]
    assert (document["level"], document["event"], document["level_of_disk"]) == ("error", "history failing", "inf")


def test_journald_gets_priorities_on_every_line(started, monkeypatch):
    """On the lines of a traceback, too, where systemd's variable is set."""
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    text = started(journal=None)
    log.info("listening")
    try:
        fail("first\n<0>second")
    except ValueError:
        log.exception("failed")
    first, *rest = text.getvalue().splitlines()
    assert first == "<6>listening"
    assert len(rest) >= 4
    assert all(line.startswith("<3>") for line in rest)


def test_debug_lines_need_verbose_and_those_of_libraries_are_never_written(started):
    """aioesphomeapi's debug lines hold passwords."""
    text = started()
    log.debug("ours")
    logging.getLogger("aioesphomeapi.connection").info("theirs")
    assert text.getvalue() == ""
    started(verbose=True)
    log.debug("ours")
    logging.getLogger("aioesphomeapi.connection").info("theirs")
    logging.getLogger("aioesphomeapi.connection").debug("password")
    assert [line.split()[2] for line in text.getvalue().splitlines()] == ["ours", "theirs"]


def test_a_library_cannot_fill_the_log():
    """Twenty lines a minute; the next minute's first line counts those that were left out. Others are not limited."""
    now = 0.0
    limit = logs.LibraryRateLimit(lambda: now)

    def said(name: str = "zeroconf.sub") -> logging.LogRecord:
        return logging.LogRecord(name, logging.WARNING, "", 0, "odd %s", ("packet",), None)

    assert sum(limit.filter(said()) for _ in range(1000)) == logs.LIBRARY_LINES
    assert limit.filter(said("aiohttp.server"))
    assert limit.filter(said("proxy_listener.proxies"))
    now = logs.LIBRARY_WINDOW
    record = said()
    assert limit.filter(record)
    assert record.getMessage() == f"odd packet (and {1000 - logs.LIBRARY_LINES} lines before it left out)"


def test_a_long_value_is_cut(started):
    """Names and lists of any length make a line of at most a few thousand characters."""
    text = started()
    log.info("x", name="a" * 1_000_000, many=[["b" * 10_000]])
    assert len(text.getvalue()) < 3 * logs.VALUE_LIMIT
