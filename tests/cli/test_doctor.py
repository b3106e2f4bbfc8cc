"""The verb doctor: every check, with what the user has to do."""

import json
import os
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from support.control_service import answering, running_service

from proxy_listener import __version__
from proxy_listener.cli import doctor
from proxy_listener.config import Config
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DiscoverySettings, WebSettings
from proxy_listener.model.status import View
from proxy_listener.sinks.mqtt.settings import Settings
from proxy_listener.web import Actions

NOW = 1_795_370_645.0


def only(found):
    (one,) = found
    return one


def bad(found) -> list[tuple[str, str]]:
    return [(one.state, one.what) for one in found if one.state != "ok"]


def test_a_clock_that_was_never_set_fails():
    """1970 is a failure, with what to do; a time after the release of the program is not."""
    found = doctor.clock(3.0)
    assert found.state == "fail"
    assert "set up time synchronisation" in found.detail
    assert doctor.clock(NOW) == doctor.Finding("ok", "clock", "2026-11-22 18:04 UTC")


def test_versions_are_shown():
    """Those of this program, of aioesphomeapi and of Python."""
    words = doctor.versions().detail
    assert all(word in words for word in ("proxy-listener ", "aioesphomeapi ", "Python 3."))


def test_an_unusable_state_directory_is_found(tmp_path):
    """A file in its place; a path too long for the socket; permissions for other users."""
    (tmp_path / "file").touch()
    found = only(doctor.state_directory(tmp_path / "file" / "state"))
    assert (found.state, found.what) == ("fail", "state directory")
    assert "--state" in found.detail
    deep = tmp_path.joinpath(*["x" * 40] * 4)
    assert ("fail", "state directory") in bad(doctor.state_directory(deep))
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    warned = [one.detail for one in doctor.state_directory(tmp_path / "open") if one.state == "warn"]
    assert f"chmod 700 {tmp_path}/open" in warned[0]
    assert not (tmp_path / "xx").exists()


@contextmanager
def as_nobody():
    """Root may do everything: run the block as user nobody where the tests run as root."""
    root = os.geteuid() == 0
    if root:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


def test_a_state_directory_below_a_directory_that_cannot_be_searched():
    """Another user's directory is a finding and not an exception."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        theirs = Path(folder) / "theirs"
        theirs.mkdir(mode=0)
        with as_nobody():
            found = only(doctor.state_directory(theirs / "state"))
    assert found.state == "fail"
    assert str(theirs) in found.detail


@pytest.mark.parametrize(("free", "state"), [(5 << 20, "fail"), (100 << 20, "warn"), (8 << 30, "ok")])
def test_low_disk_space_is_found(tmp_path, free, state):
    """A warning before readings are lost, a failure when they are."""
    found = doctor.disk(tmp_path, free)
    assert found.state == state
    assert state == "ok" or "make room" in found.detail


def test_a_port_in_use_is_found():
    """A free port is still free afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        found = doctor.port("page", listen, "[web] listen")
        assert (found.state, found.detail) == (
            "fail",
            f"{listen} cannot be used: Address already in use; name another one: [web] listen",
        )
    config = Config(discovery=DiscoverySettings(dial_in=listen), web=WebSettings(listen=listen))
    for _ in range(2):
        found = list(doctor.free_ports(config))
        assert [(finding.state, finding.what) for finding in found] == [("ok", "page"), ("ok", "calls of nodes")]


def test_a_port_that_nodes_cannot_call_is_a_failure():
    """The running service says why it is not open."""
    storage = {"ok": True, "error": None, "alarm": None}
    dial_in = {"listen": "0.0.0.0:6054", "error": "Address already in use", "refused": 0}
    found = list(doctor.service({"version": __version__, "pid": 7, "storage": storage, "dial_in": dial_in}))
    assert attrs.astuple(found[-1]) == (
        "fail",
        "calls of nodes",
        "no node can call: 0.0.0.0:6054: Address already in use",
    )


def test_an_unreachable_broker_is_found():
    """With its address and without the password."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        found = doctor.server("mqtt", Settings(port=port, user="user", password=Secret("canary")))
    assert found.state == "fail"
    assert f"nothing answers at 127.0.0.1:{port}: Connection refused" in found.detail
    assert "canary" not in found.detail


def test_a_server_that_is_no_broker_is_found():
    """It closes the connection at the first byte."""

    async def hang_up(reader, writer):
        await reader.read(1)
        writer.close()

    with answering(hang_up) as port:
        found = doctor.server("mqtt", Settings(port=port))
    assert found.state == "fail"
    assert "is it an MQTT broker, and is the port right?" in found.detail


def test_a_wrong_broker_password_is_found():
    """The broker answers with MQTT 5's reason code 134."""

    async def refuse(reader, writer):
        if await reader.read(1):
            writer.write(bytes((0x20, 3, 0, 134, 0)))
            await writer.drain()
            await reader.read()
        writer.close()

    with answering(refuse) as port:
        found = doctor.server("mqtt", Settings(port=port, version="5", user="user", password=Secret("canary")))
    assert found.state == "fail"
    assert "user or password are wrong in [sink.mqtt]" in found.detail
    assert "canary" not in found.detail


