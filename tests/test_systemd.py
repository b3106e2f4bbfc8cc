"""What systemd is told: a datagram socket stands in for systemd."""

import os
import socket
import time

import pytest

from proxy_listener.systemd import HUNG, ServiceManager, Watchdog


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_a_line_break_in_a_status_makes_no_second_assignment(systemd):
    """A device's name could otherwise feed the watchdog."""
    ServiceManager().notify("READY=1", "STATUS=the disk\nWATCHDOG=trigger")
    assert systemd.recv(4096) == b"READY=1\nSTATUS=the disk WATCHDOG=trigger"


def test_an_abstract_socket_address_is_supported(monkeypatch):
    """systemd writes it with ``@`` in place of the zero byte."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0proxy-listener-{os.getpid()}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@proxy-listener-{os.getpid()}")
        ServiceManager().notify("READY=1")
        assert listening.recv(4096) == b"READY=1"


def test_a_reload_is_sent_with_its_time(systemd):
    """The time of CLOCK_MONOTONIC, in microseconds."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    ServiceManager().notify_reloading()
    first, second = systemd.recv(4096).decode().splitlines()
    assert first == "RELOADING=1"
    name, _, value = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_full_queue_drops_notifications(systemd):
    """A manager that does not read cannot block the service: later notifications are lost, earlier ones are kept."""
    manager = ServiceManager()
    for number in range(5000):
        manager.notify(f"STATUS={number} " + "x" * 500)
    systemd.setblocking(False)
    received = 0
    while True:
        try:
            datagram = systemd.recv(4096)
        except BlockingIOError:
            break
        assert datagram.startswith(f"STATUS={received} ".encode())
        received += 1
    assert 0 < received < 5000


@pytest.mark.parametrize("address", ["", "gone", "x" * 200])
def test_nothing_is_sent_without_a_manager(monkeypatch, tmp_path, address):
    """No variable, no socket at its path, a path that is too long: no error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    manager = ServiceManager()
    manager.notify("READY=1")
    assert manager.listens is bool(address)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("microseconds", "process", "interval"),
    [
        ("60000000", "", 30.0),
        ("60000000", "own", 30.0),
        ("60000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("soon", "", None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_interval(monkeypatch, microseconds, process, interval):
    """Only where systemd asks for it, and asks this process."""
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if process == "own" else process)
    assert ServiceManager().interval == interval


def test_the_service_is_unhealthy_while_readings_cannot_flow():
    """At once where a part does not run; after a minute where the disk does not answer; healthy again when it does."""
    watchdog = Watchdog()
    assert watchdog.healthy(0.0, running=True, hung=False)
    assert not watchdog.healthy(1.0, running=False, hung=False)
    assert watchdog.healthy(2.0, running=True, hung=True)
    assert watchdog.healthy(2.0 + HUNG - 0.1, running=True, hung=True)
    assert not watchdog.healthy(2.0 + HUNG, running=True, hung=True)
    assert watchdog.healthy(3.0 + HUNG, running=True, hung=False)
    assert watchdog.healthy(4.0 + HUNG, running=True, hung=True)
