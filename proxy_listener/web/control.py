"""A state directory -> the listening Unix socket ``control.sock`` in it.

The socket's file has mode 0600 from the start, and never replaces the socket of a running service.
"""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.state import CONTROL_SOCKET, SOCKET_PATH_LIMIT

BACKLOG = 100
"""Connections that the kernel holds until they are accepted: asyncio's default."""


def _served(path: Path) -> bool:
    """Whether a process listens there. A full backlog (EAGAIN) means that one does."""
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
    """Remove the socket that a killed service left."""
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
    """The control socket, listening; at the end its file is removed, unless another service has replaced it.

    ProxyListenerError: another service listens there, another file has that name, or the path is too long.
    """
    path = state / CONTROL_SOCKET
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise ProxyListenerError(f"the state directory's path is too long for a Unix socket: {path}")
    _clear(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # Linux creates the file with the mode of the unbound socket. So it never has another mode, and the umask, which
        # belongs to the whole process, stays as it is.
        os.fchmod(listener.fileno(), stat.S_IRUSR | stat.S_IWUSR)
        listener.bind(os.fspath(path))
        inode = path.lstat().st_ino
        listener.listen(BACKLOG)
        listener.setblocking(False)
        try:
            yield listener
        finally:
            try:
                if path.lstat().st_ino == inode:
                    path.unlink()
            except FileNotFoundError:
                pass
