"""All reads: by schedule, and by hand.

What comes in: time, and the wish of a person. What goes out: errands, one per device at a time. The rule of this file:
only devices with an entry are read, never more often than their plan allows.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from operator import itemgetter

import structlog

from proxy_listener.gatt.miflora import Plant
from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.reads.contract import House, Outlook, Progress, ReadReport, Tell, Timing
from proxy_listener.reads.download import gap_start
from proxy_listener.reads.errand import Errand, heard_by, keep, note_name, now
from proxy_listener.reads.moment import Beginning, Round
from proxy_listener.reads.ranking import Candidate, rank
from proxy_listener.reads.routes import Shared
from proxy_listener.reads.schedule import Plan
from proxy_listener.reads.turn import Turn

log = structlog.get_logger()

LOOKS = 32
"""Devices looked at in one go, about 2 ms: advertisements of all rooms wait meanwhile."""


class Reads:
    """Reads devices: by schedule in :meth:`run`, by hand in :meth:`read_now`.

    ``ended`` counts how connections ended: ``ok``, or the cause of the failure.
    """

    def __init__(self, house: House, timing: Timing | None = None) -> None:
        self._house = house
        self._timing = timing or Timing()
        self._shared = Shared(house.proxies)
        self._entries = {entry.mac: entry for entry in house.entries}
        self._turns = {mac: Turn() for mac in self._entries}
        self._plans: dict[Address, Plan] = {}
        self.ended: Counter[str] = Counter()

    async def run(self) -> None:
        """Read what is due, when it is heard well. Until cancelled; running reads then end with their links closed."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._round(group)
                await asyncio.sleep(self._timing.tick)

    async def read_now(self, mac: Address, history: bool, tell: Tell) -> ReadReport:
        """Read a device because a person asked. Cancelling it ends the read cleanly."""
        entry = self._entries.get(mac)
        if entry is None:
            return ReadReport(False, "the device has no [[device]] entry, and only devices with one are read")
        plant, why_not = self._plant(mac)
        if plant is None:
            return ReadReport(False, why_not)
        if not self._turns[mac].free:
            tell(Progress("waiting for a read of this device that is under way"))
        async with self._turns[mac]:
            errand = Errand(self._house, self._timing, self._shared, entry, plant, self._plan(entry), tell)
            if history:
                await errand.want_log(since=0.0)
            return await self._perform(entry, errand)

    def reload(self, entries: Iterable[DeviceSettings]) -> None:
        """The configuration changed. Budgets go on; a read under way ends as it began."""
        self._entries = {entry.mac: entry for entry in entries}
        for mac, entry in self._entries.items():
            self._turns.setdefault(mac, Turn())
            if mac in self._plans:
                self._plans[mac].interval, self._plans[mac].limit = entry.read, entry.read_limit

    def explain(self, mac: Address) -> list[Candidate]:
        """Every proxy, best first: would it read this device now, and why or why not."""
        entry = self._entries.get(mac) or DeviceSettings(mac)
        return rank(self._shared.situation(entry, heard_by(self._house, mac), self._house.proxies(), now()))

    async def idle(self, mac: Address) -> None:
        """Wait until no read of this device is under way."""
        async with self._turns[mac]:
            return

    def outlook(self, mac: Address) -> Outlook | None:
        """When a device was read, when it will be, and what is left of its budget. None without an entry."""
        if mac not in self._entries:
            return None
        plan, at = self._plan(self._entries[mac]), now()
        due = plan.due_at()
        return Outlook(
            read_age=None if plan.read is None else at - plan.read,
            due_in=None if due is None else due - at,
            left=plan.allowed(at),
            misses=plan.misses,
        )

    def _plan(self, entry: DeviceSettings) -> Plan:
        plan = self._plans.get(entry.mac)
        if plan is None:
            plan = Plan(entry.read, entry.read_limit, born=now(), jitter=self._house.chance())
            plan.recall(self._house.notes.noted(note_name("reads", entry.mac)) or "", now(), self._house.wall())
            self._plans[entry.mac] = plan
        return plan

    def _plant(self, mac: Address) -> tuple[Plant | None, str]:
        status = self._house.device(mac)
        if status is None or status.product_id is None:
            return None, "the device has not been heard yet, so its model is not known"
        plant = self._house.plants.get(status.product_id)
        return plant, "" if plant else f"{status.model} is no model that is read over a connection"

    async def _round(self, group: asyncio.TaskGroup) -> None:
        """Begin the reads that are due and for which a route is free."""
        look = Round(self._house, self._timing, self._shared)
        for number, (entry, plan) in enumerate(self._due(), 1):
            if number % LOOKS == 0:
                await asyncio.sleep(0)
            if look.full:
                return
            turn = self._turns[entry.mac]
            begins = look.beginning(entry, plan, now()) if turn.free else None
            if begins is not None:
                await turn.take()
                self._begin(group, entry, plan, begins)

    def _due(self) -> list[tuple[DeviceSettings, Plan]]:
        """Who may be read by schedule now, longest overdue first."""
        at, due = now(), []
        for mac in self._house.readable():
            entry = self._entries.get(mac)
            if entry is None:
                continue
            plan = self._plan(entry)
            since = plan.due_at()
            if since is not None and since <= at and plan.allowed(at):
                due.append((since, mac, entry, plan))
        return [(entry, plan) for _, _, entry, plan in sorted(due, key=itemgetter(0, 1))]

    def _begin(self, group: asyncio.TaskGroup, entry: DeviceSettings, plan: Plan, begins: Beginning) -> None:
        """A scheduled read. The caller took the device's turn; turn and proxy are let go also if it never ran."""
        errand = Errand(self._house, self._timing, self._shared, entry, begins.plant, plan, _untold, begins.candidates)

        def over(_task: asyncio.Task[None]) -> None:
            self._shared.leave(begins.route.proxy, entry.mac)
            self._turns[entry.mac].leave()

        self._shared.take(begins.route.proxy, entry.mac)
        group.create_task(self._by_itself(entry, errand)).add_done_callback(over)

    async def _by_itself(self, entry: DeviceSettings, errand: Errand) -> None:
        try:
            await self._read_and_fill(entry, errand)
        except Exception:
            # A fault in one device's read must not end the reads of all others.
            log.exception("read broke off", mac=mac_text(entry.mac))
            self._plan(entry).failed()

    async def _read_and_fill(self, entry: DeviceSettings, errand: Errand) -> None:
        """Read, and fetch from the sensor's log what the journal lacks since the last time it was looked at."""
        notes, name, wall = self._house.notes, note_name("log-checked", entry.mac), self._house.wall()
        checked = _number(notes.noted(name))
        if checked is not None and checked <= wall:
            missing = gap_start(await self._house.hours(entry.mac, checked), checked, wall)
            if missing is not None:
                await errand.want_log(missing)
        report = await self._perform(entry, errand)
        if report.ok or checked is None:
            notes.note(name, str(wall))

    async def _perform(self, entry: DeviceSettings, errand: Errand) -> ReadReport:
        report, plan = await errand.run(), self._plan(entry)
        self.ended.update(attempt.cause or "ok" for attempt in report.attempts)
        if report.values:
            plan.succeeded(now(), self._house.chance())
        elif report.attempts:
            plan.failed()
        keep(self._house, entry.mac, plan)
        self._tell_once_of_old_firmware(entry, report)
        return report

    def _tell_once_of_old_firmware(self, entry: DeviceSettings, report: ReadReport) -> None:
        name = note_name("old-firmware", entry.mac)
        if report.firmware is None or self._house.notes.noted(name) or not self._house.valueless(entry.mac):
            return
        self._house.notes.note(name, report.firmware)
        log.warning(
            "the sensor's firmware sends no values by itself; it is read over a connection instead",
            mac=mac_text(entry.mac),
            firmware=report.firmware,
            advice="update it with the maker's phone app (Flower Care): 3.2.1 and later send values",
        )


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _untold(_step: Progress) -> None:
    return
