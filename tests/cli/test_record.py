"""The verb record, through the running service and without one."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.mdns("listed")


def test_record_copies_the_services_stream(call, state, tmp_path):
    """Line by line."""
    result = call("record", "-o", tmp_path / "capture.jsonl", "--state", state)
    assert result.exit_code == 0
    assert (tmp_path / "capture.jsonl").read_text(encoding="utf-8") == '{"time":1.0}\n{"time":2.0}\n'


def test_record_connects_where_no_service_runs(config_file, tmp_path):
    """The proxy does not answer within one second: an empty capture and status 0."""
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
