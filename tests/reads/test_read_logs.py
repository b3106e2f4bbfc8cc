"""A plant sensor's log over real connections: all of it, each entry once, also if the link is lost."""

import asyncio
import time
from random import Random

import pytest
from support.plant_house import LOG, PLANT, ROOMS, Notes, ignore, plant_house, tried

from proxy_listener.reads import LogReport

pytestmark = pytest.mark.mdns("listed")


def log_of(sensor):
    """Wall time and moisture of every entry, newest first."""
    boot = time.time() - sensor.clock
    return [(boot + entry.seconds, entry.moisture) for entry in sensor.log]


def same(readings, entries):
    assert [reading.values["moisture"] for reading in readings] == [moisture for _, moisture in entries]
    assert all(abs(reading.time - at) <= 2 for reading, (at, _) in zip(readings, entries, strict=True))


async def test_a_log_of_300_entries_over_a_bad_link():
    """The link drops every 20 entries: all 300 are stored once, with the right times; the log is not erased."""
    async with plant_house(ROOMS) as house:
        sensor = house.sensors[PLANT]
        sensor.fill_log(300, Random(5))
        sensor.faults.drop_after_entries = 20
        steps = []
        report = await house.reads.read_now(PLANT, LOG, steps.append)
        assert report.ok, report
        assert report.log == LogReport(300, 300, 0, 0, True)
        # The last drop and the last entry are at the same moment, and either may be the first.
        assert len(report.attempts) in {15, 16}
        logged = [reading for reading in house.readings if reading.source == "history"]
        same(logged, log_of(sensor))
        assert len({reading.time for reading in logged}) == 300
        assert (steps[-1].done, steps[-1].total) == (300, 300)
        assert len(house.readings) == 301
        assert not sensor.erased
        assert await house.taken() == {}


async def test_the_login_keeps_the_link():
    """Without the login the sensor hangs up after a moment; with it one connection fetches the whole log."""
    async with plant_house(ROOMS) as house:
        sensor = house.sensors[PLANT]
        sensor.fill_log(200, Random(5))
        sensor.link_limit = 0.25
        report = await house.reads.read_now(PLANT, LOG, ignore)
        assert report.log == LogReport(200, 200, 0, 0, True)
        assert tried(report) == [("kitchen", "")]
        assert report.attempts[0].seconds > 0.3
        assert sensor.logins == 1


async def test_the_log_again():
    """A second download stores nothing twice and asks for the newest entry only."""
    async with plant_house(ROOMS) as house:
        house.sensors[PLANT].fill_log(30, Random(5))
        await house.reads.read_now(PLANT, LOG, ignore)
        steps = []
        report = await house.reads.read_now(PLANT, LOG, steps.append)
        assert report.log == LogReport(30, 0, 30, 0, True)
        assert [(step.done, step.total) for step in steps if step.total] == [(0, 30), (30, 30)]
        assert len([reading for reading in house.readings if reading.source == "history"]) == 30


async def test_a_download_with_setbacks():
    """Failures do not end a download while it advances between them; three in a row would."""
    async with plant_house({"kitchen": -60.0}) as house:
        house.sensors[PLANT].fill_log(60, Random(5))
        house.sensors[PLANT].faults.drop_after_entries = 20
        house.airs["kitchen"].faults = [None, "133", "133", None, "133", "133", None]
        report = await house.reads.read_now(PLANT, LOG, ignore)
        assert report.log == LogReport(60, 60, 0, 0, True)
        assert len(report.attempts) == 7


async def test_a_download_that_gets_nowhere():
    """Three connections in a row without an entry end it; the report has the number of entries."""
    async with plant_house({"kitchen": -60.0}) as house:
        house.sensors[PLANT].fill_log(30, Random(5))
        house.sensors[PLANT].faults.drop_after_entries = 0
        report = await house.reads.read_now(PLANT, LOG, ignore)
        assert not report.ok
        assert report.values["battery"] == 97
        assert report.log == LogReport(30, 0, 0, 0, False)
        assert report.detail == "3 connections in a row brought nothing"
        assert len(report.attempts) == 4


async def test_a_gap_is_filled_by_itself():
    """The service was down for ten hours: the next scheduled read fetches them from the sensor, and no more."""
    async with plant_house(ROOMS) as house:
        sensor, now = house.sensors[PLANT], time.time()
        sensor.fill_log(300, Random(5))
        house.notes["log-checked/C4:7C:8D:6A:00:01"] = str(now - 20 * 3600)
        house.hours = {int(now // 3600) - back for back in range(21)} - {
            int(now // 3600) - back for back in range(3, 13)
        }
        start = (now // 3600 - 12) * 3600
        expected = [row for row in log_of(sensor) if row[0] >= start]
        task = asyncio.create_task(house.reads.run())
        await house.recorded(1 + len(expected))
        await house.reads.idle(PLANT)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        same([reading for reading in house.readings if reading.source == "history"], expected)
        assert float(house.notes["log-checked/C4:7C:8D:6A:00:01"]) >= now


async def test_a_kill_during_a_download():
    """What was fetched before a kill is not asked of the sensor again: the next download continues there."""
    async with plant_house(ROOMS) as house:
        sensor = house.sensors[PLANT]
        sensor.fill_log(100, Random(5))
        kept, asked = Notes(), []

        def killed_after_40(step):
            if step.done == 40:
                kept.update(house.notes)

        await house.reads.read_now(PLANT, LOG, killed_after_40)
        house.notes = kept
        house.readings = [reading for reading in house.readings if reading.source == "history"][:40]
        house.start_reads()
        report = await house.reads.read_now(PLANT, LOG, lambda step: asked.append(step.done))
        assert report.log == LogReport(100, 60, 40, 0, True)
        assert len(set(asked)) == 62  # none, the newest and with it all 40, and 60 more
        logged = [reading for reading in house.readings if reading.source == "history"]
        same(logged, log_of(sensor))
