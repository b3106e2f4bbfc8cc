"""The verbs that start the engine: ``run``, ``demo``, ``replay``, ``record``."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from proxy_listener.cli.verb import FAILED, NotRunningError, Options, Verb, main

if TYPE_CHECKING:
    from proxy_listener.cli.client import Service


@main.command(cls=Verb)
@click.pass_obj
def run(options: Options) -> None:
    """Listen, until told to stop."""
    from proxy_listener import app

    config = options.load()
    asyncio.run(app.run(config, options.state_directory()))


@main.command(cls=Verb)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.pass_obj
def replay(options: Options, files: tuple[str, ...]) -> None:
    """Run captures through the engine: readings to standard output, a summary to standard error.

    FILE - is standard input. With --state the history there is continued, otherwise nothing is kept.
    """
    from proxy_listener.replay import replay as play

    config = options.load_or_default()
    given = [(None, "standard input") if file == "-" else (Path(file), file) for file in files]
    summary = asyncio.run(play(given, config, options.state, sys.stdout))
    for line in summary.lines():
        click.echo(line, err=True)
    if summary.bad_lines and not summary.advertisements:
        sys.exit(FAILED)


@main.command(cls=Verb)
@click.option("-o", "--output", default="-", metavar="FILE", help="Standard output where not given.")
@click.option("--seconds", type=click.FloatRange(0.1), help="Stop after so long; otherwise with Ctrl-C.")
@click.pass_obj
def record(options: Options, output: str, seconds: float | None) -> None:
    """Write every advertisement as a capture, which replay plays.

    Through the running service; where none runs, by connecting as run does.
    """
    from proxy_listener.cli.client import ask

    async def question(service: "Service") -> None:
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
    from proxy_listener import app

    asyncio.run(app.record(options.load(), options.state_directory(), file, seconds))


@contextmanager
def opened(output: str) -> Iterator[TextIO]:
    """The file to write to; ``-`` is standard output."""
    if output == "-":
        yield sys.stdout
        return
    with Path(output).open("w", encoding="utf-8", newline="") as file:
        yield file
