"""One read, from the first route to the last: connect, read, fetch the log, and on failure the next route.

What comes in: a device, what is wanted of it, how routes and proxies are. What goes out: readings into the journal and
a report of every attempt. The rule of this file: a connection is counted before it is asked for, and nothing that the
sensor said is taken for more than it is.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import structlog

from proxy_listener.gatt.miflora import Answer, Entry, Plant, RefusedError, log_in, read
from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.errors import GattError
from proxy_listener.model.reading import Reading, Source, Value
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import Heard, ProxyStatus
from proxy_listener.reads.contract import Attempt, House, Link, Progress, ReadReport, Tell, Timing
from proxy_listener.reads.download import Download, recall
from proxy_listener.reads.ranking import Candidate, chosen, rank, worth_waiting
from proxy_listener.reads.routes import Shared, near
from proxy_listener.reads.schedule import Plan

log = structlog.get_logger()

AT_ONCE = ("bad_handle", "refused", "refused_answer", "connection_lost")
"""Causes after which the same proxy is asked once more at once, where they came quickly: a kept handle was stale and
is forgotten now; Bluedroid answered 133 because the last link had just ended (esphome/bluetooth-proxies#41); a link was
gone in its first moments, which is how a late report of the last link's end looks, too."""

PROXY_ALONE = ("no_slot", "proxy_gone")
"""Causes that say nothing about how well the proxy hears the device."""


class Errand:
    """One read under way. The caller holds the device's turn, and the proxy that ``candidates`` has chosen, if any."""

    def __init__(
        self,
        house: House,
        timing: Timing,
        shared: Shared,
        entry: DeviceSettings,
        plant: Plant,
        plan: Plan,
        tell: Tell,
        candidates: Sequence[Candidate] = (),
    ) -> None:
        self._house = house
        self._timing = timing
        self._shared = shared
        self._entry = entry
        self._plant = plant
        self._plan = plan
        self._tell = tell
        self._download: Download | None = None
        self._answer: Answer | None = None
        self._attempts: list[Attempt] = []
        self._tried: dict[str, str] = {}
        self._repeated: set[str] = set()
        self._candidates = candidates
        self._given = chosen(candidates)
        self._via: Candidate | None = None
        self._idle = 0
        self._started = now()

    async def want_log(self, since: float) -> None:
        """Fetch the log as well, back to ``since`` (seconds since 1970)."""
        mac = self._entry.mac
        times = await self._house.logged(mac)
        covered = recall(self._house.notes.noted(note_name("log-covered", mac)))
        self._download = Download(self._plant, since, self._store, self._house.wall, times, covered)

    async def run(self) -> ReadReport:
        """Try the routes, best first, until everything wanted is there or nothing is left to try."""
        ended = ""
        while not self._finished:
            if not self._plan.allowed(now()):
                ended = f"the limit of {self._plan.limit} connections a day is reached"
                break
            route = await self._route()
            if route is None:
                break
            await self._through(route)
            if self._idle >= self._timing.idle_drops:
                ended = f"{self._idle} connections in a row brought nothing"
                break
        return self._report(ended)

    @property
    def _finished(self) -> bool:
        return self._answer is not None and (self._download is None or self._download.complete)

    @property
    def _brought(self) -> int:
        """How much is there, as a number that only grows."""
        return (self._answer is not None) + (self._download.done if self._download else 0)

    async def _route(self) -> Candidate | None:
        """The best route, waited for while it is busy and worth it. None where there is none."""
        given, self._given = self._given, None
        if given is not None:
            return given
        started, waited = now(), False
        while True:
            patient = now() - started < self._timing.patience
            heard = heard_by(self._house, self._entry.mac)
            proxies = self._shared.look(now(), self._timing.look if waited or self._attempts else 0.0)
            self._weigh(heard, near(proxies, heard), patient, started)
            route = chosen(self._candidates)
            if route is not None:
                return route
            if not patient or not worth_waiting(self._candidates):
                self._weigh(heard, list(proxies.values()), patient, started)
                return None
            if not waited:
                self._tell(Progress("waiting for a busy proxy", self._candidates[0].proxy))
                waited = True
            await asyncio.sleep(self._timing.look)

    def _weigh(self, heard: Sequence[Heard], proxies: Sequence[ProxyStatus], patient: bool, started: float) -> None:
        """Rank these proxies. Until the choice began, this read may have held the device, which was silent then."""
        unheard = started - self._started
        around = self._shared.situation(self._entry, heard, proxies, now(), tried=self._tried, unheard=unheard)
        self._candidates = rank(around, patient=patient)

    async def _through(self, route: Candidate) -> None:
        """One connection through one proxy, and what follows from how it ended."""
        started, before = now(), self._brought
        self._via = route
        self._plan.connected(started)
        keep(self._house, self._entry.mac, self._plan)
        self._shared.take(route.proxy, self._entry.mac)
        try:
            await self._connected(route)
        except GattError as error:
            self._failed(route, error, now() - started, progress=self._brought > before)
        else:
            self._shared.failures.clear(route.proxy, self._entry.mac)
            self._attempts.append(Attempt(route.proxy, True, "", "read", now() - started))
        finally:
            self._shared.leave(route.proxy, self._entry.mac)
            self._keep_log()
        if not self._finished and self._download is not None and self._download.done:
            await asyncio.sleep(self._timing.rest)

    async def _connected(self, route: Candidate) -> None:
        self._tell(Progress("connecting", route.proxy))
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._timing.live):
                    link = await stack.enter_async_context(
                        self._house.link(route.proxy, self._entry.mac, route.address_type)
                    )
                    await self._live(link, route)
            except TimeoutError:
                raise GattError("timeout", f"not done after {self._timing.live:.0f} s") from None
            if self._download is not None:
                await self._log(link, self._download, route)

    async def _live(self, link: Link, route: Candidate) -> None:
        """Log in where the link must last, then battery and live values, unless an earlier connection brought them."""
        if self._download is not None:
            await log_in(link, self._plant, self._entry.mac)
        if self._answer is not None:
            return
        self._tell(Progress("reading", route.proxy))
        try:
            self._answer = await read(link, self._plant)
        except RefusedError as refusal:
            link.distrust()
            raise GattError("refused_answer", str(refusal)) from None
        self._record("read", self._house.wall(), self._answer.values)

    async def _log(self, link: Link, download: Download, route: Candidate) -> None:
        def tell(done: int, total: int) -> None:
            self._tell(Progress("fetching the log", route.proxy, done, total))

        try:
            async with asyncio.timeout(self._timing.log):
                await download.advance(link, tell)
        except RefusedError as refusal:
            link.distrust()
            raise GattError("refused_answer", str(refusal)) from None
        except TimeoutError:
            raise GattError("timeout", f"not done after {self._timing.log:.0f} s") from None

    def _failed(self, route: Candidate, error: GattError, seconds: float, *, progress: bool) -> None:
        self._attempts.append(Attempt(route.proxy, False, error.cause, str(error), seconds))
        self._tell(Progress(f"failed: {error}", route.proxy))
        if progress:
            self._idle = 0
            return
        self._idle += 1 if self._brought else 0
        if error.cause in AT_ONCE and seconds < self._timing.quick and route.proxy not in self._repeated:
            self._repeated.add(route.proxy)
            return
        if error.cause not in PROXY_ALONE:
            self._shared.failures.note(route.proxy, self._entry.mac, now())
        if not self._brought:
            self._tried[route.proxy] = str(error)

    def _store(self, at: float, entry: Entry) -> None:
        self._record("history", at, entry.values)

    def _record(self, source: Source, at: float, values: Mapping[str, Value]) -> None:
        status, via = self._house.device(self._entry.mac), self._via
        if status is None or via is None:
            return
        reading = Reading(
            time=at,
            mac=self._entry.mac,
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
        self._house.record(reading)

    def _keep_log(self) -> None:
        covered = self._download.covered() if self._download else None
        if covered is not None:
            self._house.notes.note(note_name("log-covered", self._entry.mac), covered.note())

    def _report(self, ended: str) -> ReadReport:
        answer, download = self._answer, self._download
        report = ReadReport(
            ok=self._finished,
            detail=ended or self._detail(),
            attempts=tuple(self._attempts),
            values={} if answer is None else answer.values,
            refused=() if answer is None else answer.refused,
            firmware=None if answer is None else answer.firmware,
            log=None if download is None else download.report(),
            candidates=tuple(self._candidates),
        )
        if not report.ok and self._attempts:
            log.warning("read failed", mac=mac_text(self._entry.mac), **facts(report))
        return report

    def _detail(self) -> str:
        if self._finished:
            return f"read through {self._attempts[-1].proxy}"
        if any(candidate.busy for candidate in self._candidates):
            return "every proxy that could is busy"
        return "every route failed" if self._attempts else "no proxy can read the device now"


def now() -> float:
    """Monotonic seconds, of the running loop."""
    return asyncio.get_running_loop().time()


def note_name(what: str, mac: Address) -> str:
    """The name under which something about a device is noted."""
    return f"{what}/{mac_text(mac)}"


def keep(house: House, mac: Address, plan: Plan) -> None:
    """Note a plan, so that a restart gives no connection away."""
    house.notes.note(note_name("reads", mac), plan.note(now(), house.wall()))


def heard_by(house: House, mac: Address) -> Sequence[Heard]:
    """How each proxy hears the device now."""
    status = house.device(mac)
    return () if status is None else status.heard


def facts(report: ReadReport) -> dict[str, Any]:
    """Why a read went as it did, for one log line: what each attempt said, and the reason of each that hears it."""
    return {
        "why": report.detail,
        "attempts": [f"{attempt.proxy}: {attempt.detail} ({attempt.seconds:.1f} s)" for attempt in report.attempts],
        "routes": [f"{one.proxy}: {one.reason}" for one in report.candidates if one.heard_age is not None],
    }
