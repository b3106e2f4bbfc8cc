"""A simulated house through the same engine as ``run``: real TCP, Noise and mDNS on loopback.

What comes in: a seed and sizes. What goes out: a live table on a terminal, JSON Lines elsewhere, and at the end what
came out held against what was on air. The rule of this file: the engine is given a configuration and nothing else; what
the house knows meets what the engine said only after both have stopped.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import attrs
import tomlkit

from proxy_listener.config import load
from proxy_listener.history import Feed
from proxy_listener.model.advertisement import Address
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading
from proxy_listener.service import Service, service
from proxy_listener.simulator.comparison import Comparison, compare
from proxy_listener.simulator.house import House

LAST_BATCHES = 1.0
"""Seconds for the proxies to deliver what they heard last: they batch for 200 ms, and are read every 50."""

REDRAW = 0.5
FEED = 10_000
"""Readings that wait for the comparison: minutes of the largest house."""


Show: TypeAlias = Callable[[Service, float, Mapping[Address, Reading]], None]
"""The service, for how many seconds the demo has run, and each device's last reading with an event."""


@attrs.frozen
class Result:
    """How the demo went."""

    comparison: Comparison
    live: int
    proxies: int
    repeats: int
    foreign: int
    advertisements: int

    def lines(self) -> Iterator[str]:
        """For people."""
        c = self.comparison
        yield f"{self.advertisements} advertisements from {self.live} of {self.proxies} proxies, {self.foreign} foreign"
        yield f"frames on air           {c.frames:>7}"
        yield f"heard by any room       {c.heard:>7}"
        yield f"readings                {c.readings:>7}"
        yield f"repeats suppressed      {self.repeats:>7}"
        yield f"lost                    {len(c.lost):>7}"
        yield f"twice                   {len(c.twice):>7}"
        if c.false:
            yield f"of nothing on air       {len(c.false):>7}"
        for frame in c.lost[:5]:
            yield f"  lost: {frame.mac:012X} counter {frame.counter} {dict(frame.values)}"
        for reading in c.twice[:5]:
            yield f"  twice: {reading.name} counter {reading.counter} {dict(reading.values)}"


async def demo(
    *,
    seconds: float | None,
    seed: int,
    rooms: int,
    devices: int,
    show: Show | None = None,
) -> Result:
    """Run a house until the time is over or SIGINT or SIGTERM comes.

    With ``show``, it is called twice a second, and readings are not written; else they go to standard output as JSON
    Lines.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    house = House(seed, rooms, devices, instance=str(os.getpid()))
    with tempfile.TemporaryDirectory(prefix="proxy-listener-demo-") as directory:
        config = load(_configuration(house, Path(directory)))
        if show is not None:
            config = attrs.evolve(config, sinks={})
        async with house.running():
            async with service(config, Path(directory) / "state") as running:
                readings: list[Reading] = []
                happened: dict[Address, Reading] = {}
                collecting = asyncio.create_task(_collect(running.journal.feed(FEED), readings, happened))
                await _watch(running, happened, stop, seconds, show)
                await house.stop_sending()
                await asyncio.sleep(LAST_BATCHES)
                live = running.live()
            await collecting
    outcomes = running.view.outcomes()
    unreadable = {device.mac for device in house.neighbours}
    return Result(
        compare(house.truth, readings, unreadable=unreadable),
        live,
        len(house.proxies),
        outcomes[str(Outcome.REPEAT)],
        outcomes[str(Outcome.NOT_OURS)],
        sum(outcomes.values()),
    )


def _configuration(house: House, directory: Path) -> Path:
    """The house's devices.toml, which holds its keys: a file of its own user."""
    path = directory / "devices.toml"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as text:
        text.write(tomlkit.dumps(house.configuration()))
    return path


async def _collect(feed: Feed, readings: list[Reading], happened: dict[Address, Reading]) -> None:
    async for row in feed:
        readings.append(row.reading)
        if row.reading.events:
            happened[row.reading.mac] = row.reading


async def _watch(
    running: Service,
    happened: Mapping[Address, Reading],
    stop: asyncio.Event,
    seconds: float | None,
    show: Show | None,
) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not stop.is_set() and (seconds is None or loop.time() - began < seconds):
        left = REDRAW if seconds is None else min(REDRAW, began + seconds - loop.time())
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), max(0.0, left))
        if show is not None:
            show(running, loop.time() - began, happened)
