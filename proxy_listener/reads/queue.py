"""All reads: scheduled ones and those on demand, one at a time per device.

What comes in: time, and requests. What goes out: reads. Invariants: only devices with a ``[[device]]`` entry are read,
within the limit of their plan; a scheduled read begins only if a proxy is free, the longest overdue device first.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Literal

import attrs
import structlog

from proxy_listener.gatt.interface import GattReader
from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import Heard, ProxyStatus, ReadTimes
from proxy_listener.reads.interface import OnProgress, Progress, ReadContext, ReadOptions, ReadReport, ReadTiming
from proxy_listener.reads.ranking import Candidate, ProxyPool, able, chosen, free, hearing, rank
from proxy_listener.reads.read import Read, now
from proxy_listener.reads.schedule import JUST_HEARD, Plan, gap_start

log = structlog.get_logger()

CHECKED_AT_ONCE = 32
"""Devices that are checked without a pause, about 2 ms: advertisements wait meanwhile."""


class DeviceLock(asyncio.Lock):
    """A lock that says whether it can be acquired without waiting, also between two holders."""

    def __init__(self) -> None:
        super().__init__()
        self._users = 0

    @property
    def free(self) -> bool:
        """It is neither held nor waited for."""
        return self._users == 0

    async def acquire(self) -> Literal[True]:
        """Acquire it."""
        self._users += 1
        try:
            return await super().acquire()
        except BaseException:
            self._users -= 1
            raise

    def release(self) -> None:
        """Release it."""
        self._users -= 1
        super().release()


@attrs.frozen
class DueRead:
    """A scheduled read that can begin, through the chosen one of ``candidates``."""

    reader: GattReader
    proxy: str
    candidates: Sequence[Candidate]


class DueCheck:
    """One check of all devices that are due. The proxies are asked once, and only if a device was just heard."""

    def __init__(self, context: ReadContext, timing: ReadTiming, pool: ProxyPool) -> None:
        self._context = context
        self._patience = timing.patience
        self._pool = pool
        self._proxies: Mapping[str, ProxyStatus] | None = None
        self._free: set[str] = set()

    @property
    def full(self) -> bool:
        """No proxy is free for another read."""
        return self._proxies is not None and self._free <= self._pool.reading.keys()

    def begin(self, entry: DeviceSettings, plan: Plan, now: float) -> DueRead | None:
        """The read of a device that is due, if it was just heard well and a proxy is free."""
        status = self._context.device(entry.mac)
        reader = self._context.reader(status)
        if status is None or reader is None or all(heard.age > JUST_HEARD for heard in status.heard):
            return None
        proxies = self._ask(now)
        if not _well_heard(entry, plan, status.heard, proxies, now):
            return None
        waited = plan.wait(now)
        # Ranking costs as much as all the rest, and if every device is due nearly every proxy is in use.
        if not any(heard.proxy in self._free and heard.proxy not in self._pool.reading for heard in status.heard):
            return None
        situation = self._pool.situation(entry, status.heard, hearing(proxies, status.heard), now, scheduled=True)
        candidates = rank(situation, patient=waited < self._patience)
        route = chosen(candidates)
        return None if route is None else DueRead(reader, route.proxy, candidates)

    def _ask(self, now: float) -> Mapping[str, ProxyStatus]:
        if self._proxies is None:
            self._proxies = self._pool.proxies(now)
            self._free = {name for name, proxy in self._proxies.items() if free(proxy, self._pool.reading)}
        return self._proxies


def _well_heard(
    entry: DeviceSettings, plan: Plan, heard: Sequence[Heard], proxies: Mapping[str, ProxyStatus], now: float
) -> bool:
    """Whether a proxy that may read the device, free or not, has just heard it well."""
    fresh = [
        (one.rssi - one.missed, one.age)
        for one in heard
        if one.age <= JUST_HEARD and one.proxy in proxies and able(proxies[one.proxy], entry)
    ]
    return bool(fresh) and plan.wants(now, max(fresh)[1], max(fresh)[0])


class ReadQueue:
    """Reads devices: by schedule in :meth:`run`, on demand in :meth:`read_now`.

    ``ended`` counts the outcomes of connections: ``ok``, or the cause of the failure.
    """

    def __init__(self, context: ReadContext, timing: ReadTiming | None = None) -> None:
        self._context = context
        self._timing = timing or ReadTiming()
        self._pool = ProxyPool(context.proxies)
        self._entries = {entry.mac: entry for entry in context.entries}
        self._locks = {mac: DeviceLock() for mac in self._entries}
        self._plans: dict[Address, Plan] = {}
        self.ended: Counter[str] = Counter()

    async def run(self) -> None:
        """Read what is due. Until cancelled; running reads then close their connections."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._begin_due(group)
                await asyncio.sleep(self._timing.tick)

    async def read_now(self, mac: Address, options: ReadOptions, on_progress: OnProgress) -> ReadReport:
        """Read a device on demand. Cancelling it closes the connection."""
        entry = self._entries.get(mac)
        if entry is None:
            return ReadReport(False, "the device has no [[device]] entry, and only devices with one are read")
        status = self._context.device(mac)
        if status is None or status.product_id is None:
            return ReadReport(False, "the device has not been heard yet, so its model is not known")
        reader = self._context.reader(status)
        if reader is None:
            return ReadReport(False, f"{status.model} is no model that is read over a connection")
        if options.set_clock and reader.set_clock is None:
            return ReadReport(False, f"{status.model} has no clock that can be set")
        if not self._locks[mac].free:
            on_progress(Progress("waiting for a read of this device that is under way"))
        async with self._locks[mac]:
            read = self._read(entry, reader, on_progress)
            if options.history:
                await read.want_log(since=0.0)
            if options.set_clock:
                read.want_clock_set()
            return await self._perform(entry, reader, read)

    def reload(self, entries: Iterable[DeviceSettings]) -> None:
        """The configuration changed. Counted connections are kept; a running read is not affected."""
        self._entries = {entry.mac: entry for entry in entries}
        for mac, entry in self._entries.items():
            self._locks.setdefault(mac, DeviceLock())
            if mac in self._plans:
                self._plans[mac].interval, self._plans[mac].limit = entry.read, entry.read_limit

    def explain(self, mac: Address) -> list[Candidate]:
        """Every proxy, best first, and why it would be chosen for a read now or not.

        Empty if the model has no reader.
        """
        status = self._context.device(mac)
        if status is not None and status.product is not None and self._context.reader(status) is None:
            return []
        entry = self._entries.get(mac) or DeviceSettings(mac)
        return rank(self._pool.situation(entry, self._context.heard(mac), self._context.proxies(), now()))

    async def idle(self, mac: Address) -> None:
        """Wait until no read of this device is under way."""
        async with self._locks[mac]:
            return

    def plan(self, mac: Address) -> Plan:
        """When a device with an entry was read, when it is due, and what is left of its limit."""
        plan = self._plans.get(mac)
        if plan is None:
            entry = self._entries[mac]
            plan = Plan(entry.read, entry.read_limit, born=now(), jitter=self._context.chance())
            plan.restore(self._context.noted("reads", mac) or "", now(), self._context.wall())
            self._plans[mac] = plan
        return plan

    def times(self, mac: Address) -> ReadTimes | None:
        """When a device was read last and is due next; None if it has no entry or no reader."""
        if mac not in self._entries or self._context.reader(self._context.device(mac)) is None:
            return None
        plan, shift = self.plan(mac), self._context.wall() - now()
        due = plan.next_at(now())
        return ReadTimes(None if plan.read is None else plan.read + shift, None if due is None else due + shift)

    def _read(
        self, entry: DeviceSettings, reader: GattReader, on_progress: OnProgress, candidates: Sequence[Candidate] = ()
    ) -> Read:
        plan = self.plan(entry.mac)
        return Read(self._context, self._timing, self._pool, entry, reader, plan, on_progress, candidates)

    async def _begin_due(self, group: asyncio.TaskGroup) -> None:
        """Begin the reads that are due and for which a proxy is free."""
        check = DueCheck(self._context, self._timing, self._pool)
        for number, (entry, plan) in enumerate(self._due(), 1):
            if number % CHECKED_AT_ONCE == 0:
                await asyncio.sleep(0)
            if check.full:
                return
            lock = self._locks[entry.mac]
            due = check.begin(entry, plan, now()) if lock.free else None
            if due is not None:
                await lock.acquire()
                self._pool.reserve(due.proxy, entry.mac)
                task = group.create_task(self._scheduled(entry, due))
                # Also if the task is cancelled before it runs.
                task.add_done_callback(partial(self._release, due.proxy, entry.mac))

    def _release(self, proxy: str, mac: Address, _task: asyncio.Task[None]) -> None:
        self._pool.release(proxy, mac)
        self._locks[mac].release()

    def _due(self) -> list[tuple[DeviceSettings, Plan]]:
        """The devices whose scheduled read is due, longest overdue first."""
        at, due = now(), []
        for mac in self._context.readable():
            entry = self._entries.get(mac)
            if entry is None:
                continue
            plan = self.plan(mac)
            since = plan.due_at()
            if since is not None and since <= at and plan.allowed(at):
                due.append((since, mac, entry, plan))
        return [(entry, plan) for _, _, entry, plan in sorted(due, key=itemgetter(0, 1))]

    async def _scheduled(self, entry: DeviceSettings, due: DueRead) -> None:
        """Read a device, and fetch the hours that the journal lacks from its log."""
        try:
            read = self._read(entry, due.reader, _ignore, due.candidates)
            wall, checked = self._context.wall(), _number(self._context.noted("log-checked", entry.mac))
            if checked is not None and checked <= wall:
                missing = gap_start(await self._context.hours(entry.mac, checked), checked, wall)
                if missing is not None:
                    await read.want_log(missing)
            report = await self._perform(entry, due.reader, read)
            if report.ok or checked is None:
                self._context.note("log-checked", entry.mac, str(wall))
        except Exception:  # an error in one device's read must not end the reads of all others
            log.exception("read broke off", mac=mac_text(entry.mac))
            self.plan(entry.mac).failed()

    async def _perform(self, entry: DeviceSettings, reader: GattReader, read: Read) -> ReadReport:
        report, plan = await read.run(), self.plan(entry.mac)
        self.ended.update(attempt.cause or "ok" for attempt in report.attempts)
        if report.values:
            plan.succeeded(now(), self._context.chance())
        elif report.attempts:
            plan.failed()
        self._context.keep_plan(entry.mac, plan, now())
        self._warn_of_old_firmware(entry.mac, reader, report)
        return report

    def _warn_of_old_firmware(self, mac: Address, reader: GattReader, report: ReadReport) -> None:
        """Log once that a device sends no values by itself, if an update of its firmware would change that."""
        context = self._context
        if not reader.outdated or report.firmware is None or context.noted("old-firmware", mac):
            return
        if not context.valueless(mac):
            return
        context.note("old-firmware", mac, report.firmware)
        log.warning(
            "the sensor's firmware sends no values by itself; it is read over a connection instead",
            mac=mac_text(mac),
            firmware=report.firmware,
            advice=reader.outdated,
        )


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _ignore(_step: Progress) -> None:
    return
