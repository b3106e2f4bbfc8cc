"""All reads: by schedule, and by hand.

What comes in: time, and the wish of a person. What goes out: errands, one per device at a time. The rule of this file:
only devices with an entry are read, never more often than their plan allows.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable

import structlog

from proxy_listener.advertisement import Address, mac_text
from proxy_listener.reads.contract import House, Outlook, Progress, ReadReport, Tell, Timing
from proxy_listener.reads.download import gap_start
from proxy_listener.reads.errand import Errand, Shared, keep, note_name, now, situation
from proxy_listener.reads.ranking import Candidate, rank
from proxy_listener.reads.schedule import JUST_HEARD, Plan
from proxy_listener.settings import DeviceSettings
from proxy_listener.xiaomi.miflora import Plant

log = structlog.get_logger()


class Reads:
    """Reads devices: by schedule in :meth:`run`, by hand in :meth:`read_now`.

    ``ended`` counts how connections ended: ``ok``, or the cause of the failure.
    """

    def __init__(self, house: House, timing: Timing | None = None) -> None:
        self._house = house
        self._timing = timing or Timing()
        self._shared = Shared()
        self._entries = {entry.mac: entry for entry in house.entries}
        self._turns = {mac: asyncio.Lock() for mac in self._entries}
        self._plans: dict[Address, Plan] = {}
        self.ended: Counter[str] = Counter()

    async def run(self) -> None:
        """Read what is due, when it is heard well. Until cancelled; running reads then end with their links closed."""
        async with asyncio.TaskGroup() as group:
            while True:
                for mac in list(self._house.readable()):
                    entry = self._entries.get(mac)
                    if entry is not None and not self._turns[mac].locked() and self._moment(entry):
                        await self._turns[mac].acquire()
                        group.create_task(self._by_itself(entry))
                await asyncio.sleep(self._timing.tick)

    async def read_now(self, mac: Address, history: bool, tell: Tell) -> ReadReport:
        """Read a device because a person asked. Cancelling it ends the read cleanly."""
        entry = self._entries.get(mac)
        if entry is None:
            return ReadReport(False, "the device has no [[device]] entry, and only devices with one are read")
        plant, why_not = self._plant(mac)
        if plant is None:
            return ReadReport(False, why_not)
        if self._turns[mac].locked():
            tell(Progress("waiting for a read of this device that is under way"))
        async with self._turns[mac]:
            errand = self._errand(entry, plant, tell)
            if history:
                await errand.want_log(since=0.0)
            return await self._perform(entry, errand)

    def reload(self, entries: Iterable[DeviceSettings]) -> None:
        """The configuration changed. Budgets go on; a read under way ends as it began."""
        self._entries = {entry.mac: entry for entry in entries}
        for mac, entry in self._entries.items():
            self._turns.setdefault(mac, asyncio.Lock())
            if mac in self._plans:
                self._plans[mac].interval, self._plans[mac].limit = entry.read, entry.read_limit

    def explain(self, mac: Address) -> list[Candidate]:
        """Every proxy, best first: would it read this device now, and why or why not."""
        return rank(situation(self._house, self._shared, self._entries.get(mac) or DeviceSettings(mac), {}))

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

    def _errand(self, entry: DeviceSettings, plant: Plant, tell: Tell) -> Errand:
        return Errand(self._house, self._timing, self._shared, entry, plant, self._plan(entry), tell)

    def _moment(self, entry: DeviceSettings) -> bool:
        """Is the device due, and just heard well by a proxy that may read it?"""
        plan, at = self._plan(entry), now()
        due = plan.due_at()
        if due is None or at < due or self._plant(entry.mac)[0] is None:
            return False
        fresh = [
            (candidate.rssi, candidate.heard_age)
            for candidate in self.explain(entry.mac)
            if candidate.eligible and candidate.rssi is not None and (candidate.heard_age or 0.0) <= JUST_HEARD
        ]
        return bool(fresh) and plan.wants(at, max(fresh)[1], max(fresh)[0])

    async def _by_itself(self, entry: DeviceSettings) -> None:
        """One scheduled read. The caller took the device's turn; it ends here."""
        try:
            plant, _ = self._plant(entry.mac)
            if plant is not None:
                await self._read_and_fill(entry, self._errand(entry, plant, _untold))
        except Exception:
            # A fault in one device's read must not end the reads of all others.
            log.exception("read broke off", mac=mac_text(entry.mac))
            self._plan(entry).failed()
        finally:
            self._turns[entry.mac].release()

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
