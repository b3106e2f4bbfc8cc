"""A state directory -> the listening Unix socket ``control.sock`` in it.

The rule of this file: the socket's file is 0600 from its first instant, and never replaces one that somebody serves.
"""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy_listener.model.errors import ProxyListenerError

NAME = "control.sock"

PATH_LIMIT = 107
"""Bytes of a Unix socket's path: sun_path of unix(7) holds 108 with the final zero."""

BACKLOG = 32


def _served(path: Path) -> bool:
    """Whether a process listens there. A full backlog (EAGAIN) is a process too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            return True
        return True


def _clear(path: Path) -> None:
    """Removes the socket of a service that is gone."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ProxyListenerError(f"{path} is in the way of the control socket and is not a socket")
    if _served(path):
        raise ProxyListenerError(f"another service is running: it listens at {path}")
    path.unlink(missing_ok=True)


@contextmanager
def control_socket(state: Path) -> Iterator[socket.socket]:
    """The control socket, listening; its file goes when the context ends, unless another has taken its place.

    ProxyListenerError: another service listens there, something else is in the way, or the path is too long.
    """
    path = state / NAME
    if len(os.fsencode(path)) > PATH_LIMIT:
        raise ProxyListenerError(f"the state directory's path is too long for a Unix socket: {path}")
    _clear(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # Linux gives the file the mode of the unbound socket, so there is no instant with another mode, and no umask
        # of the whole process is touched.
        os.fchmod(listener.fileno(), stat.S_IRUSR | stat.S_IWUSR)
        listener.bind(os.fspath(path))
        born = path.lstat().st_ino
        listener.listen(BACKLOG)
        listener.setblocking(False)
        try:
            yield listener
        finally:
            try:
                if path.lstat().st_ino == born:
                    path.unlink()
            except FileNotFoundError:
                pass
