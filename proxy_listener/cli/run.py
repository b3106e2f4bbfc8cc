"""The verbs that start the engine: ``run``, ``demo``, ``replay``, ``record``."""

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click
import structlog

from proxy_listener.cli.rows import DEVICE_HEAD, device_row
from proxy_listener.cli.tables import drawn
from proxy_listener.cli.verb import FAILED, Listing, NotRunningError, Options, Verb, main

if TYPE_CHECKING:
    from proxy_listener.cli.client import Service as Client
    from proxy_listener.cli.demo import Result, Show
    from proxy_listener.model.advertisement import Address
    from proxy_listener.model.reading import Reading
    from proxy_listener.service import Service

log = structlog.get_logger()


@main.command(cls=Verb)
@click.pass_obj
def run(options: Options) -> None:
    """Listen, until told to stop."""
    from proxy_listener import service as app
    from proxy_listener.config import doubts
    from proxy_listener.proxies.coalesce import event_loop

    config = options.load()
    for doubt in doubts(config):
        log.warning("this may not be what is meant", place=doubt.place, detail=doubt.text)
    with asyncio.Runner(loop_factory=lambda: event_loop(config.service.coalesce)) as runner:
        runner.run(app.run(config, options.state_directory()))


@main.command(cls=Listing, short_help="A simulated house through the same engine.")
@click.option("--seconds", type=click.FloatRange(0), default=30, show_default=True, help="0: until Ctrl-C.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed is another house.")
@click.option("--rooms", type=click.IntRange(1, 50), default=4, show_default=True)
@click.option("--devices", type=click.IntRange(0, 300), default=12, show_default=True)
@click.pass_obj
def demo(options: Options, seconds: float, seed: int, rooms: int, devices: int) -> None:
    """A simulated house through the same engine as run, over real TCP, Noise and mDNS on loopback.

    A live table on a terminal, JSON Lines elsewhere or with --json. At the end, what came out is held against what was
    on air; status 1 where something was lost or came twice. The house brings its own configuration and a history that
    ends with it: -c and --state change nothing.
    """
    from proxy_listener.cli.demo import demo as play
    from proxy_listener.model.settings import ServiceSettings
    from proxy_listener.proxies.coalesce import event_loop

    def played(show: "Show | None") -> "Result":
        with asyncio.Runner(loop_factory=lambda: event_loop(ServiceSettings().coalesce)) as runner:
            return runner.run(play(seconds=seconds or None, seed=seed, rooms=rooms, devices=devices, show=show))

    if options.json or not sys.stdout.isatty():
        result = played(None)
    else:
        with shown_live(options) as show:
            result = played(show)
    for line in result.lines():
        click.echo(line, err=True)
    if result.comparison.lost or result.comparison.twice or result.comparison.false:
        sys.exit(FAILED)


@contextmanager
def shown_live(options: Options) -> "Iterator[Show]":
    """A table of the devices that is drawn anew with each call; what is logged meanwhile stands above it."""
    from rich.console import Console
    from rich.live import Live

    from proxy_listener.web.documents import device_document

    def show(running: "Service", elapsed: float, happened: "Mapping[Address, Reading]") -> None:
        now = time.time()
        documents = [device_document(device, now, happened.get(device.mac)) for device in running.view.devices()]
        table = drawn(DEVICE_HEAD, [device_row(document) for document in documents], live.console.width)
        table.caption = f"{elapsed:.0f} s, {running.live()} proxies"
        live.update(table, refresh=True)

    with Live(console=Console(no_color=not options.colored()), auto_refresh=False) as live:
        options.start_logs(quiet=True)
        yield show
    options.start_logs()


@main.command(cls=Verb, short_help="Run captures through the engine.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.pass_obj
def replay(options: Options, files: tuple[str, ...]) -> None:
    """Run captures through the engine: readings to standard output, a summary to standard error.

    FILE - is standard input. With --state the history there is continued, otherwise nothing is kept.
    """
    from proxy_listener.cli.replay import replay as play

    config = options.load_or_default()
    given = [(None, "standard input") if file == "-" else (Path(file), file) for file in files]
    summary = asyncio.run(play(given, config, options.state, sys.stdout))
    for line in summary.lines():
        click.echo(line, err=True)
    if summary.bad_lines and not summary.advertisements:
        sys.exit(FAILED)


@main.command(cls=Verb, short_help="Write every advertisement as a capture.")
@click.option("-o", "--output", default="-", metavar="FILE", help="Standard output where not given.")
@click.option("--seconds", type=click.FloatRange(0.1), help="Stop after so long; otherwise with Ctrl-C.")
@click.pass_obj
def record(options: Options, output: str, seconds: float | None) -> None:
    """Write every advertisement as a capture, which replay plays.

    Through the running service; where none runs, by connecting as run does.
    """
    from proxy_listener.cli.client import ask

    async def question(service: "Client") -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for line in service.lines("GET", "/capture"):
                    file.write(line + "\n")
                    file.flush()

    with opened(output) as file, suppress(KeyboardInterrupt):
        try:
            ask(options.state_directory(), lambda service: service.get("/healthz"))
        except NotRunningError:
            _record_alone(options, file, seconds)
        else:
            ask(options.state_directory(), question)


def _record_alone(options: Options, file: TextIO, seconds: float | None) -> None:
    from proxy_listener.cli.record import record as write

    asyncio.run(write(options.load(), options.state_directory(), file, seconds))


@contextmanager
def opened(output: str) -> Iterator[TextIO]:
    """The file to write to; ``-`` is standard output."""
    if output == "-":
        yield sys.stdout
        return
    with Path(output).open("w", encoding="utf-8", newline="") as file:
        yield file
