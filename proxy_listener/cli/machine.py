"""What ``doctor`` looks at on this machine: clock, versions, the state directory and its disk, the page's port.

The rule of this file: it looks and leaves nothing behind; every finding that is not ``ok`` says what to do.
"""

import ctypes
import os
import platform
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import attrs

from proxy_listener import __version__
from proxy_listener.cli.verb import nearest

BUILT = 1_750_000_000
"""June 2025: a clock before this was never set."""

TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronised."""

TIMEX_BYTES = 512
"""More than struct timex has on any machine; all zero it asks and sets nothing."""

SCARCE, SHORT = 20 << 20, 500 << 20
"""Bytes free. A small house writes about 100 MB a year; SQLite wants some for its write-ahead log."""


@attrs.frozen
class Finding:
    """One thing looked at."""

    state: Literal["ok", "warn", "fail"]
    what: str
    detail: str


def clock(now: float, synchronised: bool | None) -> Finding:
    """Readings carry the wall's time. ``synchronised``: what the system says of it, None where it does not."""
    if now < BUILT:
        return Finding("fail", "clock", "it was never set; set up time synchronisation (systemd-timesyncd, chrony)")
    shown = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    if synchronised is False:
        words = f"{shown}; the system says that nothing keeps it right: set up systemd-timesyncd or chrony"
        return Finding("warn", "clock", words)
    return Finding("ok", "clock", shown)


def synchronised() -> bool | None:
    """Whether the system's clock is kept right, as the kernel knows it; None where it does not say."""
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else answer != TIME_ERROR


def versions() -> Finding:
    """What a bug report wants to know."""
    ours = f"proxy-listener {__version__}, aioesphomeapi {version('aioesphomeapi')}"
    words = f"{ours}, Python {platform.python_version()}, {platform.system()} {platform.release()} {platform.machine()}"
    return Finding("ok", "versions", words)


def state_directory(state: Path) -> Iterator[Finding]:
    """Whether this user can keep a history there, whether there is room, and who else can read it."""
    from proxy_listener.web.control import NAME, PATH_LIMIT

    there = nearest(state)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        words = f"{there} is not a directory that this user can write to; name another one with --state"
        yield Finding("fail", "state directory", words)
        return
    yield Finding("ok", "state directory", str(state))
    if len(os.fsencode(state / NAME)) > PATH_LIMIT:
        words = f"{state} is too long for the control socket in it; name a shorter one with --state"
        yield Finding("fail", "state directory", words)
    if state.exists() and stat.S_IMODE(state.stat().st_mode) & 0o077:
        words = f"other users of this machine can look into it; mend it with: chmod 700 {state}"
        yield Finding("warn", "state directory", words)
    for file in sorted(state.glob("*.db*")):
        if not os.access(file, os.R_OK | os.W_OK):
            words = f"{file} belongs to another user, who ran the service once; mend it with: chown -R $USER {state}"
            yield Finding("fail", "history", words)
            break
    yield disk(there, shutil.disk_usage(there).free)


def disk(where: Path, free: int) -> Finding:
    """Room for the history: ``free`` is bytes."""
    shown = f"{free / (1 << 30):.1f} GB free" if free >= SHORT else f"{free >> 20} MB free"
    if free < SCARCE:
        return Finding("fail", "disk", f"{shown} at {where}: readings cannot be stored; make room, or move it: --state")
    if free < SHORT:
        return Finding("warn", "disk", f"{shown} at {where}; make room, or lower [history] max_size")
    return Finding("ok", "disk", shown)


def port(listen: str) -> Finding:
    """Whether the page could be served there, while no service runs."""
    from proxy_listener.model.text import split_endpoint

    place = split_endpoint(listen)
    assert place is not None  # the configuration was checked
    try:
        with socket.create_server(place, family=socket.AF_INET6 if ":" in place[0] else socket.AF_INET):
            return Finding("ok", "page", f"{listen} is free")
    except OSError as error:
        words = f"{listen} cannot be had: {os.strerror(error.errno or 0)}; name another one: [web] listen"
        return Finding("fail", "page", words)
