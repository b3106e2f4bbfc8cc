"""The verb ``demo``: a simulated house through the same engine as ``run``: real TCP, Noise and mDNS on loopback.

The service gets a configuration and nothing else; the demo asks it through its control socket, as the other verbs do.
At the end the readings of its history are compared with what the simulator knows was on air.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import click
import structlog
import tomlkit

from proxy_listener.cli.client import ServiceClient, connected
from proxy_listener.cli.demo_summary import DemoResult, read_in_words
from proxy_listener.cli.run import on_terminal
from proxy_listener.cli.screen import REDRAW, LogLines, Screen, live_screen
from proxy_listener.cli.verb import FAILED, Listing, NotRunningError, Options
from proxy_listener.config import Config, load
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.settings import ServiceSettings, WebSettings
from proxy_listener.proxies.coalesce import event_loop
from proxy_listener.service import Service, service
from proxy_listener.simulator.comparison import compare
from proxy_listener.simulator.house import LOOPBACK, House
from proxy_listener.state import write_private

log = structlog.get_logger()

PAGE_PORT = 8099
"""The port of the examples in the documentation. Where it is taken, the page gets another one."""

LAST_BATCHES = 1.0
"""Seconds for the last advertisements to arrive: proxies batch for 200 ms, and are read every 50 ms."""

SETTLED, ROUTES_WANTED, PATIENCE = 2, 2, 10.0
"""Frames of a plant after which every room near it has heard it; proxies between which its read can choose; and seconds
after which less is enough.
"""

NOT_EMPTY = "{} holds the history of a service; the demo needs a directory of its own, which does not exist or is empty"


@click.command(cls=Listing)
@click.option("--seconds", type=click.FloatRange(0), default=30, show_default=True, help="0: until Ctrl-C.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed is another house.")
@click.option("--rooms", type=click.IntRange(1, 50), default=4, show_default=True)
@click.option("--devices", type=click.IntRange(0, 300), default=15, show_default=True)
@click.option("--no-page", is_flag=True, help="Serve no page. Otherwise it is on loopback.")
@click.pass_obj
def demo(options: Options, seconds: float, seed: int, rooms: int, devices: int, no_page: bool) -> None:
    """A simulated house through the same engine as run, over real TCP, Noise and mDNS on loopback.

    A live table on a terminal, JSON Lines elsewhere or with --json. One plant is read over a connection. At the end the
    readings are compared with what was on air; status 1 where a reading was lost or came twice.

    While it runs, the other verbs work with the state directory that it names: a temporary one, or that of --state,
    which is kept. It has a configuration of its own: -c changes nothing.
    """
    house = House(seed, rooms, devices, instance=str(os.getpid()))
    with _state_directory(options.state) as state:
        run = Demo(house, state, seconds or None, None if no_page else f"{LOOPBACK}:{_free_port()}")
        with asyncio.Runner(loop_factory=lambda: event_loop(ServiceSettings().coalesce)) as runner:
            if options.json or not on_terminal():
                click.echo("\n".join(run.places()), err=True)
                result = runner.run(run.play())
            else:
                with live_screen(options, LogLines() if sys.stderr.isatty() else None) as screen:
                    result = runner.run(run.play(screen))
        for line in result.lines():
            click.echo(line, err=True)
        if options.state is not None:
            words = f"Kept in {state}. Look at it with: proxy-listener run -c {state}/devices.toml --state {state}"
            click.echo(words, err=True)
    if not result.comparison.perfect:
        sys.exit(FAILED)


@contextmanager
def _state_directory(given: Path | None) -> Iterator[Path]:
    """A temporary one, or the given one, in which there is no history yet: readings of a simulated house must not come
    among real ones.
    """
    if given is None:
        with tempfile.TemporaryDirectory(prefix="demo-") as directory:
            yield Path(directory)
        return
    if given.exists() and any(given.iterdir()):
        raise ProxyListenerError(NOT_EMPTY.format(given))
    given.mkdir(mode=0o700, parents=True, exist_ok=True)
    yield given


def _free_port() -> int:
    for port in (PAGE_PORT, 0):
        try:
            with socket.create_server((LOOPBACK, port)) as probe:
                return int(probe.getsockname()[1])
        except OSError:
            continue
    raise ProxyListenerError("no port is free for the page; run without it: --no-page")


@attrs.define
class Demo:
    """One run. ``page`` is host and port; ``reads`` says of each read that was asked for how it ended."""

    house: House
    state: Path
    seconds: float | None
    page: str | None
    reads: list[str] = attrs.field(factory=list)

    def places(self) -> Iterator[str]:
        """Where to look while it runs."""
        if self.page is not None:
            yield f"page: http://{self.page}/"
        yield f"in another terminal: proxy-listener devices --state {self.state}"

    async def play(self, screen: Screen | None = None) -> DemoResult:
        """Run the house until the time is over or SIGINT or SIGTERM comes. Without ``screen``, readings are written to
        standard output as JSON Lines.
        """
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        began = time.time()
        async with self.house.running(), service(self._config(screen), self.state) as running:
            tasks = [asyncio.create_task(self._read_a_plant(screen))]
            if screen is not None:
                screen.head = list(self.places())
                tasks.append(asyncio.create_task(self._show(screen, running)))
            await asyncio.wait([asyncio.create_task(stop.wait())], timeout=self.seconds)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.house.stop_sending()
            await asyncio.sleep(LAST_BATCHES)
            return await self._result(running, began)

    def _config(self, screen: Screen | None) -> Config:
        path = self.state / "devices.toml"
        write_private(path, tomlkit.dumps(self.house.configuration()))
        config = attrs.evolve(load(path), web=WebSettings(self.page))
        return config if screen is None else attrs.evolve(config, sinks={})

    async def _result(self, running: Service, began: float) -> DemoResult:
        await running.journal.flush()
        readings = [row.reading async for row in running.journal.reader.export(since=began)]
        unreadable = {device.mac for device in self.house.neighbours}
        return DemoResult(
            compare(self.house.truth, readings, unreadable=unreadable),
            live=running.live(),
            proxies=len(self.house.proxies),
            outcomes=running.view.outcomes(),
            reads=[f"{reading.name} through {reading.proxy}" for reading in readings if reading.source == "read"],
        )

    async def _show(self, screen: Screen, running: Service) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        end = "" if self.seconds is None else f" of {self.seconds:g}"
        async with connected(self.state) as client:
            while True:
                try:
                    screen.devices = await client.get("/devices")
                except NotRunningError:
                    screen.devices = []  # the control socket is not there yet
                heard = sum(running.view.outcomes().values())
                time_line = f"{loop.time() - began:.0f}{end} s, {heard} advertisements from {running.live()} proxies"
                screen.notes = [*self.reads, f"{time_line}; Ctrl-C ends it"]
                screen.draw()
                await asyncio.sleep(REDRAW)

    async def _read_a_plant(self, screen: Screen | None) -> None:
        """Read one plant, as ``proxy-listener read`` does."""
        async with connected(self.state) as client:
            device = await _plant_to_read(client)
            self.reads = [f"reading {device['name']} over a connection"]
            async for line in client.lines("POST", f"/devices/{device['mac']}/read", {}):
                document = json.loads(line)
                if "result" in document:
                    self.reads = read_in_words(device["name"], document["result"])
        if screen is None:
            click.echo("\n".join(self.reads), err=True)


async def _plant_to_read(client: ServiceClient) -> dict[str, Any]:
    """The first device that can be read, once proxies hear it between which there is a choice."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        frames, wanted = (SETTLED, ROUTES_WANTED) if loop.time() - began < PATIENCE else (0, 1)
        try:
            for device in await client.get("/devices"):
                if device["readable"] and device["listed"] and device["readings"] >= frames:
                    routes = await client.get(f"/devices/{device['mac']}/routes")
                    able = [route for route in routes if route["eligible"]]
                    if len(able) >= wanted and any(route["chosen"] for route in able):
                        found: dict[str, Any] = device
                        return found
        except NotRunningError:
            pass  # the control socket is not there yet
        await asyncio.sleep(REDRAW)
