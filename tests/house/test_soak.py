"""The whole engine over a house whose proxies fail one after the other, held against what was on air."""

import asyncio
import os
import pickle
import resource
import time
from array import array
from collections import Counter
from pathlib import Path

import attrs
import pytest
import tomlkit
from support.house_process import Plan, house_process

from proxy_listener.config import load
from proxy_listener.proxies.coalesce import event_loop
from proxy_listener.service import service
from proxy_listener.simulator.comparison import compare

pytestmark = pytest.mark.mdns("shared")

IN_FLIGHT = 1.0
"""Seconds around a fault in which frames of one proxy may be in a socket buffer that is never read."""
MINUTE_LONG = frozenset({"rekey"})
"""After a refused key a proxy is left alone for a minute, however short the test."""
SHORT = Plan(
    3, 12, pace=300.0, count=8, every=0.4, lasting=0.6, leave_out=MINUTE_LONG, instance=f"soak-{os.getpid()}-short"
)
LONG = Plan(8, 40, pace=240.0, count=34, every=8.0, lasting=12.0, instance=f"soak-{os.getpid()}-long")
ROW_BYTES = 400
"""Of the history's file for each reading, its indices and summaries included."""


@attrs.frozen
class Sample:
    """What the process holds: kilobytes, tasks, file descriptors."""

    memory: int
    tasks: int
    files: int

    @classmethod
    def now(cls):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(pages * resource.getpagesize() // 1024, len(asyncio.all_tasks()), open_files())

    def within(self, before):
        """Whether nothing was left over: the sample before may have caught a short-lived socket of its own."""
        return self.tasks <= before.tasks and self.files <= before.files


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


class Watcher:
    """Measures every 10 ms how late the loop is and how long it had worked, and the process every second.

    How late it is depends on who else uses the machine; how long it worked without a turn for others does not.
    """

    def __init__(self):
        # Arrays, because fifty thousand floats each would be three of the megabytes that are measured here.
        self.lags, self.work, self.samples = array("f"), array("f"), []

    async def run(self):
        loop = asyncio.get_running_loop()
        due = sampled = loop.time()
        worked = time.thread_time()
        while True:
            due = max(due, loop.time()) + 0.01
            await asyncio.sleep(due - loop.time())
            now = loop.time()
            self.lags.append(now - due)
            before, worked = worked, time.thread_time()
            self.work.append(worked - before)
            if now - sampled >= 1.0:
                sampled = now
                self.samples.append(Sample.now())


def share_of(values, share):
    return sorted(values)[int(len(values) * share)]


def in_milliseconds(values):
    shares = " ".join(f"p{share * 100:g} {share_of(values, share) * 1000:.1f}" for share in (0.5, 0.99, 0.999))
    return f"{shares} max {max(values) * 1000:.1f} ms"


@attrs.frozen
class Soaked:
    comparison: object
    faults: list
    before: Sample
    after: Sample
    watcher: Watcher
    stored: int
    rows: int
    left: tuple


async def soak(plan, directory):
    path = directory / "devices.toml"
    path.touch(mode=0o600)
    document = plan.house().configuration()
    for entry in document["proxy"]:
        # A stream that was taken comes back within the test, not five minutes after it.
        entry["insist"] = True
    path.write_text(tomlkit.dumps(document))
    with house_process(plan) as house:
        bare = len(asyncio.all_tasks()), open_files()
        watcher = Watcher()
        async with service(attrs.evolve(load(path), sinks={}), directory / "state") as running:
            collecting = asyncio.create_task(collect(running.journal.feed(100_000), directory / "readings"))
            watching = asyncio.create_task(watcher.run())
            await all_live(running, plan.rooms, 20.0)
            before = Sample.now()
            async with asyncio.timeout(plan.seconds):
                await house.fail()
            await all_live(running, plan.rooms, 150.0)
            after = await settled(before)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            outcome = await house.stop_sending()
            await asyncio.sleep(IN_FLIGHT)
        await collecting
        left = len(asyncio.all_tasks()) - bare[0], open_files() - bare[1]
    readings = list(collected(directory / "readings"))
    result = compare(outcome.truth, readings, unreadable={device.mac for device in plan.house().neighbours})
    stored = (directory / "state" / "history.db").stat().st_size
    return Soaked(result, outcome.faults, before, after, watcher, stored, len(readings), left)


async def settled(before):
    """What the process holds, once what is short-lived (a question by mDNS, a probe) is over."""
    loop = asyncio.get_running_loop()
    until = loop.time() + 10.0
    while not (after := Sample.now()).within(before) and loop.time() < until:  # noqa: ASYNC110  nothing signals it
        await asyncio.sleep(0.1)
    return after


async def all_live(running, count, seconds):
    async with asyncio.timeout(seconds):
        while running.live() < count:  # noqa: ASYNC110  the service tells people, not tests
            await asyncio.sleep(0.1)


def soaked(plan, directory):
    with asyncio.Runner(loop_factory=lambda: event_loop(0.05)) as runner:
        run = runner.run(soak(plan, directory))
    told(run)
    assert run.comparison.heard > 5
    assert [frame for frame in run.comparison.lost if not in_flight(frame, run.faults)] == []
    assert run.comparison.twice == ()
    assert run.comparison.false == ()
    assert run.left[0] == 0
    assert run.left[1] <= 1  # the history's lock may be closed by the next collection
    return run


def told(run):
    """The figures, shown with ``pytest -s``."""
    memory = [sample.memory // 1024 for sample in run.watcher.samples]
    print(  # noqa: T201  the long form is run by hand, for these
        f"\n{dict(Counter(fault.fault for fault in run.faults))}\n"
        f"heard {run.comparison.heard}, readings {run.rows}, lost {len(run.comparison.lost)} "
        f"(in flight {sum(in_flight(frame, run.faults) for frame in run.comparison.lost)}), "
        f"twice {len(run.comparison.twice)}, false {len(run.comparison.false)}\n"
        f"before {run.before}\nafter {run.after}\nmemory MB {memory[:: max(1, len(memory) // 20)]}\n"
        f"history {run.stored} bytes, {run.stored / run.rows:.0f} a reading\n"
        f"late: {in_milliseconds(run.watcher.lags)}\nat work: {in_milliseconds(run.watcher.work)}"
    )


def test_nothing_is_lost_or_told_twice_while_proxies_fail(tmp_path):
    """Under replays, forgeries and faults: 0 lost beyond what no room heard, 0 twice, 0 made up, and every proxy is
    live again with no more tasks and files than before."""
    run = soaked(SHORT, tmp_path)
    assert run.after.within(run.before)
    assert share_of(run.watcher.work, 0.999) < 0.05


@pytest.mark.long
def test_ten_minutes_of_faults_leave_nothing_behind(tmp_path):
    """The same in eight rooms with forty devices; memory has stopped growing, the history has the size of its rows, and
    the loop was never blocked."""
    run = soaked(LONG, tmp_path)
    assert run.after.within(run.before)
    samples = [sample.memory for sample in run.watcher.samples]
    half = len(samples) // 2
    assert max(samples) < 120 * 1024
    assert max(samples[half:]) <= 1.05 * max(samples[:half])
    assert run.stored < ROW_BYTES * run.rows + 200_000
    assert share_of(run.watcher.work, 0.999) < 0.05


def in_flight(frame, faults):
    return all(
        any(fault.room == room and fault.start - IN_FLIGHT <= frame.time <= fault.end + IN_FLIGHT for fault in faults)
        for room in frame.heard
    )


async def collect(feed, path):
    """Into a file: what the test keeps in memory would be counted as the engine's."""
    with path.open("wb") as file:
        async for row in feed:
            pickle.dump(row.reading, file)


def collected(path):
    with path.open("rb") as file:
        while True:
            try:
                yield pickle.load(file)
            except EOFError:
                return
