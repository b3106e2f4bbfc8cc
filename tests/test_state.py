"""What systemd is told, and who may start: a datagram socket stands in for systemd."""

import os
import socket
import time

import pytest

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.state import single_instance
from proxy_listener.systemd import HUNG, Pulse, ServiceManager


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_assignments_are_lines_and_nothing_else_becomes_one(systemd):
    """A status with a line break in it is no second assignment."""
    ServiceManager().tell("READY=1", "STATUS=the disk\nWATCHDOG=trigger")
    assert systemd.recv(4096) == b"READY=1\nSTATUS=the disk WATCHDOG=trigger"


def test_an_abstract_address_is_understood(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0proxy-listener-{os.getpid()}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@proxy-listener-{os.getpid()}")
        ServiceManager().tell("READY=1")
        assert listening.recv(4096) == b"READY=1"


def test_a_reload_says_when_it_began(systemd):
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    ServiceManager().tell_reloading()
    first, second = systemd.recv(4096).decode().splitlines()
    assert first == "RELOADING=1"
    name, _, value = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_manager_that_does_not_read_keeps_nobody_waiting(systemd):
    """Its queue is full: the next word is dropped, at once."""
    manager = ServiceManager()
    began = time.monotonic()
    for _ in range(5000):
        manager.tell("STATUS=" + "x" * 500)
    assert time.monotonic() - began < 4.0


def test_no_manager_is_normal(monkeypatch, tmp_path):
    for address in ("", str(tmp_path / "gone"), "x" * 200):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        ServiceManager().tell("READY=1")


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
def test_signs_of_life_come_twice_as_often_as_asked(monkeypatch, microseconds, process, interval):
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if process == "own" else process)
    assert ServiceManager().interval == interval


def test_the_pulse_stops_with_the_flow():
    """At once where the proxies or the journal do not run; after a minute where the disk does not answer; and comes
    back with it."""
    pulse = Pulse()
    assert pulse.beats(0.0, at_work=True, hung=False)
    assert not pulse.beats(1.0, at_work=False, hung=False)
    assert pulse.beats(2.0, at_work=True, hung=True)
    assert pulse.beats(2.0 + HUNG - 0.1, at_work=True, hung=True)
    assert not pulse.beats(2.0 + HUNG, at_work=True, hung=True)
    assert pulse.beats(3.0 + HUNG, at_work=True, hung=False)
    assert pulse.beats(4.0 + HUNG, at_work=True, hung=True)


def test_a_state_directory_is_one_services(tmp_path):
    """Refused while the first lives, with its process id; free when it is gone, whatever the file says."""
    with (
        single_instance(tmp_path),
        pytest.raises(ProxyListenerError, match=f"process {os.getpid()} already runs"),
        single_instance(tmp_path),
    ):
        pass
    (tmp_path / "service.lock").write_text("1\n")
    with single_instance(tmp_path):
        assert (tmp_path / "service.lock").read_text() == f"{os.getpid()}\n"
