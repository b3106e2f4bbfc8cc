"""The whole engine over a house whose proxies fail one after the other, held against what was on air."""

import asyncio
import os
from pathlib import Path
from random import Random

import attrs
import pytest
import tomlkit

from proxy_listener.app import service
from proxy_listener.config import load
from proxy_listener.simulator.comparison import compare
from proxy_listener.simulator.faults import chaos
from proxy_listener.simulator.house import House
from proxy_listener.simulator.scene import Attack

IN_FLIGHT = 1.0
"""Seconds around a fault in which what one proxy alone heard may lie in a buffer that nobody reads again."""


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    ("rooms", "devices", "count", "every", "lasting"),
    [(3, 12, 5, 0.6, 0.8), pytest.param(8, 40, 40, 10.0, 15.0, marks=pytest.mark.long)],
)
async def test_nothing_is_lost_or_told_twice_while_proxies_fail(tmp_path, rooms, devices, count, every, lasting):
    """Under replays, forgeries and faults of every kind: 0 lost beyond what no room heard, 0 twice, 0 made up.

    Afterwards as many tasks and files are open as before.
    """
    house = House(
        33,
        rooms,
        devices,
        attack=Attack(replays=7_200, forgeries=7_200),
        instance=f"soak-{os.getpid()}-{rooms}",
    )
    path = Path(tmp_path) / "devices.toml"
    path.touch(mode=0o600)
    path.write_text(tomlkit.dumps(house.configuration()))
    faults, readings, first, enough = [], [], asyncio.Event(), asyncio.Event()

    def record(fault):
        faults.append(fault)
        if len(faults) >= count:
            enough.set()

    tasks, files = len(asyncio.all_tasks()), open_files()
    async with house.running():
        async with service(attrs.evolve(load(path), sinks={}), Path(tmp_path) / "state") as running:
            collecting = asyncio.create_task(collect(running.journal.feed(100_000), readings, first))
            await first.wait()
            failing = asyncio.create_task(chaos(house, Random(5), every=every, lasting=lasting, record=record))
            await enough.wait()
            failing.cancel()
            await asyncio.gather(failing, return_exceptions=True)
            await house.fall_silent()
            await asyncio.sleep(IN_FLIGHT)
        await collecting
    result = compare(house.truth, readings, unreadable={device.mac for device in house.neighbours})
    assert result.heard > 5
    assert [frame for frame in result.lost if not in_flight(frame, faults)] == []
    assert result.twice == ()
    assert result.false == ()
    assert len(asyncio.all_tasks()) <= tasks
    assert open_files() <= files + 1  # the history's lock may be closed by the next collection


def in_flight(frame, faults):
    return all(
        any(fault.room == room and fault.start - IN_FLIGHT <= frame.time <= fault.end + IN_FLIGHT for fault in faults)
        for room in frame.heard
    )


async def collect(feed, readings, first):
    async for row in feed:
        readings.append(row.reading)
        first.set()
