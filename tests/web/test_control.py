"""The control socket's file."""

import os
import socket
import stat

import pytest

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.web.control import control_socket


def test_only_the_owner_may_connect(tmp_path):
    """The file's mode is 0600 even with umask 0."""
    before = os.umask(0)
    try:
        with control_socket(tmp_path):
            assert stat.S_IMODE((tmp_path / "control.sock").stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_the_file_goes_with_the_service(tmp_path):
    """Nothing is left behind."""
    with control_socket(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_dead_service_is_replaced(tmp_path):
    """A socket without a listener, as kill -9 leaves it, is replaced."""
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "control.sock"))
    dead.close()
    with control_socket(tmp_path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "control.sock"))


def test_a_live_service_is_left_alone(tmp_path):
    """A second service is refused, and the first one still answers at its socket."""
    with control_socket(tmp_path) as first:
        with pytest.raises(ProxyListenerError, match="another service is running"), control_socket(tmp_path):
            pass
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "control.sock"))
            first.accept()[0].close()


def test_a_busy_service_is_alive(tmp_path):
    """A full backlog means that a service runs."""
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as client:
        busy.bind(str(tmp_path / "control.sock"))
        busy.listen(0)
        client.connect(str(tmp_path / "control.sock"))
        with pytest.raises(ProxyListenerError, match="another service is running"), control_socket(tmp_path):
            pass


def test_another_file_is_not_removed(tmp_path):
    """A file of that name stays, and the error names it."""
    (tmp_path / "control.sock").write_text("mine")
    with pytest.raises(ProxyListenerError, match="not a socket"), control_socket(tmp_path):
        pass
    assert (tmp_path / "control.sock").read_text() == "mine"


def test_a_successor_keeps_its_socket(tmp_path):
    """A service that ends late does not remove the socket of the one that replaced it."""
    path = tmp_path / "control.sock"
    with control_socket(tmp_path):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(path))
            inode = path.stat().st_ino
    assert path.exists() == (inode is not None)


def test_a_path_too_long_is_an_error(tmp_path):
    """The error names the cause."""
    with pytest.raises(ProxyListenerError, match="too long"), control_socket(tmp_path / ("x" * 100)):
        pass
