"""The verbs that ask a running service, over a real control socket with made values."""

import json
import signal
import subprocess
import sys

import attrs
import pytest
from support.control_service import ACTIONS, HOSTILE, HOUSE, PROXY, answering, running_service
from support.terminal import on_terminal

from proxy_listener.cli.status import print_status
from proxy_listener.cli.verb import Options
from proxy_listener.model.status import Admissions, ProxyState
from proxy_listener.web.documents import plain

WAITING = {"newcomers": 0, "left": 128, "full": False}


def test_status_shows_every_proxy_and_what_to_do(call, state):
    """A row for each; cause and advice of a proxy with a problem; outcomes that are not zero."""
    result = call("status", "--state", state)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].endswith("history ok")
    row = "kitchen-proxy Kitchen live 192.0.2.10:6053 42.5 0 s 2/3 -55 dBm 2026.10.0 2 h"
    assert " ".join(lines[2].split()) == row
    assert lines[4] == "hall-proxy: another client took it. set insist = true"
    assert lines[5] == "advertisements: decoded 7"


def test_status_fails_while_readings_cannot_be_stored(call, tmp_path):
    """A container's health check needs status 1; people see the cause."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        storage = {"ok": False, "error": "disk full", "alarm": None}
        document = {
            "version": "1",
            "uptime": 3.0,
            "storage": storage,
            "proxies": [],
            "outcomes": {},
            "admissions": WAITING,
            "dial_in": None,
        }
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
        writer.write(json.dumps(document).encode())
        await writer.drain()
        writer.close()

    with answering(answer, tmp_path / "control.sock"):
        result = call("status", "--state", tmp_path)
    assert result.exit_code == 1
    assert "history cannot be written: disk full" in result.stdout


def test_status_names_unused_nodes_in_one_line(capsys):
    """A neighbour's node has no row and no advice."""
    stranger = plain(attrs.evolve(PROXY, name="stranger", state=ProxyState.NOT_ACCEPTED, advice="let it in"))
    storage = {"ok": True, "error": None, "alarm": None}
    document = {
        "version": "1",
        "uptime": 3.0,
        "storage": storage,
        "proxies": [stranger],
        "outcomes": {},
        "admissions": WAITING,
        "dial_in": None,
    }
    print_status(document, Options())
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "not used: stranger; discover says why"
    assert len(lines) == 3


def test_status_says_who_called_and_what_came_to_nothing(capsys):
    """The address where the call came from stands in place of one to connect to."""
    called = plain(attrs.evolve(PROXY, address=None, called_from="203.0.113.7"))
    document = {
        "version": "1",
        "uptime": 3.0,
        "storage": {"ok": True, "error": None, "alarm": None},
        "proxies": [called],
        "outcomes": {},
        "admissions": WAITING,
        "dial_in": {"listen": "0.0.0.0:6054", "error": None, "refused": 3},
    }
    print_status(document, Options())
    lines = capsys.readouterr().out.splitlines()
    assert "called us from 203.0.113.7" in lines[2]
    assert lines[-1] == "calls that were refused at 0.0.0.0:6054: 3; the log says why"
    document["dial_in"]["error"] = "Address already in use"
    print_status(document, Options())
    assert "no node can call: 0.0.0.0:6054: Address already in use" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["status", "devices"])
@pytest.mark.parametrize(("full", "why"), [(False, "once it was heard for a minute"), (True, "too many new devices")])
def test_devices_that_wait_to_be_admitted_are_told_of(call, tmp_path, verb, full, why):
    """In one line, with what lists them; none where none waits."""
    house = attrs.evolve(HOUSE, admissions=lambda: Admissions(300, 0, full))
    with running_service(tmp_path, ACTIONS, view=house):
        lines = call(verb, "--state", tmp_path).stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("new devices")]
    assert "300 not admitted yet" in line
    assert why in line


def test_devices_shows_values_and_ages(call, state):
    """A row for each. Markup in a name has no effect."""
    lines = call("devices", "--state", state).stdout.splitlines()
    assert lines[1].split("  ")[0] == "Bedroom climate"
    assert "temperature 21.3 °C, battery 87 %, button press" in lines[1]
    assert lines[2].startswith(HOSTILE)
    assert "28 h (away)" in lines[2]


