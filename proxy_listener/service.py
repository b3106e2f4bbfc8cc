"""The service: builds every part that the configuration asks for, supervises them, reloads, and stops in order.

What comes in: a :class:`Config` and the state directory. Parts are connected here and nowhere else: each gets only the
callables that it needs, and a part that fails is restarted without the others. On stopping, the proxies are left first;
then what was heard is committed and published, within two seconds.
"""

import asyncio
import importlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import structlog

from proxy_listener import sinks, web
from proxy_listener.capture.live import LiveCapture
from proxy_listener.config import Config
from proxy_listener.engine.coverage import Coverage, coverage, hours_listened
from proxy_listener.history import Journal
from proxy_listener.history.journal import STALLED
from proxy_listener.model.advertisement import Address
from proxy_listener.model.quantities import QUANTITIES
from proxy_listener.model.status import NOT_EXPECTED, DeviceStatus, ProxyStatus, Reloaded, View
from proxy_listener.pipeline import Pipeline, open_journal
from proxy_listener.proxies.connection import connection
from proxy_listener.proxies.fleet import Fleet
from proxy_listener.proxies.handle_cache import HandleCache
from proxy_listener.reads import ReadContext, ReadQueue
from proxy_listener.state import had_history, single_instance
from proxy_listener.supervisor import Supervisor
from proxy_listener.systemd import ServiceManager, Watchdog
from proxy_listener.web.url import page_url

if TYPE_CHECKING:
    from proxy_listener.share.shares import Shares

log = structlog.get_logger()

HOUSEKEEPING = 10.0
"""Seconds between rounds of housekeeping, or as often as the watchdog of the service manager wants."""
RECEPTION = 60.0
"""Seconds of reception counts that a crash loses."""

WAITING_REPORT = 30.0
"""Seconds without any stream after which it is logged once what the service waits for."""
WAITING_LINES = 16

CLOSING = 5.0
"""Seconds that the disk has for the last commit."""
DRAINING = 1.0
"""Seconds that sinks have to write what was committed last."""

FLOW = frozenset({"proxies", "journal"})
"""The parts that every reading passes through."""

COVERAGE_HOURS = 7 * 24.0


