"""The hall: everything the configuration asks for is built here, put side by side, and supervised.

What comes in: a :class:`Config` and the state directory. What goes out: nothing; the parts do the work. The rule of
this file: parts meet here and nowhere else, each gets only the callables that it needs, and none of them can stop
another. When told to stop, proxies are left first, then what was heard is committed and told, within two seconds.
"""

import asyncio
import importlib
import resource
import signal
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, TextIO

import structlog

from proxy_listener import sinks, web
from proxy_listener.advertisement import Address
from proxy_listener.config import Config, load
from proxy_listener.coverage import Coverage, coverage
from proxy_listener.engine import Engine
from proxy_listener.errors import ConfigError, ProxyListenerError
from proxy_listener.history import Journal
from proxy_listener.instance import LOCK, ServiceManager, single_instance
from proxy_listener.outcome import Outcome
from proxy_listener.proxies.fleet import Fleet
from proxy_listener.proxies.gatt import connection
from proxy_listener.proxies.handles import Tables
from proxy_listener.reads import House, Reads
from proxy_listener.status import DeviceStatus, ProxyState, View
from proxy_listener.taps import Taps
from proxy_listener.xiaomi.quantities import QUANTITIES

log = structlog.get_logger()

RESTART_PAUSES = (1.0, 5.0, 30.0, 60.0)
"""Seconds before a part that failed is started again."""

HOUSEKEEPING = 10.0
NOTE_EVERY = 6
"""Rounds of housekeeping between notes of hearing: once a minute."""

WAITING_TOLD = 30.0
LAST_WORDS = 1.0
"""Seconds that sinks have to write what was committed last."""

COVERAGE_HOURS = 7 * 24.0

STRANGERS = {ProxyState.NOT_A_PROXY, ProxyState.NOT_ACCEPTED}
"""Nodes of the network that are not expected to hear anything for us."""


