"""The verb ``demo``: a simulated house through the same engine as ``run``: real TCP, Noise and mDNS on loopback.

The service gets a configuration and nothing else. After both have stopped, its readings are compared with what the
simulator knows was on air.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import attrs
import click
import tomlkit

from proxy_listener.cli.output import table_for
from proxy_listener.cli.rows import DEVICE_HEAD, device_row
from proxy_listener.cli.verb import FAILED, Listing, Options
from proxy_listener.config import load
from proxy_listener.history import Feed
from proxy_listener.model.advertisement import Address
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading
from proxy_listener.model.settings import ServiceSettings
from proxy_listener.proxies.coalesce import event_loop
from proxy_listener.service import Service, service
from proxy_listener.simulator.comparison import Comparison, compare
from proxy_listener.simulator.house import House
from proxy_listener.state import write_private
from proxy_listener.web.documents import device_document

LAST_BATCHES = 1.0
"""Seconds for the last advertisements to arrive: proxies batch for 200 ms, and are read every 50 ms."""

REDRAW = 0.5
"""Seconds between updates of the table."""

FEED = 10_000
"""Readings that may wait for the comparison: minutes of the largest house."""

Show: TypeAlias = Callable[[Service, float, Mapping[Address, Reading]], None]
"""Shows the demo's state: the service, for how many seconds it has run, each device's last reading with an event."""


@attrs.frozen
class DemoResult:
    """How the demo went."""

    comparison: Comparison
    live: int
    proxies: int
    repeats: int
    foreign: int
    advertisements: int

    def lines(self) -> Iterator[str]:
        """The summary for people."""
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


@click.command(cls=Listing)
@click.option("--seconds", type=click.FloatRange(0), default=30, show_default=True, help="0: until Ctrl-C.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed is another house.")
@click.option("--rooms", type=click.IntRange(1, 50), default=4, show_default=True)
@click.option("--devices", type=click.IntRange(0, 300), default=12, show_default=True)
@click.pass_obj
def demo(options: Options, seconds: float, seed: int, rooms: int, devices: int) -> None:
    """A simulated house through the same engine as run, over real TCP, Noise and mDNS on loopback.

    A live table on a terminal, JSON Lines elsewhere or with --json. At the end the readings are compared with what was
    on air; status 1 where a reading was lost or came twice. The demo has a configuration and a temporary history of its
    own: -c and --state change nothing.
    """
    house = House(seed, rooms, devices, instance=str(os.getpid()))
    with asyncio.Runner(loop_factory=lambda: event_loop(ServiceSettings().coalesce)) as runner:
        if options.json or not sys.stdout.isatty():
            result = runner.run(_play(house, seconds or None))
        else:
            with _live_table(options) as show:
                result = runner.run(_play(house, seconds or None, show))
    for line in result.lines():
        click.echo(line, err=True)
    if result.comparison.lost or result.comparison.twice or result.comparison.false:
        sys.exit(FAILED)


@contextmanager
def _live_table(options: Options) -> Iterator[Show]:
    """A table of the devices, below the log, that each call updates."""
    from rich.console import Console
    from rich.live import Live

    def show(running: Service, elapsed: float, last_events: Mapping[Address, Reading]) -> None:
        now = time.time()
        documents = [device_document(device, now, last_events.get(device.mac)) for device in running.view.devices()]
        table = table_for(DEVICE_HEAD, [device_row(document) for document in documents], live.console.width)
        table.caption = f"{elapsed:.0f} s, {running.live()} proxies"
        live.update(table, refresh=True)

    with Live(console=Console(no_color=not options.colored()), auto_refresh=False) as live:
        options.start_logs(quiet=True)
        yield show
    options.start_logs()


async def _play(house: House, seconds: float | None, show: Show | None = None) -> DemoResult:
    """Run the house until the time is over or SIGINT or SIGTERM comes. Without ``show``, readings are written to
    standard output as JSON Lines.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="proxy-listener-demo-") as directory:
        path = Path(directory) / "devices.toml"
        write_private(path, tomlkit.dumps(house.configuration()))
        config = load(path)
        if show is not None:
            config = attrs.evolve(config, sinks={})
        async with house.running():
            async with service(config, Path(directory) / "state") as running:
                readings: list[Reading] = []
                last_events: dict[Address, Reading] = {}
                collecting = asyncio.create_task(_collect(running.journal.feed(FEED), readings, last_events))
                await _watch(running, last_events, stop, seconds, show)
                await house.stop_sending()
                await asyncio.sleep(LAST_BATCHES)
                live = running.live()
            await collecting
    outcomes = running.view.outcomes()
    unreadable = {device.mac for device in house.neighbours}
    return DemoResult(
        compare(house.truth, readings, unreadable=unreadable),
        live,
        len(house.proxies),
        outcomes[str(Outcome.REPEAT)],
        outcomes[str(Outcome.NOT_OURS)],
        sum(outcomes.values()),
    )


async def _collect(feed: Feed, readings: list[Reading], last_events: dict[Address, Reading]) -> None:
    async for row in feed:
        readings.append(row.reading)
        if row.reading.events:
            last_events[row.reading.mac] = row.reading


async def _watch(
    running: Service,
    last_events: Mapping[Address, Reading],
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
            show(running, loop.time() - began, last_events)
