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


def test_record_overwrites_nothing_and_its_file_is_private(call, state, tmp_path):
    """One line says what to do. Where it fails before the first line, no file stays."""
    path = tmp_path / "capture.jsonl"
    assert call("record", "-o", path, "--state", state).exit_code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    result = call("record", "-o", path, "--state", state)
    assert (result.exit_code, path.read_bytes()) == (1, before)
    assert result.stderr == f"{path} exists and is not overwritten; name another file, or remove it\n"
    failed = call("record", "-o", tmp_path / "new.jsonl", "-c", tmp_path / "none.toml", "--state", tmp_path / "no")
    assert (failed.exit_code, (tmp_path / "new.jsonl").exists()) == (78, False)
