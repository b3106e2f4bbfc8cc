"""Where things are: the configuration file, and the directory of what the service keeps."""

import os
from pathlib import Path

NAME = "devices.toml"


def find(given: str | Path | None = None) -> Path | None:
    """The configuration file: the one named on the command line, else the first that exists of the usual places."""
    if given is not None:
        return Path(given)
    return next((path for path in places() if path.is_file()), None)


def places() -> tuple[Path, ...]:
    """Where a configuration is looked for when none is named."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(NAME), Path(home) / "proxy-listener" / NAME, Path("/etc/proxy-listener") / NAME


def state_directory(given: str | Path | None = None) -> Path:
    """``--state``, else ``$STATE_DIRECTORY`` (systemd lists several with colons), else ``$XDG_STATE_HOME``'s own."""
    if given is not None:
        return Path(given)
    if systemd := os.environ.get("STATE_DIRECTORY"):
        return Path(systemd.split(":", 1)[0])
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "proxy-listener"
