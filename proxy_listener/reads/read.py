"""One read of one device: connect, read, fetch the log, set the clock; after a failure, through the next proxy.

What comes in: a device, what is wanted of it, how proxies hear it. What goes out: readings and a report of every
attempt. Invariant: a connection is counted before it is requested.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from proxy_listener.gatt.interface import (
    Answer,
    ClockSet,
    Download,
    Gatt,
    GattReader,
    LocalTime,
    LogProgress,
    ReadTarget,
    RefusedError,
)
from proxy_listener.model.advertisement import mac_text
from proxy_listener.model.errors import GattError
from proxy_listener.model.reading import Reading, Source, Value
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import Heard, ProxyStatus
from proxy_listener.reads.interface import Attempt, OnProgress, Progress, ReadContext, ReadReport, ReadTiming
from proxy_listener.reads.ranking import Candidate, ProxyPool, chosen, hearing, rank, worth_waiting
from proxy_listener.reads.schedule import Plan

log = structlog.get_logger()

RETRIED = ("bad_handle", "refused", "refused_answer", "connection_lost")
"""Causes after which the same proxy is tried once more at once, if they came quickly: a cached handle was wrong and is
forgotten now; Bluedroid answered 133 because the last link had just ended (esphome/bluetooth-proxies#41); a link was
lost in its first moments, which is also how a late report of the end of the last link looks."""

PROXY_ONLY = ("no_slot", "proxy_gone")
"""Causes that say nothing about the link between the proxy and the device."""

CONNECTING, READING = 4, 12
"""Round trips to the proxy, at most: from the first question to an open link, and to the live values, with a login.
Each of them can take as long as the network does, so the limits grow with what a round trip was measured to take."""


class Read:
    """One read. The caller holds the device's lock, and has reserved the proxy chosen in ``candidates``, if any."""

    def __init__(
        self,
        context: ReadContext,
        timing: ReadTiming,
        pool: ProxyPool,
        settings: DeviceSettings,
        reader: GattReader,
        plan: Plan,
        on_progress: OnProgress,
        candidates: Sequence[Candidate] = (),
    ) -> None:
        self._context = context
        self._timing = timing
        self._pool = pool
        self._settings = settings
        self._mac = settings.mac
        self._reader = reader
        self._plan = plan
        self._on_progress = on_progress
        status = context.device(settings.mac)
        product_id = None if status is None else status.product_id
        self._target = ReadTarget(settings.mac, product_id or 0, self._local_time)
        self._answer: Answer | None = None
        self._progress: LogProgress | None = None
        self._download: Download | None = None
        self._set_clock = False
        self._clock: ClockSet | None = None
        self._attempts: list[Attempt] = []
        self._tried: dict[str, str] = {}
        self._repeated: set[str] = set()
        self._unanswered: set[str] = set()
        self._candidates = candidates
        self._reserved = chosen(candidates)
        self._scheduled = self._reserved is not None
        self._via: Candidate | None = None
        self._fruitless = 0
        self._started = now()

    async def want_log(self, since: float) -> None:
        """Also fetch the log back to ``since`` (seconds since 1970). Nothing if the device has none."""
        if self._reader.download is None:
            return
        times = list(await self._context.logged(self._mac))
        covered = self._context.noted("log-covered", self._mac)
        self._progress = LogProgress(since, self._store, times, covered)
        self._download = self._reader.download(self._target, self._progress)

    def want_clock_set(self) -> None:
        """Also set the device's clock to local time, after the log: the times of its records are corrected by it."""
        self._set_clock = True

    async def run(self) -> ReadReport:
        """Try the proxies, best first, until everything wanted is done or no proxy is left."""
        ended = ""
        while not self._finished:
            if not self._plan.allowed(now()):
                ended = f"the limit of {self._plan.limit} connections a day is reached"
                break
            route = await self._choose()
            if route is None:
                if await self._ask_again():
                    continue
                break
            await self._attempt(route)
            if self._fruitless >= self._timing.fruitless:
                ended = f"{self._fruitless} connections in a row brought nothing"
                break
        return self._report(ended)

    @property
    def _finished(self) -> bool:
        log_done = self._progress is None or self._progress.complete
        return self._answer is not None and log_done and not (self._set_clock and self._clock is None)

    @property
    def _brought(self) -> int:
        """How much has been read; it only grows."""
        return (self._answer is not None) + (self._progress.done if self._progress else 0)

    async def _choose(self) -> Candidate | None:
        """The best proxy; waits while it is busy and much better than the free ones. None if there is none."""
        reserved, self._reserved = self._reserved, None
        if reserved is not None:
            return reserved
        started, waited = now(), False
        while True:
            patient = now() - started < self._timing.patience
            heard = self._context.heard(self._mac)
            proxies = self._pool.proxies(now(), self._timing.poll if waited or self._attempts else 0.0)
            self._rank(heard, hearing(proxies, heard), patient, started)
            route = chosen(self._candidates)
            if route is not None:
                return route
            if not patient or not worth_waiting(self._candidates):
                self._rank(heard, list(proxies.values()), patient, started)
                return None
            if not waited:
                self._on_progress(Progress("waiting for a busy proxy", self._candidates[0].proxy))
                waited = True
            await asyncio.sleep(self._timing.poll)

    async def _ask_again(self) -> bool:
        """All routes failed: whether one is left on which a single request went unanswered. It is tried once more."""
        again, self._unanswered = self._unanswered - self._repeated, set()
        if again:
            self._repeated |= again
            self._tried = {proxy: error for proxy, error in self._tried.items() if proxy not in again}
            await asyncio.sleep(self._timing.rest)
        return bool(again)

    def _rank(self, heard: Sequence[Heard], proxies: Sequence[ProxyStatus], patient: bool, started: float) -> None:
        """Rank these proxies. Until the choice began, this read may have been connected, and the device silent."""
        unheard = started - self._started
        situation = self._pool.situation(
            self._settings, heard, proxies, now(), tried=self._tried, unheard=unheard, scheduled=self._scheduled
        )
        self._candidates = rank(situation, patient=patient)

    async def _attempt(self, route: Candidate) -> None:
        """One connection through one proxy, and what follows from its outcome."""
        started, before = now(), self._brought
        self._via = route
        self._plan.connected(started)
        self._context.keep_plan(self._mac, self._plan, now())
        self._pool.reserve(route.proxy, self._mac)
        try:
            await self._connect(route)
        except GattError as error:
            self._failed(route, error, now() - started, progress=self._brought > before)
        else:
            self._pool.failures.clear(route.proxy, self._mac, now())
            self._attempts.append(Attempt(route.proxy, True, "", "read", now() - started))
        finally:
            self._pool.release(route.proxy, self._mac)
            self._keep_covered()
        if not self._finished and self._progress is not None and self._progress.done:
            await asyncio.sleep(self._timing.rest)

    async def _connect(self, route: Candidate) -> None:
        self._on_progress(Progress("connecting", route.proxy))
        async with AsyncExitStack() as stack:
            async with _limit(self._timing.live + READING * route.round_trip):
                gatt = await stack.enter_async_context(
                    self._context.connect(route.proxy, self._mac, route.address_type)
                )
                await _trusted(gatt, self._read_live(gatt, route))
            if self._download is not None and not self._download_complete:
                await _trusted(gatt, self._fetch_log(gatt, self._download, route))
            if self._set_clock:
                await _trusted(gatt, self._write_clock(gatt, route))

    @property
    def _download_complete(self) -> bool:
        return self._progress is not None and self._progress.complete

    async def _read_live(self, gatt: Gatt, route: Candidate) -> None:
        """The live values, unless an earlier connection brought them; before that the login that a download needs."""
        if self._download is not None:
            await self._download.log_in(gatt)
        if self._answer is not None:
            return
        self._on_progress(Progress("reading", route.proxy))
        self._answer = await self._reader.read(gatt, self._target)
        self._record("read", self._context.wall(), self._answer.values)

    async def _fetch_log(self, gatt: Gatt, download: Download, route: Candidate) -> None:
        def fetched(done: int, total: int) -> None:
            # With each entry: after a kill the download continues there.
            self._keep_covered()
            self._on_progress(Progress("fetching the log", route.proxy, done, total))

        async with _limit(self._timing.log):
            await download.advance(gatt, fetched)

    async def _write_clock(self, gatt: Gatt, route: Candidate) -> None:
        if self._reader.set_clock is None:
            return
        self._on_progress(Progress("setting the clock", route.proxy))
        async with _limit(self._timing.live + READING * route.round_trip):
            self._clock = await self._reader.set_clock(gatt, self._target)
        self._record("read", self._context.wall(), {"clock_drift": self._clock.after})

    def _failed(self, route: Candidate, error: GattError, seconds: float, *, progress: bool) -> None:
        self._attempts.append(Attempt(route.proxy, False, error.cause, str(error), seconds))
        self._on_progress(Progress(f"failed: {error}", route.proxy))
        if error.cause == "excess":
            self._distrust(route.proxy, str(error))
        if progress:
            self._fruitless = 0
            return
        self._fruitless += 1 if self._brought else 0
        quick = self._timing.quick + CONNECTING * route.round_trip
        if error.cause in RETRIED and seconds < quick and route.proxy not in self._repeated:
            self._repeated.add(route.proxy)
            return
        if error.cause not in PROXY_ONLY:
            self._pool.failures.add(route.proxy, self._mac, now())
            if seconds >= self._timing.hang + CONNECTING * route.round_trip:
                self._pool.failures.add_hang(route.proxy, self._mac, now())
            elif error.cause == "timeout":
                self._unanswered.add(route.proxy)
        if not self._brought:
            self._tried[route.proxy] = str(error)

    def _distrust(self, proxy: str, why: str) -> None:
        self._pool.failures.distrust(proxy, why, now())
        log.warning("proxy is not used for reads for an hour", proxy=proxy, mac=mac_text(self._mac), why=why)

    def _store(self, at: float, values: Mapping[str, Value]) -> None:
        self._record("history", at, values)

    def _record(self, source: Source, at: float, values: Mapping[str, Value]) -> None:
        status, via = self._context.device(self._mac), self._via
        if status is None or via is None:
            return
        reading = Reading(
            time=at,
            mac=self._mac,
            name=status.name,
            model=status.model,
            source=source,
            proxy=via.proxy,
            room=status.room or via.room,
            rssi=None if via.rssi is None else round(via.rssi),
            counter=None,
            trust="claimed",
            late=False,
            values=values,
        )
        self._context.record(reading)

    def _local_time(self) -> LocalTime:
        seconds = self._context.wall()
        return LocalTime(seconds, self._context.utc_offset(seconds))

    def _keep_covered(self) -> None:
        covered = self._download.covered() if self._download else None
        if covered is not None:
            self._context.note("log-covered", self._mac, covered)

    def _report(self, ended: str) -> ReadReport:
        answer = self._answer or Answer({})
        report = ReadReport(
            ok=self._finished,
            detail=ended or self._detail(),
            attempts=tuple(self._attempts),
            values=answer.values,
            refused=answer.refused,
            firmware=answer.firmware,
            log=None if self._progress is None else self._progress.report(),
            clock=self._clock,
            candidates=tuple(self._candidates),
        )
        if not report.ok and self._attempts:
            log.warning("read failed", mac=mac_text(self._mac), **report.log_fields())
        return report

    def _detail(self) -> str:
        if self._finished:
            return f"read through {self._attempts[-1].proxy}"
        if any(candidate.busy for candidate in self._candidates):
            return "every proxy that could read the device is busy"
        return "every route failed" if self._attempts else "no proxy can read the device now"


@asynccontextmanager
async def _limit(seconds: float) -> AsyncIterator[None]:
    """GattError if the block takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise GattError("timeout", f"not done after {seconds:.0f} s") from None


async def _trusted(gatt: Gatt, step: Awaitable[None]) -> None:
    """A step of a read. A refused answer may come from a wrong cached handle: the handles are forgotten then."""
    try:
        await step
    except RefusedError as refusal:
        gatt.distrust()
        raise GattError("refused_answer", str(refusal)) from None


def now() -> float:
    """Monotonic seconds of the running loop."""
    return asyncio.get_running_loop().time()
