"""The verb demo, as a user starts it."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.mdns("shared")


def test_a_demo_loses_and_repeats_nothing(tmp_path):
    """JSON Lines are on standard output, the comparison with the truth on standard error."""
    words = [sys.executable, "-m", "proxy_listener", "demo", "--seconds", "2", "--rooms", "2", "--devices", "4"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    readings = [json.loads(line) for line in done.stdout.splitlines()]
    summary = done.stderr.splitlines()[-6:]
    assert [line.rsplit(maxsplit=1)[0] for line in summary][-2:] == ["lost", "twice"]
    assert {line.split()[-1] for line in summary[-2:]} == {"0"}
    assert int(summary[2].split()[-1]) == len(readings)