class Service:
    """All parts over one configuration. ``running`` starts them and, on leaving, stops them in order."""

    def __init__(self, config: Config, state: Path, journal: Journal) -> None:
        loop = asyncio.get_running_loop()
        self.config = config
        self.reread: Callable[[], Awaitable[Reloaded]] | None = None
        self.journal = journal
        self.manager = ServiceManager()
        self._state = state
        self._started = time.time()
        self._parts = Supervisor()
        self._watchdog = Watchdog()
        self.stuck = False
        self.pipeline = Pipeline(config, journal, room=self._room, heard=loop.time(), time=time.time())
        self._shares: Shares | None = None
        self.fleet = Fleet(
            config.discovery,
            config.proxies,
            self.pipeline.hear,
            foreign=self.pipeline.foreign,
            state=state,
            changed=self._proxy_changed,
            tap=lambda proxy: self._shares.tap(proxy) if self._shares is not None else None,
            ours=lambda seen: self._shares is not None and seen.shared and self._shares.ours(seen.name, seen.mac),
        )
        self.view = View(
            self._devices,
            self._proxies,
            self.pipeline.outcomes,
            skipped=lambda: self.pipeline.listener.skipped,
            unlisted=self._shows_unlisted,
            behind=journal.behind,
            reads=lambda: self._reads.ended,
            dial_in=self.fleet.dial_in.status,
            page=lambda: page_url(self.config.web),
            admissions=lambda: self.pipeline.devices.admissions(loop.time()),
        )
        self._capture = LiveCapture(self.pipeline.hear, self.fleet.listen)
        self._reads = self._make_reads()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All parts run inside the block."""
        try:
            self._parts.start("journal", self.journal.run)
            self._parts.start("proxies", self.fleet.run)
            self._share()
            self._parts.start("reads", self._reads.run)
            self._parts.start("control socket", self._control)
            self._parts.start("page", self._page)
            for name, settings in self.config.sinks.items():
                self._start_sink(name, settings)
            self._parts.start("kept frames", self._open_kept)
            self._parts.start("housekeeping", self._housekeeping)
            yield
        finally:
            await self._stop()

    async def reload(self, config: Config) -> str:
        """Take a new configuration; only the parts that it changes are restarted. What waits for the next start."""
        old, self.config = self.config, config
        if (config.devices, config.unlisted) != (old.devices, old.unlisted):
            now = time.time(), asyncio.get_running_loop().time()
            self.pipeline.devices.configure(config.devices, config.unlisted.unlisted, now)
            self._parts.start("kept frames", self._open_kept)
        self._reads.reload(config.devices)
        if config.share != old.share:
            await self._end("shared nodes")
            self._share()
            self.fleet.use_taps()
        if (config.discovery, config.proxies) != (old.discovery, old.proxies):
            self.fleet.reload(config.discovery, config.proxies)
        if (config.web, config.sinks.get("prometheus")) != (old.web, old.sinks.get("prometheus")):
            await self._end("page")
            self._parts.start("page", self._page)
        for name in old.sinks.keys() | config.sinks.keys():
            if config.sinks.get(name) != old.sinks.get(name):
                await self._end(f"sink {name}")
                if name in config.sinks:
                    self._start_sink(name, config.sinks[name])
        if (config.history, config.service) == (old.history, old.service):
            return ""
        log.warning("[history] and [service] take effect with the next start")
        return "[history] and [service] take effect with the next start"

    def _share(self) -> None:
        """Serve the proxies again, where that is configured."""
        self._shares = None
        if self.config.share.listen is None:
            return
        # Imported only where it is configured: it takes memory.
        from proxy_listener.share.shares import Shares

        shares = Shares(self.config.share, self._state, lambda: self.fleet, lambda: self.fleet.zeroconf)
        self._shares = shares
        self._parts.start("shared nodes", shares.run)

    def _proxies(self) -> list[ProxyStatus]:
        statuses, shares = self.fleet.status(), self._shares
        if shares is None:
            return statuses
        return [attrs.evolve(status, shared=shares.status(status.name)) for status in statuses]

    def _proxy_changed(self, _status: ProxyStatus) -> None:
        if self._shares is not None:
            self._shares.changed()

    def live(self) -> int:
        """How many proxies send us their stream."""
        return sum(proxy.live for proxy in self.fleet)

    async def _stop(self) -> None:
        """Leave the proxies first, so that nothing more comes in. Then commit, and let the sinks publish the rest."""
        sinks = [name for name in self._parts.names if name.startswith("sink ")]
        await self._end("shared nodes")
        await self._end("proxies")
        await self._end(*(set(self._parts.names) - {"journal", *sinks}))
        self.pipeline.record_reception(time.time())
        await self._end("journal")
        await self._close_journal()
        await self._parts.wait(DRAINING)
        await self._end(*sinks)

    async def _close_journal(self) -> None:
        closing = asyncio.create_task(self.journal.close())
        done, _ = await asyncio.wait({closing}, timeout=CLOSING)
        if not done:
            closing.cancel()
            self.stuck = True
            log.error("the disk does not answer; what it did not take is lost", readings=self.journal.storage.waiting)
        (error,) = await asyncio.gather(closing, return_exceptions=True)
        if isinstance(error, Exception):
            log.error("the history could not be closed", exc_info=error)

    async def _end(self, *names: str) -> None:
        self.stuck |= not all(await asyncio.gather(*map(self._parts.stop, names)))

    def _start_sink(self, name: str, settings: Any) -> None:
        async def run() -> None:
            sink = importlib.import_module(f"{sinks.__name__}.{name}")
            await sink.run(settings, self.journal, self.view)

        self._parts.start(f"sink {name}", run)

    def _room(self, proxy: str) -> str:
        try:
            return self.fleet[proxy].room
        except KeyError:
            return proxy

    def _devices(self) -> list[DeviceStatus]:
        return [self._with_read(device) for device in self.pipeline.devices.statuses(asyncio.get_running_loop().time())]

    def _with_read(self, device: DeviceStatus) -> DeviceStatus:
        times = self._reads.times(device.mac) if device.readable else None
        if times is None:
            return device
        now = time.time()
        age, due = (None if at is None else at - now for at in (times.last, times.due))
        return attrs.evolve(device, read_age=None if age is None else -age, read_due=due)

    def _device(self, mac: Address) -> DeviceStatus | None:
        return self.pipeline.devices.status(mac, asyncio.get_running_loop().time())

    def _make_reads(self) -> ReadQueue:
        handles = HandleCache(self.journal.tables.noted, self.journal.tables.note)
        return ReadQueue(
            ReadContext(
                entries=self.config.devices,
                readable=lambda: self.pipeline.devices.readable,
                device=self._device,
                proxies=self.fleet.status,
                connect=lambda proxy, mac, kind: connection(self.fleet[proxy], mac, kind, handles),
                record=self.pipeline.record_read,
                notes=self.journal.tables,
                hours=self.journal.reader.hours,
                logged=self.journal.reader.log_times,
                valueless=self.pipeline.devices.valueless,
            )
        )

    async def _control(self) -> None:
        await web.serve_control(self._state, self.view, self.journal, attrs.evolve(self._actions(), reload=self.reread))

    async def _page(self) -> None:
        await web.serve_page(self.config.web, self.view, self.journal, self._actions())

    def _actions(self) -> web.Actions:
        return web.Actions(
            route=self._reads.explain,
            read=self._reads.read_now,
            coverage=self._coverage,
            newcomers=lambda: self.pipeline.devices.waiting(asyncio.get_running_loop().time()),
            admit=lambda mac: self.pipeline.devices.admit(mac, time.time(), asyncio.get_running_loop().time()),
            stream=self._capture.lines,
            metrics=self._metrics(),
            units={name: row.unit.symbol for name, row in QUANTITIES.items() if row.unit.symbol},
        )

    def _metrics(self) -> Callable[[], tuple[str, bytes]] | None:
        settings = self.config.sinks.get("prometheus")
        if settings is None:
            return None
        # Imported only where it is configured: it takes memory, and belongs to an extra.
        from proxy_listener.sinks.prometheus import Metrics

        return Metrics(self.view, self.journal, settings).exposition

    def _shows_unlisted(self) -> bool:
        return self.config.unlisted.unlisted == "emit"

    async def _coverage(self) -> Coverage:
        self.pipeline.record_reception(time.time())
        await self.journal.flush()
        now = time.time()
        record = await self.journal.reader.reception(now - COVERAGE_HOURS * 3600)
        devices = self._devices()
        return coverage(
            record,
            {status.name: status.room for status in self.fleet.status() if status.state not in NOT_EXPECTED},
            {device.mac: device.name for device in devices},
            # A plant sensor with old firmware advertises no frames, and is heard all the same.
            [device.mac for device in devices if device.listed and not device.heard],
            hours_listened(record, now, self._started),
        )

    async def _open_kept(self) -> None:
        await self.pipeline.open_kept()

    async def _housekeeping(self) -> None:
        """Reception counts for the history, and watchdog messages for the service manager."""
        clock = asyncio.get_running_loop().time
        pace = min(HOUSEKEEPING, self.manager.interval or HOUSEKEEPING)
        began = recorded = clock()
        reported = False
        while True:
            now = clock()
            self._notify_manager(now)
            if not reported and now - began >= WAITING_REPORT:
                reported = True
                self.report_waiting()
            if now - recorded >= RECEPTION:
                recorded = now
                self.pipeline.record_reception(time.time())
            await asyncio.sleep(pace)

    def _notify_manager(self, now: float) -> None:
        """STATUS always; WATCHDOG only while readings can pass."""
        if not self.manager.listens:
            return
        hung = self.journal.storage.error == STALLED
        healthy = self._watchdog.healthy(now, running=self._parts.running(FLOW), hung=hung)
        self.manager.notify(f"STATUS={self._summary()}", *["WATCHDOG=1"] * healthy)

    def _summary(self) -> str:
        proxies = [status for status in self.fleet.status() if status.state not in NOT_EXPECTED]
        rate = sum(status.rate for status in proxies)
        devices = self.pipeline.devices.available(asyncio.get_running_loop().time())
        text = f"{self.live()} of {len(proxies)} proxies live, {rate:.0f} advertisements/s, {devices} devices heard"
        storage = self.journal.storage
        return text if storage.ok else f"{text}; history storage fails: {storage.error}"

    def report_waiting(self) -> None:
        """Log what the service waits for, where no proxy sends."""
        if self.live():
            return
        if self.fleet.zeroconf is None:
            log.warning("waiting for a network: mDNS is not open", interfaces=self.config.discovery.interfaces or "all")
        proxies = [status for status in self.fleet.status() if status.state not in NOT_EXPECTED]
        if not proxies:
            log.warning(
                "no proxy found yet; waiting for nodes announced by mDNS",
                service="_esphomelib._tcp.local.",
                help="proxy-listener discover shows what is there; networks without mDNS need [[proxy]] host",
            )
        for status in proxies[:WAITING_LINES]:
            log.warning("waiting for a proxy", proxy=status.name, state=str(status.state), cause=status.cause)
        if len(proxies) > WAITING_LINES:
            log.warning("waiting for more proxies; status shows them", proxies=len(proxies) - WAITING_LINES)


@asynccontextmanager
async def service(config: Config, state: Path) -> AsyncIterator[Service]:
    """The only service of this state directory, running inside the block. ProxyListenerError where it cannot be."""
    ran_before = had_history(state)
    with single_instance(state):
        journal = open_journal(config, state)
        if journal.alarm:
            log.error("a new history was started", detail=journal.alarm)
        elif journal.fresh and ran_before:
            log.warning(
                "the history is lost: there is none in this state directory, where the service ran before",
                path=str(state / config.history.path),
                meaning="frames that were recorded before can be accepted once more",
            )
        made = Service(config, state, journal)
        async with made.running():
            yield made
