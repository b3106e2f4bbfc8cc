"""record: through the running service, and without one."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.mdns("listed")


def test_record_takes_the_service_s_stream(call, state, tmp_path):
    """The capture lines as they come."""
    result = call("record", "-o", tmp_path / "capture.jsonl", "--state", state)
    assert result.exit_code == 0
    assert (tmp_path / "capture.jsonl").read_text(encoding="utf-8") == '{"time":1.0}\n{"time":2.0}\n'


def test_record_without_a_service_connects_by_itself(config_file, tmp_path):
    """Nobody answers within its second: an empty capture and a normal end."""
    path = tmp_path / "capture.jsonl"
    words = [
        sys.executable,
        "-m",
        "proxy_listener",
        "record",
        "-c",
        str(config_file),
        "--state",
        str(tmp_path / "state"),
    ]
    done = subprocess.run([*words, "--seconds", "1", "-o", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, path.read_text(encoding="utf-8")) == (0, "")
    assert "Traceback" not in done.stderr
