"""Readings go again: those older than the settings keep, and, where the file has no room, the oldest of those who have
most.

The writer's size goes in; small steps come out, each a transaction of a few milliseconds in the writing thread, with
the commits between them. The rule of this file: the size is looked at after each commit, because a flood of plain
frames fills a card within hours, and SQLite uses freed pages again, so the file stops growing.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from proxy_listener.history.file import FAULTS, Store
from proxy_listener.history.holdings import Holding, Holdings
from proxy_listener.history.removal import STEP
from proxy_listener.history.writer import Writer
from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.reading import Reading
from proxy_listener.model.settings import HistorySettings
from proxy_listener.model.timing import DAY

log = structlog.get_logger()

EVERY = 600.0
PAUSE = 0.05
"""Seconds between looks for what is too old, and between the small steps of forgetting it."""

BREATH = 0.005
"""Seconds between the steps of making room: they take 500 rows each, and must be quicker than any flood."""

ROUND = 200
"""Steps after which what they removed may be told, and a new count be due."""

FAULT_PAUSE = 60.0
"""Seconds without an attempt to make room after one that failed."""

SHOWN = 5
"""Devices that the warning names."""

T = TypeVar("T")


class Thinning:
    """Keeps the writer's store within what the settings allow. ``clock`` gives wall seconds."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        thread: ThreadPoolExecutor,
        settings: HistorySettings,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._writer = writer
        self._thread = thread
        self._settings = settings
        self._clock = clock
        self._over = asyncio.Event()
        self._holdings: Holdings | None = None
        self._count_due = 0.0
        self._tell_due = 0.0
        self._removed: Counter[Address] = Counter()
        self._others = 0

    def committed(self, readings: Iterable[Reading]) -> None:
        """For the journal: these were committed."""
        if self._holdings is not None:
            self._holdings.add(readings)
        if self._writer.size > self._settings.max_size:
            self._over.set()

    def count_again(self) -> None:
        """What was counted is not what the file holds any more."""
        self._holdings = None

    async def run(self) -> None:
        """Until cancelled."""
        self.committed(())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._forget_old())
            tasks.create_task(self._stay_small())

    async def _forget_old(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            now = self._clock()
            limits = (now - self._settings.keep, now - self._settings.sealed)
            try:
                while await self._in_thread(self._writer.thin, *limits):
                    self.count_again()
                    await asyncio.sleep(PAUSE)
            except FAULTS as error:
                log.warning("old history could not be removed", error=str(error))

    async def _stay_small(self) -> None:
        while True:
            await self._over.wait()
            self._over.clear()
            try:
                await self._make_room(await self._count())
            except FAULTS as error:
                self.count_again()
                log.warning("history has reached max_size, and nothing could be removed", error=str(error))
                await asyncio.sleep(FAULT_PAUSE)

    async def _count(self) -> Holdings:
        """Anew once a day: summaries are followed about, and hours of hearing not at all."""
        now = asyncio.get_running_loop().time()
        if self._holdings is None or now >= self._count_due:

            def count() -> Holdings:
                with self._store.reading() as connection:
                    return Holdings.counted(connection)

            self._holdings = await asyncio.to_thread(count)
            self._count_due = now + DAY
        return self._holdings

    async def _make_room(self, holdings: Holdings) -> None:
        for _ in range(ROUND):
            if self._writer.size <= self._settings.max_size:
                break
            plan = holdings.plan(STEP)
            if not plan:
                self.count_again()
                break
            gone = await self._in_thread(self._writer.make_room, plan)
            for (holding, _), rows in zip(plan, gone, strict=True):
                holdings.subtract(holding, rows)
                self._note(holding, rows)
            await asyncio.sleep(BREATH)
        else:
            self._over.set()
        self._tell()

    def _note(self, holding: Holding, rows: int) -> None:
        if holding.table == "reading" and holding.mac is not None:
            self._removed[holding.mac] += rows
        else:
            self._others += rows

    def _tell(self) -> None:
        """Once a day at most; what went meanwhile is in the next one."""
        now = asyncio.get_running_loop().time()
        if now < self._tell_due:
            return
        self._tell_due = now + DAY
        log.warning(
            "history has reached max_size; the oldest readings of those who have most are removed",
            max_size=self._settings.max_size,
            size=self._writer.size,
            readings=self._removed.total(),
            most={mac_text(mac): rows for mac, rows in self._removed.most_common(SHOWN)},
            summaries=self._others,
            help="raise [history] max_size, or lower keep; a plain device that has most may be a flood in its name",
        )
        self._removed.clear()
        self._others = 0

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
