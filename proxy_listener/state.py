"""The state directory: where it is, its lock, which one process holds, and how a private file is written.

A second instance is refused and told the process id of the first. The lock ends with the process.
"""

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy_listener.model.errors import ProxyListenerError

LOCK = "service.lock"

CONTROL_SOCKET = "control.sock"
"""The service's Unix socket, which other verbs connect to."""

SOCKET_PATH_LIMIT = 107
"""Bytes of a Unix socket's path: sun_path of unix(7) holds 108 with the final zero."""


def state_directory(given: str | Path | None = None) -> Path:
    """``--state``, else ``$STATE_DIRECTORY`` (systemd separates several by colons), else a directory in
    ``$XDG_STATE_HOME``.
    """
    if given is not None:
        return Path(given)
    if systemd := os.environ.get("STATE_DIRECTORY"):
        return Path(systemd.split(":", 1)[0])
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "proxy-listener"


NO_HISTORY = "no history"
"""Stands behind the process id in the lock's file while only ``record`` has used the directory."""


def had_history(state: Path) -> bool:
    """Whether a process that keeps a history has used the state directory before."""
    try:
        return NO_HISTORY.encode() not in read_regular(state / LOCK, 32)
    except OSError:
        return False


@contextmanager
def single_instance(state: Path, *, keeps_history: bool = True) -> Iterator[None]:
    """Hold the lock of the state directory, which is made (0700) where it is missing. ProxyListenerError where another
    process holds it, where every user may write into it, or where nothing can be written.
    """
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        # O_NOFOLLOW: a link planted in the directory could otherwise make this process empty another file.
        if stat.S_IMODE(state.stat().st_mode) & stat.S_IWOTH:
            raise ProxyListenerError(
                f"every user of this machine can write into the state directory {state}, and so replace the history; "
                f"fix it with: chmod 700 {state}"
            )
        file = os.open(state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ProxyListenerError(f"the state directory {state} cannot be used: {error.strerror}") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 32).decode(errors="replace").partition(" ")[0].strip()
            who = f"process {holder}" if holder.isdecimal() else "another process"
            raise ProxyListenerError(f"{who} already runs with the state directory {state}") from None
        before = os.read(file, 32).decode(errors="replace")
        mark = "" if keeps_history or (before and NO_HISTORY not in before) else f" {NO_HISTORY}"
        try:
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}{mark}\n".encode(), 0)
        except OSError as error:
            raise ProxyListenerError(f"the state directory {state} cannot be written: {error.strerror}") from error
        yield
    finally:
        os.close(file)


def write_private(path: Path, text: str, like: os.stat_result | None = None) -> None:
    """Replace the file at ``path`` in one step, readable by its owner only; on disk when this returns. OSError.

    ``like``: the owner, and the owner's permissions, are those of this file.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            if like is not None:
                os.fchmod(descriptor, like.st_mode & 0o700)
                if os.geteuid() == 0:
                    os.fchown(descriptor, like.st_uid, like.st_gid)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_regular(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most ``limit`` bytes. OSError for a larger one, and for a pipe or a device,
    which could block or never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit} bytes")
    return content
