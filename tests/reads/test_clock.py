"""LYWSD02 over real connections: on demand, scheduled as plants are, and its clock set only on demand."""

import asyncio
import time
from random import Random

import pytest
from support.plant_house import LIVE, LOG, ROOMS, ignore, plant_house, tried

from proxy_listener.reads import LogReport, ReadOptions
from proxy_listener.simulator import lywsd02_table as table
from proxy_listener.simulator.lywsd02 import ClockSensor

pytestmark = pytest.mark.mdns("listed")

CLOCK = 0xE72E01ABCDEF
SET = ReadOptions(set_clock=True)


def clock(product=0x045B, fast=0, **more):
    """A clock that is so many seconds fast; its zone is this machine's."""
    device = ClockSensor(CLOCK, product, time.time, step=0.001, interval=0.01, pace=0.001, **more)
    device.set_clock(time.time() + time.localtime().tm_gmtoff + fast)
    return device


def written(device):
    return [uuid for uuid, _ in device.writes if uuid != table.FIRST]


@pytest.mark.parametrize("product", [0x045B, 0x16E4, 0x2542])
async def test_each_product_is_read_on_demand(product):
    """Values and drift in one connection; nothing is written."""
    async with plant_house(ROOMS, clock=clock(product, fast=90)) as house:
        report = await house.reads.read_now(CLOCK, LIVE, ignore)
        assert report.ok, report
        device = house.sensors[CLOCK]
        assert report.values.items() >= device.live.items()
        assert report.values["clock_drift"] == pytest.approx(90, abs=2)
        assert report.firmware == "1.1.2_0042"
        assert report.clock is None
        assert written(device) == []
        assert [reading.source for reading in house.readings] == ["read"]
        assert await house.taken() == {}


async def test_the_clock_is_set_on_demand():
    """It is off before and right after, and the reading of that follows the one of the read."""
    async with plant_house(ROOMS, clock=clock(fast=-500)) as house:
        report = await house.reads.read_now(CLOCK, SET, ignore)
        assert report.ok, report
        assert report.clock.before == pytest.approx(-500, abs=2)
        assert abs(report.clock.after) <= 2
        assert written(house.sensors[CLOCK]) == [table.TIME]
        drifts = [reading.values["clock_drift"] for reading in house.readings]
        assert drifts == [report.values["clock_drift"], report.clock.after]


async def test_a_log_keeps_its_times_when_the_clock_is_set():
    """The log is fetched before the clock is set: its records are corrected by the drift that they were made with."""
    device = clock(fast=1800)
    device.fill_log(24, Random(3))
    offset = time.localtime().tm_gmtoff
    async with plant_house(ROOMS, clock=device) as house:
        report = await house.reads.read_now(CLOCK, ReadOptions(history=True, set_clock=True), ignore)
        assert report.log == LogReport(24, 24, 0, 0, True)
        logged = [reading for reading in house.readings if reading.source == "history"]
        due = [record.seconds - 1800 - offset for record in device.log]
        assert [reading.time for reading in logged] == [pytest.approx(at, abs=2) for at in due]
        assert logged[0].values["temperature_max"] == device.log[0].highest / 100
        assert report.clock.before == pytest.approx(1800, abs=2)


async def test_a_stubborn_clock_is_reported():
    """It confirms the new time and keeps its own: the read fails with that reason, the values are there."""
    device = clock(fast=-500)
    device.faults.stubborn = True
    async with plant_house(ROOMS, clock=device) as house:
        report = await house.reads.read_now(CLOCK, SET, ignore)
        assert not report.ok
        assert report.values["humidity"] == device.humidity
        assert report.clock is None
        assert {cause for _, cause in tried(report)} == {"refused_answer"}
        assert "s off after it was set" in report.attempts[-1].detail


async def test_a_plant_has_no_clock_that_can_be_set():
    """Refused before anything is connected."""
    async with plant_house(ROOMS) as house:
        (mac,) = house.sensors
        report = await house.reads.read_now(mac, SET, ignore)
        assert report.detail == "HHCCJCY01 has no clock that can be set"
        assert sum(air.opens for air in house.airs.values()) == 0


async def test_a_log_over_a_bad_link_and_again():
    """The link drops after each 40 records: all of them once; the second run stores nothing twice."""
    device = clock()
    device.fill_log(150, Random(3))
    device.faults.drop_after_records = 40
    async with plant_house(ROOMS, clock=device) as house:
        report = await house.reads.read_now(CLOCK, LOG, ignore)
        assert report.log == LogReport(150, 150, 0, 0, True)
        assert len(report.attempts) == 4
        again = await house.reads.read_now(CLOCK, LOG, ignore)
        assert again.log == LogReport(150, 0, 150, 0, True)
        logged = [reading.time for reading in house.readings if reading.source == "history"]
        assert len(logged) == len(set(logged)) == 150


async def test_a_clock_is_read_by_schedule():
    """Once when it is due and heard, then not again for a day; the missing hours come from its log; nothing is set."""
    device = clock(fast=60)
    device.fill_log(48, Random(3))
    async with plant_house(ROOMS, clock=device) as house:
        now = time.time()
        house.notes["log-checked/E7:2E:01:AB:CD:EF"] = str(now - 20 * 3600)
        house.hours = {int(now // 3600) - back for back in range(21) if not 3 <= back < 13}
        task = asyncio.create_task(house.reads.run())
        await house.recorded(2)
        await house.reads.idle(CLOCK)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        sources = [reading.source for reading in house.readings]
        assert sources.count("read") == 1
        assert 10 <= sources.count("history") <= 13
        plan = house.reads.plan(CLOCK)
        assert plan.due_at() - plan.read == pytest.approx(86_400)
        assert written(device) == []