@pytest.mark.parametrize("verb", ["status", "devices", "route Bedroom", "history Bedroom", "read Bedroom"])
def test_every_listing_has_json(call, state, verb):
    """One document on standard output."""
    result = call(*verb.split(), "--json", "--state", state)
    assert result.exit_code == 0
    assert json.loads(result.stdout)


def test_a_read_shows_its_values_and_its_steps_only_on_a_terminal(call, state):
    """A file or a pipe gets no line for each step."""
    result = call("read", "Bedroom", "--state", state)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.splitlines() == ["read through kitchen-proxy", "battery 87 %"]


def test_a_failed_read_shows_its_attempts(call, state):
    """Status 1."""
    result = call("read", "Bedroom", "--history", "--state", state)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["kitchen-proxy: too late", "no route was left"]


@pytest.mark.parametrize("plain", [(), ("--no-color",)])
async def test_a_read_shows_its_steps_on_a_terminal(tmp_path, plain):
    with running_service(tmp_path, ACTIONS) as state:
        async with on_terminal("read", "Bedroom", "--state", state, *plain) as terminal:
            await terminal.until(r"connecting through kitchen-proxy *\n(?s:.*)log through kitchen-proxy")
            await terminal.until("battery 87 %")


async def test_watch_on_a_terminal_is_a_table_that_fits(tmp_path):
    """One line a device, and no JSON."""
    with running_service(tmp_path, ACTIONS) as state:
        async with on_terminal("watch", "--state", state) as terminal:
            await terminal.until(r"Bedroom climate +Bedroom +4 s +21.3 °C, battery 87 %")
            assert await terminal.interrupt() == 0
            assert "{" not in terminal.text


def test_a_read_shows_that_the_clock_was_set(call, state):
    """How far it was off is said, because it is right afterwards."""
    result = call("read", "Bedroom", "--set-clock", "--state", state)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "clock set to local time; it was 83 s slow"


def test_coverage_shows_what_each_proxy_adds(call, state):
    """What is lost without a proxy, a proxy that adds nothing, and a device that no proxy hears."""
    lines = [" ".join(line.split()) for line in call("coverage", "--state", state).stdout.splitlines()]
    assert lines == [
        "210 frames in 7 d of listening",
        "proxy room devices frames lost without it",
        "hall-proxy Hall 1 10 adds nothing",
        "kitchen-proxy Kitchen 1 200 Bedroom climate 95 %",
        "",
        "device mac frames heard by",
        "Bedroom climate A4:C1:38:02:83:F4 200 kitchen-proxy 100 %, hall-proxy 5 %",
        "",
        f"no proxy hears: {HOSTILE}",
    ]


def test_watch_prints_json_lines_until_it_is_interrupted(tmp_path):
    """Readings as they come; Ctrl-C is a normal end."""
    with running_service(tmp_path, ACTIONS, talking=True):
        words = [sys.executable, "-m", "proxy_listener", "watch", "--state", str(tmp_path)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
            lines = [json.loads(watching.stdout.readline()) for _ in range(3)]
            watching.send_signal(signal.SIGINT)
            _, errors = watching.communicate(timeout=10)
    assert (watching.returncode, errors) == (0, "")
    first = lines[0]["counter"]
    assert [line["counter"] for line in lines] == [first, first + 1, first + 2]


LOST = """\
event: reading
id: 1
data: {"time":"x"}

event: gap
data: {"lost":7}

: quiet

event: unstored
id: 9
data: {"time":"y"}

"""


def test_watch_reports_a_gap_on_standard_error(call, tmp_path):
    """Standard output has readings only. The end of the service is status 69."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + LOST.encode())
        await writer.drain()
        writer.close()

    with answering(answer, tmp_path / "control.sock"):
        result = call("watch", "--state", tmp_path)
    assert result.exit_code == 69
    assert result.stdout.splitlines() == ['{"time":"x"}', '{"time":"y"}']
    assert result.stderr.splitlines() == [
        "7 readings were dropped: this reader is too slow; history has them",
        "the service stopped",
    ]
