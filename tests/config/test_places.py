"""Where the configuration and the state directory are looked for."""

from pathlib import Path

import pytest

from proxy_listener.config import find, state_directory


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of its own, an empty working directory in it, and none of systemd's variables."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path


def test_the_nearest_configuration_is_found(home, monkeypatch):
    """The working directory's before the user's; none where there is none; always the one that is named."""
    assert find() is None
    users = home / ".config/proxy-listener/devices.toml"
    users.parent.mkdir(parents=True)
    users.touch()
    assert find() == users
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "elsewhere"))
    assert find() is None
    Path("devices.toml").touch()
    assert find() == Path("devices.toml")
    assert find("no.toml") == Path("no.toml")


def test_the_state_directory_is_what_is_said_first(home, monkeypatch):
    """--state, then systemd's (the first of several), then XDG's, then its default."""
    assert state_directory() == home / ".local/state/proxy-listener"
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert state_directory() == Path("/xdg/proxy-listener")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/proxy-listener:/var/lib/other")
    assert state_directory() == Path("/var/lib/proxy-listener")
    assert state_directory("given") == Path("given")
