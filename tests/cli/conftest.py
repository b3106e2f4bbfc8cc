"""Calls verbs as a user does, and restores what a call changes in the process."""

import logging
import signal

import pytest
import structlog
from click.testing import CliRunner, Result
from support.background import in_thread
from support.control_service import ACTIONS, running_service

from proxy_listener.cli import main
from proxy_listener.simulator.house import House


@pytest.fixture(autouse=True)
def _process(tmp_path, monkeypatch):
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # A shell makes a command with & ignore SIGINT, and the programs that it starts inherit that.
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


@pytest.fixture
def state(tmp_path):
    """The state directory of a running service with made values."""
    with running_service(tmp_path, ACTIONS) as state:
        yield state


@pytest.fixture
def config_file(tmp_path):
    """A configuration with one proxy that does not answer and one device with its key."""
    path = tmp_path / "devices.toml"
    path.write_text(
        """
[discovery]
accept = "listed"
interfaces = ["127.0.0.1"]
[[proxy]]
name = "bedroom-proxy"
room = "Bedroom"
host = "127.0.0.1"
port = 9
[[device]]
mac = "A4:C1:38:02:83:F4"
name = "Bedroom climate"
bindkey = "e9ea895fac7cca6d30532432a516f3a8"
""",
        encoding="utf-8",
    )
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def node_house():
    """Two real nodes, announced on loopback, that send nothing; in a thread of its own."""
    house = House(seed=7, rooms=2, devices=0, instance="cli")
    with in_thread(house.running()):
        yield house


@pytest.fixture
def node_house_config(tmp_path, node_house):
    """A configuration with the key of that house."""
    path = tmp_path / "devices.toml"
    key = node_house.noise_psk.reveal()
    path.write_text(f'[discovery]\ninterfaces = ["127.0.0.1"]\nnoise_psk = "{key}"\n', encoding="utf-8")
    path.chmod(0o600)
    return path