class Service:
    """All parts over one configuration. ``running`` starts them and, on leaving, stops them in order."""

    def __init__(self, config: Config, state: Path, journal: Journal) -> None:
        loop = asyncio.get_running_loop()
        self.config = config
        self.journal = journal
        self.manager = ServiceManager()
        self._state = state
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.engine = Engine(config, journal, room=self._room, heard=loop.time(), time=time.time())
        self.fleet = Fleet(config.discovery, config.proxies, self.engine.hear, state=state)
        self.view = View(
            self._devices,
            self.fleet.status,
            self.engine.outcomes,
            unlisted=self._shows_unlisted,
            behind=journal.behind,
            reads=lambda: self._reads.ended,
        )
        self._taps = Taps(self.engine.hear, self.fleet.listen)
        self._reads = self._make_reads()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything at work inside the block."""
        journal = asyncio.create_task(self.journal.run(), name="journal")
        try:
            self._start("proxies", self.fleet.run)
            self._start("reads", self._reads.run)
            self._start("control socket", self._control)
            self._start("page", self._page)
            for name, settings in self.config.sinks.items():
                self._start_sink(name, settings)
            self._start("kept frames", self._unseal)
            self._start("housekeeping", self._housekeeping)
            yield
        finally:
            await self._stop(journal)

    async def reload(self, config: Config) -> None:
        """Take a new configuration; only what changed in it is touched."""
        old, self.config = self.config, config
        if (config.devices, config.unlisted) != (old.devices, old.unlisted):
            self.engine.devices.configure(config.devices, config.unlisted.unlisted)
            self._start("kept frames", self._unseal)
        self._reads.reload(config.devices)
        if (config.discovery, config.proxies) != (old.discovery, old.proxies):
            self.fleet.reload(config.discovery, config.proxies)
        if config.web != old.web:
            await self._end("page")
            self._start("page", self._page)
        for name in old.sinks.keys() | config.sinks.keys():
            if config.sinks.get(name) != old.sinks.get(name):
                await self._end(f"sink {name}")
                if name in config.sinks:
                    self._start_sink(name, config.sinks[name])
        if (config.history, config.service) != (old.history, old.service):
            log.warning("[history] and [service] take effect with the next start")

    def live(self) -> int:
        """How many proxies stream to us."""
        return sum(status.state is ProxyState.LIVE for status in self.fleet.status())

    async def _stop(self, journal: asyncio.Task[None]) -> None:
        """Leave the proxies first: nothing more comes in. Then commit what came, and let the sinks say it."""
        await self._end("proxies")
        for name in [name for name in self._tasks if not name.startswith("sink ")]:
            await self._end(name)
        self.engine.note_alive()
        self.engine.note_hearing(time.time())
        journal.cancel()
        await asyncio.gather(journal, return_exceptions=True)
        await self.journal.close()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=LAST_WORDS)
        for name in list(self._tasks):
            await self._end(name)

    def _start(self, name: str, part: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if name in self._tasks:
            self._tasks[name].cancel()
        task = self._tasks[name] = asyncio.create_task(self._supervise(name, part), name=name)
        task.add_done_callback(lambda task: self._tasks.get(name) is task and self._tasks.pop(name))

    def _start_sink(self, name: str, settings: Any) -> None:
        sink = importlib.import_module(f"{sinks.__name__}.{name}")
        self._start(f"sink {name}", lambda: sink.run(settings, self.journal, self.view))

    async def _end(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _supervise(self, name: str, part: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a part; one that fails is started again, more and more slowly, and stops no other."""
        for attempt in range(1 << 30):
            started = asyncio.get_running_loop().time()
            try:
                return await part()
            except Exception as error:  # noqa: BLE001  whatever a part raises, the others go on
                long = asyncio.get_running_loop().time() - started > RESTART_PAUSES[-1]
                pause = RESTART_PAUSES[0 if long else min(attempt, len(RESTART_PAUSES) - 1)]
                expected = isinstance(error, (OSError, ProxyListenerError))
                detail: dict[str, Any] = {"error": str(error)} if expected else {"exc_info": error}
                log.error("a part failed and is started again", part=name, seconds=pause, **detail)  # noqa: TRY400  what is expected has no traceback
                await asyncio.sleep(pause)
        return None

    def _room(self, proxy: str) -> str:
        try:
            return self.fleet[proxy].room
        except KeyError:
            return proxy

    def _devices(self) -> list[DeviceStatus]:
        return self.engine.devices.statuses(asyncio.get_running_loop().time())

    def _device(self, mac: Address) -> DeviceStatus | None:
        return self.engine.devices.status(mac, asyncio.get_running_loop().time())

    def _make_reads(self) -> Reads:
        tables = Tables(self.journal.noted, self.journal.note)
        return Reads(
            House(
                entries=self.config.devices,
                device=self._device,
                proxies=self.fleet.status,
                link=lambda proxy, mac, kind: connection(self.fleet[proxy], mac, kind, tables),
                record=self.journal.append,
                notes=self.journal,
                hours=self.journal.hours,
                logged=self.journal.logged,
                valueless=self.engine.devices.valueless,
            )
        )

    async def _control(self) -> None:
        await web.serve_control(self._state, self.view, self.journal, self._actions())

    async def _page(self) -> None:
        await web.serve_page(self.config.web, self.view, self.journal, self._actions())

    def _actions(self) -> web.Actions:
        return web.Actions(
            route=self._reads.explain,
            read=self._reads.read_now,
            coverage=self._coverage,
            stream=self._taps.lines,
            metrics=self._metrics(),
            units={quantity.name: quantity.unit for quantity in QUANTITIES.values() if quantity.unit},
        )

    def _metrics(self) -> Callable[[], tuple[str, bytes]] | None:
        settings = self.config.sinks.get("prometheus")
        if settings is None:
            return None
        # Imported only where it is asked for: it costs memory, and belongs to an extra.
        from proxy_listener.sinks.prometheus import Metrics

        return Metrics(self.view, self.journal, settings).exposition

    def _shows_unlisted(self) -> bool:
        return self.config.unlisted.unlisted == "emit"

    async def _coverage(self) -> Coverage:
        self.engine.note_hearing(time.time())
        await self.journal.flush()
        record = await self.journal.hearing(time.time() - COVERAGE_HOURS * 3600)
        devices = self._devices()
        return coverage(
            record,
            {status.name: status.room for status in self.fleet.status() if status.state not in STRANGERS},
            {device.mac: device.name for device in devices},
            # What advertises nothing that would be a frame (an old plant sensor) is heard all the same.
            [device.mac for device in devices if device.listed and not device.heard],
            COVERAGE_HOURS,
        )

    async def _unseal(self) -> None:
        await self.engine.unseal()

    async def _housekeeping(self) -> None:
        """Notes for after a restart, and signs of life for the service manager."""
        loop = asyncio.get_running_loop()
        began, told, committed = loop.time(), False, 0
        for turn in range(1 << 60):
            waiting = self.journal.storage.waiting
            # Readings can flow while the journal takes what waits, or at least knows why it cannot.
            if waiting == 0 or waiting != committed or not self.journal.storage.ok:
                self.manager.tell("WATCHDOG=1", f"STATUS={self._summary()}")
            committed = waiting
            if not told and loop.time() - began >= WAITING_TOLD and not self.live():
                told = True
                self.tell_waiting()
            if turn % NOTE_EVERY == NOTE_EVERY - 1:
                self.engine.note_alive()
                self.engine.note_hearing(time.time())
            await asyncio.sleep(HOUSEKEEPING)

    def _summary(self) -> str:
        proxies = self.fleet.status()
        rate = sum(status.rate for status in proxies)
        devices = sum(device.available for device in self._devices())
        return f"{self.live()} of {len(proxies)} proxies live, {rate:.0f} advertisements/s, {devices} devices heard"

    def tell_waiting(self) -> None:
        """Say what is waited for, because nothing comes in."""
        proxies = self.fleet.status()
        if not proxies:
            log.warning(
                "no proxy found yet; waiting for nodes announced by mDNS",
                service="_esphomelib._tcp.local.",
                help="proxy-listener discover shows what is there; networks without mDNS need [[proxy]] host",
            )
            return
        for status in proxies:
            log.warning("waiting for a proxy", proxy=status.name, state=str(status.state), cause=status.cause)


