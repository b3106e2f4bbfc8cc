"""The files that make a service of it: what is asked for in, the file's text out, with this program's own place in it.

The rule of this file: nothing is written and nothing is installed; where it goes is the reader's to say.
"""

import sys
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

FILES = {"systemd": "proxy-listener.service", "containerfile": "Containerfile", "compose": "compose.yaml"}

INSTALLED = "/opt/proxy-listener/"
"""Where the unit, as it is kept, says that the program is."""

HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  names of places, nothing is put there
"""What the unit's ProtectHome and PrivateTmp keep from the service."""


def deployment(kind: str, prefix: Path | None = None) -> str:
    """The file of this kind. ``prefix``: the environment that the program is in; this one's where not given."""
    text = files("proxy_listener").joinpath("deploy", FILES[kind]).read_text(encoding="utf-8")
    return text.replace(INSTALLED, f"{prefix or sys.prefix}/") if kind == "systemd" else text


def doubt(kind: str, places: Iterable[str] = (sys.prefix, sys.base_prefix)) -> str | None:
    """Why the file would not work as it stands, with what to do; None where it would.

    ``places``: where the environment and its Python are; it may have a Python of a home directory.
    """
    hidden = [place for place in places if any(Path(place).resolve().is_relative_to(one) for one in HIDDEN)]
    if kind != "systemd" or not hidden:
        return None
    return (
        f"the unit hides {' and '.join(hidden)} from the service (ProtectHome, PrivateTmp), and the program is there; "
        "make its environment in /opt/proxy-listener, with the system's own Python, and print the unit with that one"
    )
