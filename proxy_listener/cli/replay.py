"""The verb ``replay``: captures in, readings as JSON Lines out, through the same engine as ``run``, as fast as it can.

The time is the capture's: ``heard`` is the running sum of forward steps of ``time``, so a capture gives the same
readings on every machine. With a state directory the history there is continued, as by a service that is restarted;
without one it is in memory.
"""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import BinaryIO, TextIO

import attrs
import click
import structlog

from proxy_listener.capture.lines import Capture
from proxy_listener.cli.verb import FAILED, Options, Verb
from proxy_listener.config import Config
from proxy_listener.history import Journal
from proxy_listener.model.advertisement import ADDRESS_LIMIT, Advertisement
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading, as_json
from proxy_listener.pipeline import Pipeline, open_journal
from proxy_listener.proxies.receive import LONGEST, STRONGEST, WEAKEST
from proxy_listener.state import had_history, single_instance

log = structlog.get_logger()

BATCH = 500
"""Advertisements between commits: large, because a replay that is killed can be repeated."""


@attrs.frozen
class ReplaySummary:
    """The result of a replay."""

    advertisements: int
    readings: int
    outcomes: dict[str, int]
    skipped: dict[str, int]
    bad_lines: int
    problems: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """The summary for people."""
        yield f"{self.advertisements} advertisements, {self.readings} readings"
        for outcome, count in sorted(self.outcomes.items(), key=lambda item: -item[1]):
            yield f"{count:>9}  {outcome}"
        for name, count in sorted(self.skipped.items()):
            yield f"{count:>9}  {name}, skipped"
        if self.bad_lines:
            yield f"{self.bad_lines:>9}  lines that are no advertisement:"
        for problem in self.problems:
            yield f"           {problem}"


@click.command(cls=Verb)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.pass_obj
def replay(options: Options, files: tuple[str, ...]) -> None:
    """Run captures through the engine: readings to standard output, a summary to standard error.

    FILE - is standard input. With --state the history there is continued, otherwise nothing is kept.
    """
    summary = asyncio.run(_play(files, options.load_or_default(), options.state, sys.stdout))
    for line in summary.lines():
        click.echo(line, err=True)
    if summary.bad_lines and not summary.advertisements:
        sys.exit(FAILED)


async def _play(files: Iterable[str], config: Config, state: Path | None, out: TextIO) -> ReplaySummary:
    """ProxyListenerError where a file or the state directory cannot be used."""
    with ExitStack() as stack:
        ran_before = state is not None and had_history(state)
        if state is not None:
            stack.enter_context(single_instance(state))
        journal = open_journal(config, state)
        if journal.fresh and ran_before and not journal.alarm:
            log.warning("the history is lost: there is none in this state directory, which was used before")
        player = _Player(config, journal, out)
        try:
            for name in files:
                with _open_capture(name) as file:
                    await player.play(player.capture.read(file, "standard input" if name == "-" else name))
        finally:
            await player.close()
    return player.summary()


def _open_capture(name: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb")


class _Player:
    def __init__(self, config: Config, journal: Journal, out: TextIO) -> None:
        self.capture = Capture()
        self._config = config
        self._journal = journal
        self._out = out
        self._rooms = {proxy.name: proxy.room or proxy.name for proxy in config.proxies}
        self._pipeline: Pipeline | None = None
        self._readings = 0
        self._advertisements = 0
        self._refused = 0

    async def play(self, advertisements: Iterator[Advertisement]) -> None:
        for advertisement in advertisements:
            if self._pipeline is None:
                self._pipeline = self._start(advertisement)
                await self._pipeline.open_kept()
            self._hear(self._pipeline, advertisement)
            if self._advertisements % BATCH == 0:
                await self._commit()
        await self._commit()

    def _hear(self, pipeline: Pipeline, advertisement: Advertisement) -> None:
        self._advertisements += 1
        if (
            len(advertisement.data) > LONGEST
            or advertisement.address >= ADDRESS_LIMIT
            or not WEAKEST <= advertisement.rssi <= STRONGEST
        ):
            self._refused += 1
            return
        pipeline.hear(
            advertisement.proxy,
            advertisement.address,
            advertisement.address_type,
            advertisement.rssi,
            advertisement.data,
            advertisement.time,
            advertisement.heard,
        )

    def _start(self, first: Advertisement) -> Pipeline:
        def room(proxy: str) -> str:
            return self._rooms.get(proxy, proxy)

        heard, time = first.heard, first.time
        # A capture may be shorter than a minute, and nobody waits for its devices.
        return Pipeline(self._config, self._journal, room=room, heard=heard, time=time, emit=self._emit, at_once=True)

    def _emit(self, reading: Reading) -> None:
        self._readings += 1
        self._journal.append(reading)
        self._out.write(as_json(reading) + "\n")

    async def _commit(self) -> None:
        if not await self._journal.flush():
            raise ProxyListenerError(f"the history cannot be written: {self._journal.storage.error}")
        self._out.flush()

    async def close(self) -> None:
        await self._journal.close()

    def summary(self) -> ReplaySummary:
        outcomes = self._pipeline.outcomes() if self._pipeline else {}
        outcomes[str(Outcome.REFUSED)] = self._refused
        return ReplaySummary(
            self._advertisements,
            self._readings,
            {outcome: count for outcome, count in outcomes.items() if count},
            dict(self._pipeline.listener.skipped) if self._pipeline else {},
            self.capture.bad,
            tuple(map(str, self.capture.problems)),
        )
