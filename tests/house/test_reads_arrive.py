"""What a read brings is at once in every view and every sink, in a simulated house with one plant.

The plant advertises no battery and no firmware version, so these come from the read alone.
"""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import asynccontextmanager

import attrs
import pytest
import tomlkit
from click.testing import CliRunner
from support.background import in_thread
from support.fake_broker import FakeBroker
from support.service_house import until

from proxy_listener.cli import main
from proxy_listener.config import load
from proxy_listener.service import service
from proxy_listener.simulator.devices import SimulatedDevice
from proxy_listener.simulator.house import House
from proxy_listener.simulator.profiles import PROFILES

pytestmark = pytest.mark.mdns("listed")

PLANT = 0xC47C8D6A0001
MAC = "C4:7C:8D:6A:00:01"
NAME = "Kitchen plant"
BATTERY = 73


@attrs.frozen
class Running:
    """A service that has read its plant."""

    state: object
    page: str
    broker: FakeBroker
    lines: object

    def call(self, *words):
        result = CliRunner().invoke(main, [*map(str, words), "--json", "--state", str(self.state)])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def get(self, path):
        with urllib.request.urlopen(self.page + path) as answer:
            return answer.read().decode()


@asynccontextmanager
async def service_with_a_plant(directory):
    rooms = House("plant", 2, 0, neighbours=0).rooms
    house = House("plant", rooms, [SimulatedDevice(PLANT, PROFILES["plant"], NAME, rooms[0].place, None)], neighbours=0)
    house.sensors[PLANT].battery, house.sensors[PLANT].step = BATTERY, 0.005
    with socket.create_server(("127.0.0.1", 0)) as probe:
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    path, lines = directory / "devices.toml", directory / "lines"
    async with FakeBroker().serving() as broker, house.running(announced=False):
        document = house.configuration(static=True)
        document["device"][0]["read"] = "1h"
        document["web"] = {"listen": listen}
        document["sink"] = {"prometheus": {}, "mqtt": {"port": broker.port}, "jsonl": {"path": str(lines)}}
        path.write_text(tomlkit.dumps(document))
        path.chmod(0o600)
        async with service(load(path), directory / "state") as running:
            await until(lambda: running.journal.reader.latest(PLANT).keys() >= {"temperature"})
            await broker.until(1, "/device/")
            yield Running(directory / "state", f"http://{listen}/", broker, lines)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with in_thread(service_with_a_plant(tmp_path_factory.mktemp("house"))) as house:
        assert house.call("read", NAME)["values"]["battery"] == BATTERY
        yield house


def soon(condition):
    """Outputs follow the commit, which takes a moment."""
    end = time.monotonic() + 20.0
    while not (found := condition()):
        assert time.monotonic() < end, "it did not arrive"
        time.sleep(0.02)
    return found


def test_in_the_api_and_so_on_the_page(running):
    (listed,) = json.loads(running.get("devices"))
    one = json.loads(running.get(f"devices/{MAC}"))
    for device in (listed, one):
        assert device["values"]["battery"]["value"] == BATTERY
        assert device["values"]["firmware"]["value"] == "3.2.1"


def test_in_the_verbs_devices_and_history(running):
    assert running.call("devices")[0]["values"]["battery"]["value"] == BATTERY
    read = soon(lambda: [one for one in running.call("history", NAME) if one["source"] == "read"])
    assert read[0]["values"]["battery"] == BATTERY


def test_in_the_metrics(running):
    sample = f'xiaomi_ble_battery_ratio{{mac="{MAC}",name="{NAME}"}} {BATTERY / 100}'
    soon(lambda: sample in running.get("metrics"))
    assert 'proxy_listener_reads_total{result="ok"}' in running.get("metrics")


def test_in_mqtt_and_announced_to_home_assistant(running):
    def told():
        return [
            (topic, payload)
            for topic, payload, retained in running.broker.published
            if retained and topic.startswith("proxy-listener/") and "battery" in topic + payload
        ]

    _, payload = soon(told)[-1]
    assert str(BATTERY) in payload
    announced = soon(lambda: [json.loads(one) for one in running.broker.payloads("homeassistant/") if "battery" in one])
    assert announced[-1]["cmps"]["battery"]["device_class"] == "battery"


def test_in_the_json_lines(running):
    def read():
        return [line for line in map(json.loads, running.lines.read_text().splitlines()) if line["source"] == "read"]

    assert soon(read)[0]["values"]["battery"] == BATTERY


def test_in_watch_and_in_the_stream_of_the_page_as_it_comes(running):
    """Both follow ``/events``."""
    words = [sys.executable, "-m", "proxy_listener", "watch", "--state", str(running.state)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watching:
        try:
            assert json.loads(watching.stdout.readline())["mac"] == MAC
            running.call("read", NAME)
            found = next(line for line in map(json.loads, watching.stdout) if line["source"] == "read")
        finally:
            watching.kill()
    assert found["values"]["battery"] == BATTERY


@pytest.mark.browser
def test_on_the_page_in_a_browser(running):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(running.page)
        row = page.get_by_role("row").filter(has_text=NAME)
        row.get_by_text(str(BATTERY)).wait_for(timeout=10_000)
        browser.close()
