"""The verb replay, as a user starts it."""

import subprocess
import sys

import pytest

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
