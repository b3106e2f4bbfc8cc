"""The verb run, as a user starts it."""

import re
import signal
import subprocess
import sys

import pytest
from support.terminal import on_terminal

from proxy_listener.state import single_instance

pytestmark = pytest.mark.mdns("listed")


def test_run_waits_for_its_proxies_and_ends_on_sigterm(config_file, tmp_path):
    """The proxy does not answer, which is logged. A second service is refused with the first one's process id."""
    words = [sys.executable, "-m", "proxy_listener", "run", "-c", str(config_file), "--state", str(tmp_path / "state")]
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


async def test_run_on_a_terminal_shows_the_table_with_the_log_below_and_leaves_the_log(config_file, tmp_path):
    """JSON Lines are for pipes. At the end every log line is there as a whole."""
    async with on_terminal("run", "-c", config_file, "--state", tmp_path / "state") as terminal:
        await terminal.until(
            r"Bedroom climate +A4:C1:38:02:83:F4 .*waiting(?s:.*)\d\d:\d\d:\d\d info +listening  proxies=1"
        )
        assert await terminal.interrupt() == 0
        assert re.search(r"\d{4}-\d\d-\d\dT\S+Z info +stopped\n$", terminal.text)


async def test_a_second_run_on_a_terminal_shows_why_it_ends_and_no_table(config_file, tmp_path):
    with single_instance(tmp_path / "state"):
        async with on_terminal("run", "-c", config_file, "--state", tmp_path / "state") as terminal:
            await terminal.until("already runs with the state directory")
            assert await terminal.process.wait() == 1
            assert "values" not in terminal.text
