"""The verb demo, as a user starts it."""

import json
import re
import subprocess
import sys

import aiohttp
import attrs
import pytest
from support.control_service import reading
from support.terminal import on_terminal

from proxy_listener.cli.client import connected
from proxy_listener.cli.demo_summary import DemoResult, read_in_words
from proxy_listener.simulator.comparison import Comparison
from proxy_listener.simulator.ground_truth import SentFrame

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


FRAME = SentFrame(0xA4C1380283F4, 1.0, 7, {"temperature": 21.3}, (), b"")
GOOD = Comparison(frames=9, heard=8, readings=8, lost=(), twice=(), false=())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, PERFECT),
        ({"heard": 0}, "No room heard a frame."),
        ({"lost": (FRAME,)}, "Not every frame became one reading: 1 heard without a reading."),
        (
            {"twice": (reading(1), reading(2)), "false": (reading(3),)},
            "Not every frame became one reading: 2 read twice, 1 readings of nothing on air.",
        ),
    ],
)
def test_the_last_sentence_promises_only_what_happened(changes, sentence):
    outcomes = {"not_ours": 5, "decoded": 8, "repeat": 30, "empty": 0, "not_admitted": 2}
    result = DemoResult(attrs.evolve(GOOD, **changes), live=2, proxies=2, outcomes=outcomes)
    lines = list(result.lines())
    assert lines[-1] == sentence
    assert lines[0] == "2 of 2 proxies sent 45 advertisements:"
    assert "      2 others: not admitted 2" in lines


def test_a_read_that_failed_is_said_with_its_cause():
    result = {"ok": False, "detail": "every route failed", "candidates": [], "values": {}}
    assert read_in_words("Hall plant", result) == ["Hall plant was not read: every route failed"]
