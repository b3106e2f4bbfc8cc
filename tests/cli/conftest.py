"""Calls verbs as a user does, and keeps what a call sets for the whole process out of other tests."""

import logging
import signal

import pytest
import structlog
from click.testing import CliRunner, Result

from proxy_listener.cli import main


@pytest.fixture(autouse=True)
def _process(tmp_path, monkeypatch):
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # A shell starts a command with & deaf to SIGINT, and a program started by that one inherits it.
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, interrupt)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def call():
    """Calls a verb: ``call("check", "-c", path)``. An exception that is not expected fails the test."""

    def call(*words: object, given: str | None = None) -> Result:
        result = CliRunner().invoke(main, [str(word) for word in words], input=given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call
