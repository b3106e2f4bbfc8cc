"""A LYWSD02 in a simulated house: read, and its clock set, through the verbs and the API of a running service."""

import asyncio
import json
import sys
import time

import pytest
import tomlkit
from support.service_house import until

from proxy_listener.config import load
from proxy_listener.service import service
from proxy_listener.simulator import lywsd02_table as table
from proxy_listener.simulator.devices import SimulatedDevice
from proxy_listener.simulator.house import House
from proxy_listener.simulator.profiles import PROFILES
from proxy_listener.sinks.prometheus import Metrics, Settings

pytestmark = pytest.mark.mdns("listed")

CLOCK = 0xE72E01ABCDEF
HOURS = 30


def house_with_a_clock():
    house = House("clock", 2, 0, neighbours=0)
    device = SimulatedDevice(CLOCK, PROFILES["clock"], "Kitchen clock", house.rooms[0].place, None)
    house = House("clock", house.rooms, [device], neighbours=0)
    sensor = house.sensors[CLOCK]
    sensor.step, sensor.interval, sensor.pace = 0.005, 0.05, 0.001
    sensor.set_clock(time.time() + time.localtime().tm_gmtoff + 300)
    while len(sensor.log) > HOURS:
        sensor.log.popleft()
    return house, sensor


async def test_read_history_and_clock(tmp_path):
    """Values, drift and log reach journal, live state and metrics; only --set-clock writes to the device."""
    house, sensor = house_with_a_clock()
    path, state = tmp_path / "devices.toml", tmp_path / "state"

    async def call(*words):
        verb = [sys.executable, "-m", "proxy_listener", *words, "--json", "--state", str(state)]
        process = await asyncio.create_subprocess_exec(*verb, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        assert process.returncode == 0, output
        return json.loads(output)

    async with house.running(announced=False):
        document = house.configuration(static=True)
        document["device"][0]["read"] = "24h"
        path.write_text(tomlkit.dumps(document))
        path.chmod(0o600)
        async with service(load(path), state) as running:
            await until(lambda: running.journal.reader.latest(CLOCK).keys() >= {"temperature", "humidity"})
            await house.stop_sending()  # it measures what it advertises, and here it has to stay the same

            candidates = await call("route", "Kitchen clock")
            assert [each["chosen"] for each in candidates] == [True, False]

            result = await call("read", "Kitchen clock", "--history")
            assert result["ok"], result
            assert result["values"].items() >= sensor.live.items()
            assert result["values"]["clock_drift"] == pytest.approx(300, abs=2)
            assert (result["log"]["stored"], result["log"]["complete"]) == (HOURS, True)
            assert result["clock"] is None
            (listed,) = await call("devices")
            assert listed["values"]["battery"]["value"] == sensor.battery
            assert listed["values"]["clock_drift"]["value"] == pytest.approx(300, abs=2)
            _, metrics = Metrics(running.view, running.journal, Settings()).exposition()
            sample = f'xiaomi_ble_battery_ratio{{mac="E7:2E:01:AB:CD:EF",name="Kitchen clock"}} {sensor.battery / 100}'
            assert sample in metrics.decode()

            result = await call("read", "Kitchen clock", "--set-clock")
            assert result["ok"], result
            assert result["clock"]["before"] == pytest.approx(300, abs=2)
            assert [uuid for uuid, _ in sensor.writes if uuid == table.TIME] == [table.TIME]

            await running.journal.flush()
            rows = [row.reading async for row in running.journal.reader.export(CLOCK)]
            latest = running.journal.reader.latest(CLOCK)
    logged = {row.time: row.values for row in rows if row.source == "history"}
    offset = time.localtime().tm_gmtoff
    assert len(logged) == HOURS
    assert [row["temperature_max"] for row in logged.values()] == [record.highest / 100 for record in sensor.log]
    assert min(logged) == pytest.approx(sensor.log[0].seconds - 300 - offset, abs=2)
    assert [row.source for row in rows].count("read") == 3
    assert latest["battery"].value == sensor.battery
    assert abs(latest["clock_drift"].value) <= 2