@asynccontextmanager
async def service(config: Config, state: Path) -> AsyncIterator[Service]:
    """The only service of this state directory, running inside the block. ProxyListenerError where it cannot be."""
    ran_before = (state / LOCK).exists()
    with single_instance(state):
        journal = _open(config, state)
        if journal.alarm:
            log.error("the history had to be started anew", detail=journal.alarm)
        elif journal.fresh and ran_before:
            log.warning(
                "the history is lost: there is none in this state directory, where the service ran before",
                path=str(state / config.history.path),
                meaning="frames recorded earlier are new once more, until heard",
            )
        made = Service(config, state, journal)
        async with made.running():
            yield made


def _open(config: Config, state: Path) -> Journal:
    path = state / config.history.path
    try:
        return Journal(path, config.history)
    except (OSError, sqlite3.Error) as error:
        raise ProxyListenerError(f"the history {path} cannot be opened: {error}") from error


async def run(config: Config, state: Path) -> None:
    """The service, until SIGTERM or SIGINT. SIGHUP reads the configuration again; one with errors changes nothing."""
    _allow_many_sockets()
    loop = asyncio.get_running_loop()
    stop, again = asyncio.Event(), asyncio.Event()
    async with service(config, state) as running:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, again.set)
        log.info("listening", proxies=len(config.proxies), devices=len(config.devices), state=str(state))
        running.manager.tell("READY=1", "STATUS=looking for proxies")
        reloads = asyncio.create_task(_reload_when(again, running))
        await stop.wait()
        running.manager.tell("STOPPING=1")
        log.info("stopping")
        reloads.cancel()
    log.info("stopped")


def _allow_many_sockets() -> None:
    """Two sockets a proxy; the usual soft limit of 1,024 is there for programs that use select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _reload_when(again: asyncio.Event, running: Service) -> None:
    while True:
        await again.wait()
        again.clear()
        path = running.config.path
        if path is None:
            log.warning("there is no configuration file to read again")
            continue
        running.manager.tell("RELOADING=1")
        try:
            config = await asyncio.to_thread(load, path)
        except ConfigError as error:
            for problem in error.problems:
                log.error("devices.toml was not taken; the old one stays", problem=str(problem))  # noqa: TRY400  as above
        else:
            await running.reload(config)
            log.info("devices.toml was read again", proxies=len(config.proxies), devices=len(config.devices))
        running.manager.tell("READY=1")


async def record(config: Config, state: Path, file: TextIO, seconds: float | None) -> None:
    """Connect as :func:`run` does and write every advertisement as a line of a capture, until told to stop."""
    with single_instance(state):
        fleet = Fleet(config.discovery, config.proxies, _unheard, state=state)
        taps = Taps(_unheard, fleet.listen)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        tasks = [asyncio.create_task(part) for part in (_write_lines(taps.lines(), file), fleet.run(), _until(stop))]
        try:
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _unheard(
    _proxy: str, _address: int, _address_type: int, _rssi: int, _data: bytes, _time: float, _heard: float
) -> Outcome:
    return Outcome.NOT_OURS


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


async def _write_lines(lines: AsyncGenerator[str, None], file: TextIO) -> None:
    async with aclosing(lines):
        async for line in lines:
            file.write(line + "\n")
            file.flush()