@pytest.mark.broker
def test_a_real_broker_accepts_the_login(tmp_path):
    """It keeps no message of the check."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with subprocess.Popen(["mosquitto", "-c", tmp_path / "conf"], stderr=subprocess.PIPE, text=True) as broker:
        try:
            assert any("running" in line for line in broker.stderr)
            found = doctor.server("mqtt", Settings(port=port))
        finally:
            broker.terminate()
    assert (found.state, found.detail) == ("ok", f"127.0.0.1:{port} answers and lets us in")


def test_another_version_and_a_full_disk_are_found():
    """The advice is to restart the service, and to look at the disk."""
    storage = {"ok": False, "error": "database or disk is full", "alarm": None}
    found = list(doctor.service({"version": "0.0.1", "pid": 7, "storage": storage, "dial_in": None}))
    assert bad(found) == [("warn", "service"), ("fail", "history")]
    assert "restart it" in found[0].detail
    assert "is the disk full?" in found[1].detail


def test_missing_and_wrong_keys_are_found():
    """Each with its device and with the verb that imports keys."""
    one = {"name": "Bedroom climate", "mac": "A4:C1:38:02:83:F4"}
    found = list(doctor.keys([one | {"key": "missing"}, one | {"key": "wrong"}, one | {"key": "verified"}]))
    assert [each.state for each in found] == ["warn", "fail"]
    assert "keys import" in found[0].detail


def test_what_is_missing_for_sharing_is_said():
    """Whose stream another client has, what is not shared, and who is connected."""

    def proxy(state="live", **shared):
        node = {"name": "kitchen-shared", "port": 6100, "problem": "", "clients": []}
        return {
            "name": "kitchen",
            "state": state,
            "shared": {**node, **shared} if shared.pop("is_shared", True) else None,
        }

    def said(*args, configured=True, **more):
        return [(one.state, one.detail) for one in doctor.sharing([proxy(*args, **more)], configured=configured)]

    assert said(is_shared=False) == []
    (found,) = said("taken", is_shared=False, configured=False)
    assert found == ("warn", "another client has the stream; with [share] both can: docs/sharing.md")
    (found,) = said("held", problem="the proxy is held")
    assert found[0] == "warn"
    assert "remove its entry under ESPHome" in found[1]
    assert said(problem="port 6100 is used by another program") == [("warn", "port 6100 is used by another program")]
    assert said(clients=[{}, {}]) == [("ok", "kitchen-shared, port 6100: 2 connected")]
    assert "nobody is connected" in said()[0][1]


def test_nodes_that_are_not_accepted_are_named():
    """A failure only where no node is accepted."""
    names = ["hall", "kitchen", "attic", "cellar"]
    assert only(doctor.other_nodes(names, used=True)).state == "ok"
    none = only(doctor.other_nodes(names, used=False))
    assert none.state == "fail"
    assert "hall, kitchen, attic and 1 more" in none.detail
    assert "UDP 5353" in only(doctor.other_nodes([], used=False)).detail
    assert list(doctor.other_nodes([], used=True)) == []


def test_every_problem_of_the_configuration_is_a_finding(call, tmp_path):
    """The machine is checked as well."""
    path = tmp_path / "devices.toml"
    path.write_text('[discovery]\nacept = "keyed"\n[web]\nlisten = "nowhere"\n', encoding="utf-8")
    result = call("doctor", "--json", "-c", path)
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    told = {one["detail"].split(":")[1] for one in found if one["what"] == "configuration"}
    assert told == {" discovery.acept", " web.listen"}
    assert {"versions", "clock", "disk"} <= {one["what"] for one in found}


def test_a_readable_configuration_with_secrets_is_found(call, tmp_path):
    """With the command that fixes it, and without the secret."""
    path = tmp_path / "devices.toml"
    path.write_text(f'[[device]]\nmac = "A4:C1:38:02:83:F4"\nbindkey = "{"5a" * 16}"\n', encoding="utf-8")
    path.chmod(0o644)
    result = call("doctor", "-c", path)
    assert result.exit_code == 1
    assert f"chmod 600 {path}" in result.stdout
    assert "5a5a" not in result.output


def test_a_running_service_is_asked(call, tmp_path):
    """It has no proxy, which is a failure. mDNS is not opened."""
    (tmp_path / "devices.toml").touch()
    with running_service(tmp_path, Actions(), view=View(list, list, dict)):
        result = call("doctor", "--json", "-c", tmp_path / "devices.toml", "--state", tmp_path)
    found = {one["what"]: one["state"] for one in json.loads(result.stdout)}
    assert (found["service"], found["proxies"]) == ("ok", "fail")
    assert "mDNS" not in found
