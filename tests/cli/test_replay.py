"""The verb replay, as a user starts it."""

import json
import subprocess
import sys
from datetime import datetime
from itertools import pairwise

import pytest

from proxy_listener.model.advertisement import mac_text
from proxy_listener.simulator import frames

KEY, BUTTON, PLAIN = "e9ea895fac7cca6d30532432a516f3a8", 0xA4C1380283F4, 0x582D34112233
STARTED = 1_795_370_645.0

CAPTURE = (
    '{"time":1795370645.123,"proxy":"bedroom-proxy","mac":"A4:C1:38:02:83:F4","address_type":"public","rssi":-61,'
    '"data":"0201061a1695fe58585b0550f4830238c1a495ef58763c26000097e2abb5"}\n'
)
LINE = (
    '{"time":"2026-11-22T18:04:05.123Z","mac":"A4:C1:38:02:83:F4","name":"Bedroom climate","model":"LYWSD03MMC",'
    '"source":"advertisement","proxy":"bedroom-proxy","room":"Bedroom","rssi":-61,"counter":9808,"trust":"authenticated",'
    '"late":false,"values":{"humidity":46.7},"events":[]}\n'
)


@pytest.mark.parametrize("way", ["file", "standard input", "file of the found configuration"])
def test_replay_prints_the_reading(call, config_file, tmp_path, way):
    """Standard output has the reading and nothing else; the summary is on standard error."""
    path = tmp_path / "capture.jsonl"
    path.write_text(CAPTURE * 3, encoding="utf-8")
    if way == "file":
        result = call("replay", path, "-c", config_file)
    elif way == "standard input":
        result = call("replay", "-", "-c", config_file, given=CAPTURE * 3)
    else:
        result = call("replay", path)
    assert (result.exit_code, result.stdout) == (0, LINE)
    assert "3 advertisements, 1 readings" in result.stderr


def test_replay_with_a_state_continues_its_history(call, config_file, tmp_path):
    """A reading that is stored is not repeated."""
    path = tmp_path / "capture.jsonl"
    path.write_text(CAPTURE, encoding="utf-8")
    words = ["replay", path, "-c", config_file, "--state", tmp_path / "state"]
    assert [call(*words).stdout, call(*words).stdout] == [LINE, ""]


def test_replay_warns_once_that_a_history_is_lost(call, config_file, tmp_path):
    """Its readings are new again. A new state directory gives no warning."""
    path = tmp_path / "capture.jsonl"
    path.write_text(CAPTURE, encoding="utf-8")
    words = ["replay", path, "-c", config_file, "--state", tmp_path / "state"]
    first = call(*words)
    (tmp_path / "state" / "history.db").unlink()
    after = [call(*words) for _ in range(2)]
    assert [result.stderr.count("history is lost") for result in (first, *after)] == [0, 1, 0]
    assert [result.stdout for result in (first, *after)] == [LINE, LINE, ""]


def heard(path, frames_at):
    """A capture of ``(seconds, mac, payload)``."""
    with path.open("w", encoding="utf-8") as file:
        for seconds, mac, payload in frames_at:
            line = {"time": STARTED + seconds, "proxy": "bedroom-proxy", "mac": mac_text(mac), "rssi": -61}
            line |= {"address_type": "public", "data": frames.advertisement(payload).hex()}
            file.write(json.dumps(line) + "\n")


def test_a_button_fires_after_its_battery_was_changed(call, config_file, tmp_path):
    """Five presses, 30 s without a battery, five presses whose counter begins at zero: no line says late."""
    path, pressed = tmp_path / "capture.jsonl", frames.obj(0x4E0C, b"")
    times = [*range(0, 50, 10), *range(70, 120, 10)]
    counters = [*range(5000, 5005), *range(5)]
    heard(
        path,
        [
            (time, BUTTON, frames.frame(0x2387, n & 255, pressed, mac=BUTTON, key=bytes.fromhex(KEY), extended=n >> 8))
            for time, n in zip(times, counters, strict=True)
        ],
    )
    readings = [json.loads(line) for line in call("replay", path, "-c", config_file).stdout.splitlines()]
    assert [(reading["counter"], reading["late"], len(reading["events"])) for reading in readings] == [
        (counter, False, 1) for counter in counters
    ]


def test_an_unchanged_value_leaves_no_gap_in_the_history(call, config_file, tmp_path):
    """A plain sensor whose counter steps every second, for two hours, and a service restart in between."""
    path, value = tmp_path / "capture.jsonl", frames.obj(0x1004, b"\xd7\x00")
    for begin in (0, 3600):
        seconds = range(begin, begin + 3600)
        heard(path, [(n, PLAIN, frames.frame(0x01AA, n & 255, value, mac=PLAIN, version=4)) for n in seconds])
        out = call("replay", path, "-c", config_file, "--state", tmp_path / "state").stdout
        rows = [datetime.fromisoformat(json.loads(line)["time"]).timestamp() - STARTED for line in out.splitlines()]
        assert max(later - row for row, later in pairwise([begin, *rows, begin + 3600])) <= 900


def test_replay_of_a_file_that_is_no_capture_fails(call, config_file, tmp_path):
    """A missing file, and a file in which no line is an advertisement."""
    assert call("replay", tmp_path / "no.jsonl", "-c", config_file).exit_code == 1
    (tmp_path / "x").write_text("hello\n", encoding="utf-8")
    result = call("replay", tmp_path / "x", "-c", config_file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "x:1: not JSON" in result.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_does_not_damage_the_history(tmp_path, closed):
    """Output for a closed standard output must not be written into the database."""
    file, state = tmp_path / "capture.jsonl", tmp_path / "state"
    file.write_text(CAPTURE * 3, encoding="utf-8")
    words = [sys.executable, "-m", "proxy_listener", "replay", file, "--state", state]
    assert subprocess.run(["bash", "-c", f'exec "$@" {closed}', "bash", *words], check=False).returncode == 0
    assert subprocess.run(words, check=False, capture_output=True).returncode == 0
    assert not list(state.glob("*damaged*"))
