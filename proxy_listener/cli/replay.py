"""Captures through the engine, as fast as it can: advertisements in, JSON Lines out, and what became of them all.

The rule of this file: time is the capture's. ``heard`` is the running sum of forward steps of ``time``, so a capture
decides the same on every machine and at every speed. With a state directory the history is kept, and the next call
goes on from there as a restarted service would; without one it is in memory.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

import attrs
import structlog

from proxy_listener.capture.lines import Capture
from proxy_listener.config import Config
from proxy_listener.history import Journal
from proxy_listener.model.advertisement import ADDRESS_LIMIT, Advertisement
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading, as_json
from proxy_listener.pipeline import Engine, open_journal
from proxy_listener.state import LOCK, single_instance

log = structlog.get_logger()

BATCH = 500
"""Advertisements between commits. Nothing waits for these: a replay that is killed is played again."""

LONGEST, WEAKEST, STRONGEST = 255, -127, 20
"""As at the edge towards live proxies: bytes of data, dBm."""


@attrs.frozen
class Summary:
    """What became of a replay."""

    advertisements: int
    readings: int
    outcomes: dict[str, int]
    skipped: dict[str, int]
    bad_lines: int
    problems: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"{self.advertisements} advertisements, {self.readings} readings"
        for outcome, count in sorted(self.outcomes.items(), key=lambda item: -item[1]):
            yield f"{count:>9}  {outcome}"
        for name, count in sorted(self.skipped.items()):
            yield f"{count:>9}  {name}, skipped"
        if self.bad_lines:
            yield f"{self.bad_lines:>9}  lines that are no advertisement:"
        for problem in self.problems:
            yield f"           {problem}"


async def replay(files: Iterable[tuple[Path | None, str]], config: Config, state: Path | None, out: TextIO) -> Summary:
    """Play files (None is standard input), each with the name that a problem calls it, and write readings to ``out``.

    ProxyListenerError where a file or the state directory cannot be used.
    """
    with ExitStack() as stack:
        ran_before = state is not None and (state / LOCK).exists()
        if state is not None:
            stack.enter_context(single_instance(state))
        journal = open_journal(config, state)
        if journal.fresh and ran_before and not journal.alarm:
            log.warning("the history is lost: there is none in this state directory, which was used before")
        player = _Player(config, journal, out)
        try:
            for path, name in files:
                with _opened(path) as file:
                    await player.play(player.capture.read(file, name))
        finally:
            await player.close()
    return player.summary()


@contextmanager
def _opened(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise ProxyListenerError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        yield file


class _Player:
    def __init__(self, config: Config, journal: Journal, out: TextIO) -> None:
        self.capture = Capture()
        self._config = config
        self._journal = journal
        self._out = out
        self._rooms = {proxy.name: proxy.room or proxy.name for proxy in config.proxies}
        self._engine: Engine | None = None
        self._readings = 0
        self._advertisements = 0
        self._refused = 0
        self._heard = self._time = 0.0

    async def play(self, advertisements: Iterator[Advertisement]) -> None:
        for advertisement in advertisements:
            if self._engine is None:
                self._engine = self._start(advertisement)
                await self._engine.unseal()
            self._hear(self._engine, advertisement)
            if self._advertisements % BATCH == 0:
                await self._commit()
        await self._commit()

    def _hear(self, engine: Engine, advertisement: Advertisement) -> None:
        self._advertisements += 1
        self._heard, self._time = advertisement.heard, advertisement.time
        if (
            len(advertisement.data) > LONGEST
            or advertisement.address >= ADDRESS_LIMIT
            or not WEAKEST <= advertisement.rssi <= STRONGEST
        ):
            self._refused += 1
            return
        engine.hear(
            advertisement.proxy,
            advertisement.address,
            advertisement.address_type,
            advertisement.rssi,
            advertisement.data,
            advertisement.time,
            advertisement.heard,
        )

    def _start(self, first: Advertisement) -> Engine:
        def room(proxy: str) -> str:
            return self._rooms.get(proxy, proxy)

        return Engine(self._config, self._journal, room=room, heard=first.heard, time=first.time, emit=self._emit)

    def _emit(self, reading: Reading) -> None:
        self._readings += 1
        self._journal.append(reading)
        self._out.write(as_json(reading) + "\n")

    async def _commit(self) -> None:
        if not await self._journal.flush():
            raise ProxyListenerError(f"the history cannot be written: {self._journal.storage.error}")
        self._out.flush()

    async def close(self) -> None:
        if self._engine is not None:
            self._engine.note_lasting(self._heard, self._time)
        await self._journal.close()

    def summary(self) -> Summary:
        outcomes = self._engine.outcomes() if self._engine else {}
        outcomes[str(Outcome.REFUSED)] = self._refused
        return Summary(
            self._advertisements,
            self._readings,
            {outcome: count for outcome, count in outcomes.items() if count},
            dict(self._engine.listener.skipped) if self._engine else {},
            self.capture.bad,
            tuple(map(str, self.capture.problems)),
        )
