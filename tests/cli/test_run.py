"""run, demo, replay and record, as a user starts them."""

import json
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.mdns("shared")

CAPTURE = (
    '{"time":1795370645.123,"proxy":"bedroom-proxy","mac":"A4:C1:38:02:83:F4","address_type":"public","rssi":-61,'
    '"data":"0201061a1695fe58585b0550f4830238c1a495ef58763c26000097e2abb5"}\n'
)
LINE = (
    '{"time":"2026-11-22T18:04:05.123Z","mac":"A4:C1:38:02:83:F4","name":"Bedroom climate","model":"LYWSD03MMC",'
    '"source":"advertisement","proxy":"bedroom-proxy","room":"Bedroom","rssi":-61,"counter":9808,"trust":"authenticated",'
    '"late":false,"values":{"humidity":46.7},"events":[]}\n'
)


@pytest.fixture
def house(tmp_path):
    path = tmp_path / "devices.toml"
    path.write_text(
        """
[discovery]
accept = "listed"
interfaces = ["127.0.0.1"]
[[proxy]]
name = "bedroom-proxy"
room = "Bedroom"
host = "127.0.0.1"
port = 9
[[device]]
mac = "A4:C1:38:02:83:F4"
name = "Bedroom climate"
bindkey = "e9ea895fac7cca6d30532432a516f3a8"
""",
        encoding="utf-8",
    )
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("way", ["file", "standard input", "file of the found configuration"])
def test_replay_gives_the_reading_exactly(call, house, tmp_path, way):
    """Standard output is the reading and nothing else; the summary is on standard error."""
    path = tmp_path / "capture.jsonl"
    path.write_text(CAPTURE * 3, encoding="utf-8")
    if way == "file":
        result = call("replay", path, "-c", house)
    elif way == "standard input":
        result = call("replay", "-", "-c", house, given=CAPTURE * 3)
    else:
        result = call("replay", path)
    assert (result.exit_code, result.stdout) == (0, LINE)
    assert "3 advertisements, 1 readings" in result.stderr


def test_replay_with_a_state_is_a_restart(call, house, tmp_path):
    """What was read once is not read again; without --state it is."""
    path = tmp_path / "capture.jsonl"
    path.write_text(CAPTURE, encoding="utf-8")
    words = ["replay", path, "-c", house, "--state", tmp_path / "state"]
    assert [call(*words).stdout, call(*words).stdout] == [LINE, ""]


def test_replay_says_once_that_the_history_of_a_used_state_is_gone(call, house, tmp_path):
    """What was read is new once more; nothing is said of a state that is new."""
    path = tmp_path / "capture.jsonl"
    path.write_text(CAPTURE, encoding="utf-8")
    words = ["replay", path, "-c", house, "--state", tmp_path / "state"]
    first = call(*words)
    (tmp_path / "state" / "history.db").unlink()
    after = [call(*words) for _ in range(2)]
    assert [result.stderr.count("history is lost") for result in (first, *after)] == [0, 1, 0]
    assert [result.stdout for result in (first, *after)] == [LINE, LINE, ""]


def test_replay_of_what_is_no_capture_fails_in_words(call, house, tmp_path):
    """A file that is missing, and one in which no line is an advertisement."""
    assert call("replay", tmp_path / "no.jsonl", "-c", house).exit_code == 1
    (tmp_path / "x").write_text("hello\n", encoding="utf-8")
    result = call("replay", tmp_path / "x", "-c", house)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "x:1: not JSON" in result.stderr


def test_run_waits_for_its_proxies_and_leaves_when_told(house, tmp_path):
    """Nobody answers: it says so and goes on; a second one is refused, told of the first; SIGTERM is a normal end."""
    words = [sys.executable, "-m", "proxy_listener", "run", "-c", str(house), "--state", str(tmp_path / "state")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
        try:
            assert any("bedroom-proxy" in line for line in first.stderr)
            second = subprocess.run(words, capture_output=True, text=True, check=False)
        finally:
            first.send_signal(signal.SIGTERM)
            output, errors = first.communicate(timeout=10)
    assert (first.returncode, output) == (0, "")
    assert "Traceback" not in errors
    assert second.returncode == 1
    assert (
        second.stderr.splitlines()[-1] == f"process {first.pid} already runs with the state directory {tmp_path}/state"
    )


def test_demo_loses_nothing_and_says_nothing_twice(tmp_path):
    """A short one, with JSON Lines on standard output and the comparison with the truth on standard error."""
    words = [sys.executable, "-m", "proxy_listener", "demo", "--seconds", "2", "--rooms", "2", "--devices", "4"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    readings = [json.loads(line) for line in done.stdout.splitlines()]
    summary = done.stderr.splitlines()[-6:]
    assert [line.rsplit(maxsplit=1)[0] for line in summary][-2:] == ["lost", "twice"]
    assert {line.split()[-1] for line in summary[-2:]} == {"0"}
    assert int(summary[2].split()[-1]) == len(readings)


def test_record_without_a_service_connects_by_itself(house, tmp_path):
    """Nobody answers within its second: an empty capture and a normal end."""
    path = tmp_path / "capture.jsonl"
    words = [sys.executable, "-m", "proxy_listener", "record", "-c", str(house), "--state", str(tmp_path / "state")]
    done = subprocess.run([*words, "--seconds", "1", "-o", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, path.read_text(encoding="utf-8")) == (0, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_not_taken_for_another_file(tmp_path, closed):
    """Readings meant for a standard output that is closed do not end up in the history's file."""
    file, state = tmp_path / "capture.jsonl", tmp_path / "state"
    file.write_text(CAPTURE * 3, encoding="utf-8")
    words = [sys.executable, "-m", "proxy_listener", "replay", file, "--state", state]
    assert subprocess.run(["bash", "-c", f'exec "$@" {closed}', "bash", *words], check=False).returncode == 0
    assert subprocess.run(words, check=False, capture_output=True).returncode == 0
    assert not list(state.glob("*damaged*"))
