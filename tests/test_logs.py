"""Logs: what may not get into them, and what they look like."""

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
    """Starts logging into a text and gives it; all is as before afterwards."""
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
    """Names with line breaks, escape sequences and direction overrides: one line each, all of it visible."""
    text = started(**how)
    log.info("new node", name=HOSTILE, **{HOSTILE: 1}, nested={"a": [HOSTILE]}, odd=HOSTILE.encode())
    logging.getLogger("zeroconf").warning("bad record from %s", HOSTILE)
    lines = text.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert all("kitchen" in line for line in lines)


@pytest.mark.parametrize("how", [{}, {"as_json": True}, {"journal": True}], ids=["text", "json", "journal"])
def test_a_secret_is_never_written(started, how):
    """By itself, in a list, in a table, in the text of a message, in an exception."""
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
    """Time, level, what happened, and then what it is about."""
    text = started()
    log.warning("the stream was taken", proxy="kitchen-proxy", cause="another client", tries=2, since=None)
    time, _, rest = text.getvalue().partition(" ")
    assert time.endswith("Z")
    assert rest == 'warning  the stream was taken  proxy=kitchen-proxy cause="another client" tries=2 since=null\n'


def test_a_line_of_json(started):
    """One object a line, in the order of importance."""
    text = started(as_json=True)
    log.error("history failing", level_of_disk=float("inf"), proxy="k")
    document = json.loads(text.getvalue())
    assert list(document) == ["time", "level", "event", "level_of_disk", "proxy"]
    assert (document["level"], document["event"], document["level_of_disk"]) == ("error", "history failing", "inf")


def test_journald_gets_priorities_on_every_line(started, monkeypatch):
    """Also on the lines of a traceback; asked for by the variable that systemd sets."""
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


def test_what_is_said_quietly_is_heard_only_when_asked(started):
    """Debug of ours needs verbose; debug of the libraries is never written, because aioesphomeapi's holds passwords."""
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
    """So many lines a minute; then one that counts what was left out. Others are not affected."""
    now = 0.0
    sparing = logs.Sparing(lambda: now)

    def said(name: str = "zeroconf.sub") -> logging.LogRecord:
        return logging.LogRecord(name, logging.WARNING, "", 0, "odd %s", ("packet",), None)

    assert sum(sparing.filter(said()) for _ in range(1000)) == logs.LIBRARY_LINES
    assert sparing.filter(said("aiohttp.server"))
    assert sparing.filter(said("proxy_listener.proxies"))
    now = logs.LIBRARY_WINDOW
    record = said()
    assert sparing.filter(record)
    assert record.getMessage() == f"odd packet (and {1000 - logs.LIBRARY_LINES} lines before it left out)"


def test_a_value_without_end_is_cut(started):
    """No name, however long, makes a line of megabytes."""
    text = started()
    log.info("x", name="a" * 1_000_000, many=[["b" * 10_000]])
    assert len(text.getvalue()) < 3 * logs.VALUE_LIMIT
