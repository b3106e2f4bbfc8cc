"""The verb ``record``: every advertisement that the proxies send, as lines of a capture, until told to stop."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TextIO

import click

from proxy_listener.capture.live import LiveCapture
from proxy_listener.cli.client import ServiceClient, ask
from proxy_listener.cli.output import open_new
from proxy_listener.cli.verb import NotRunningError, Options, Verb
from proxy_listener.config import Config
from proxy_listener.model.outcome import Outcome
from proxy_listener.proxies.fleet import Fleet
from proxy_listener.state import single_instance


@click.command(cls=Verb)
@click.option("-o", "--output", default="-", metavar="FILE", help="A new file; standard output where not given.")
@click.option("--seconds", type=click.FloatRange(0.1), help="Stop after so long; otherwise with Ctrl-C.")
@click.pass_obj
def record(options: Options, output: str, seconds: float | None) -> None:
    """Write every advertisement as a capture, which replay plays.

    Through the running service; where none runs, by connecting as run does.
    """

    async def copy(service: ServiceClient) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _write_lines(service.lines("GET", "/capture"), file)

    with open_new(output) as file, suppress(KeyboardInterrupt):
        try:
            ask(options.state_directory(), lambda service: service.get("/healthz"))
        except NotRunningError:
            asyncio.run(_record_alone(options.load(), options.state_directory(), file, seconds))
        else:
            ask(options.state_directory(), copy)


async def _record_alone(config: Config, state: Path, file: TextIO, seconds: float | None) -> None:
    """Connect to the proxies, under the same lock as ``run``, and record until told to stop."""
    with single_instance(state, keeps_history=False):
        fleet = Fleet(config.discovery, config.proxies, _ignore, state=state)
        capture = LiveCapture(_ignore, fleet.listen)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        parts = (_write_lines(capture.lines(), file), fleet.run(), stop.wait())
        tasks: list[asyncio.Future[object]] = [asyncio.ensure_future(part) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _ignore(
    _proxy: str, _address: int, _address_type: int, _rssi: int, _data: bytes, _time: float, _heard: float
) -> Outcome:
    return Outcome.NOT_OURS


async def _write_lines(lines: AsyncGenerator[str, None], file: TextIO) -> None:
    async with aclosing(lines):
        async for line in lines:
            file.write(line + "\n")
            file.flush()
