"""The verb demo, as a user starts it."""

import json
import re
import subprocess
import sys

import aiohttp
import pytest
from support.terminal import on_terminal

from proxy_listener.cli.client import connected

pytestmark = pytest.mark.mdns("shared")

PERFECT = "Every frame that any room heard became one reading."


def test_a_demo_loses_and_repeats_nothing(tmp_path):
    """JSON Lines are on standard output, the comparison with the truth on standard error."""
    words = [sys.executable, "-m", "proxy_listener", "demo", "--seconds", "2", "--rooms", "2", "--devices", "2"]
    done = subprocess.run([*words, "--no-page"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    readings = [json.loads(line) for line in done.stdout.splitlines()]
    errors = done.stderr.splitlines()
    assert errors[0].startswith("in another terminal: proxy-listener devices --state /")
    assert "http://" not in done.stderr
    assert errors[-1] == PERFECT
    became = next(line for line in errors if "became a reading" in line)
    assert int(became.split()[0]) == len(readings) > 0


async def test_a_plant_is_read_and_the_page_and_the_verbs_show_it(tmp_path):
    """On a terminal, while the demo runs: through whom and why is in the table; what the read brought is in the page's
    answer and in a verb's; the summary counts it, and the state directory stays.
    """
    state = tmp_path / "state"
    words = ("demo", "--rooms", "2", "--devices", "3", "--seconds", "0", "--state", state)
    async with on_terminal(*words) as terminal:
        page = (await terminal.until(r"page: (http://127\.0\.0\.1:\d+/)"))[1]
        found = await terminal.until(r"read (.+?) through (\S+): battery (\d+) %")
        await terminal.until(r"why: -\d+ dBm, (best of 2 that can connect; .+ dB behind|the only one that can)")
        name, proxy, battery = found.groups()
        async with aiohttp.ClientSession() as session, session.get(page + "devices") as answer:
            devices = {device["name"]: device for device in await answer.json()}
        async with connected(state) as client:
            mac = (await client.device(name))["mac"]
            history = await client.get(f"/devices/{mac}/readings")
        assert await terminal.interrupt() == 0
        end = terminal.text
    assert devices[name]["values"]["battery"]["value"] == int(battery)
    (read,) = [reading for reading in history if reading["source"] == "read"]
    assert (read["proxy"], read["values"]["battery"]) == (proxy, int(battery))
    assert re.search(rf"1 read over a connection: {name} through {proxy}\n", end)
    assert PERFECT in end
    assert {"devices.toml", "history.db"} <= {file.name for file in state.iterdir()}


def test_a_simulated_house_does_not_come_among_real_readings(call, tmp_path):
    (tmp_path / "history.db").write_text("precious")
    result = call("demo", "--state", tmp_path)
    assert result.exit_code == 1
    assert "needs a directory of its own" in result.stderr
    assert (tmp_path / "history.db").read_text() == "precious"
