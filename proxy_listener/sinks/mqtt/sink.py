"""The journal and the house in, a broker that knows both out: the only part of this sink that waits for anything.

::

    connect -> online -> states as they are -> the journal's rows from the last confirmed one, for ever
                      -> the house, every few seconds: availability, proxies, discovery
                      -> Home Assistant's birth: all discovery and states again

The rule of this file: a row is confirmed when the broker acknowledged all that it led to, and at most twenty messages
lie between the broker and the place that is on disk. So a crash repeats twenty, and an outage loses nothing.
"""

import asyncio
import random
import secrets
import sqlite3
import time
from collections import deque
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any

import structlog
from aiomqtt import ProtocolVersion

from proxy_listener.history import Journal, Row
from proxy_listener.model.advertisement import Address
from proxy_listener.model.status import View
from proxy_listener.sinks.mqtt.broker import ENDED, IN_FLIGHT, Broker, Lost, connected
from proxy_listener.sinks.mqtt.records import CLIENT_NOTE, NOTE, Records, read
from proxy_listener.sinks.mqtt.retained import Retained, moved
from proxy_listener.sinks.mqtt.settings import Settings
from proxy_listener.sinks.mqtt.states import States
from proxy_listener.sinks.mqtt.topics import ONLINE, Message, Topics

log = structlog.get_logger()

CURSOR = "mqtt"
"""The name under which the journal keeps our place."""

BATCH = 200
FAR_BEHIND = 1_000
"""Rows at a time; and how many may wait before states are taken from the journal as they are, instead of row by row."""

LOOK_EVERY = 5.0
"""Seconds between looks at the house."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
STEADY = 60.0
"""Seconds before another attempt to connect; and how long a connection must hold for the first pause to be right."""

STORAGE_PAUSE = 0.5

CAUSES = 8
"""Causes of an outage that are told."""

SHORT = 5.0
_AT_ONCE = "it ended the connection as soon as we spoke; its log says why, mostly its ACL does not let us write"
"""Mosquitto 2.0.11 does so to who publishes what he may not, and its refusal is lost on the way."""

_VERSIONS: Mapping[str, Sequence[ProtocolVersion]] = {
    "auto": (ProtocolVersion.V5, ProtocolVersion.V311),
    "5": (ProtocolVersion.V5,),
    "3.1.1": (ProtocolVersion.V311,),
}
_NAMES = {ProtocolVersion.V5: "5", ProtocolVersion.V311: "3.1.1"}

JITTER = (0.3, 2.0)
SPREAD = 5.0
STEPS = 20
"""Seconds after Home Assistant's birth, and over which, in how many steps, all is said again: everyone else
speaks then, too."""


class Sink:
    """One run of the sink, over as many connections as it takes."""

    def __init__(self, settings: Settings, journal: Journal, view: View) -> None:
        self._settings = settings
        self._journal = journal
        self._view = view
        self._topics = Topics(settings.base, settings.prefix)
        self._cursor = journal.cursor(CURSOR)
        self._states = States(self._topics, settings.history)
        noted = read(journal.noted(NOTE))
        self._elsewhere = moved(noted, self._topics) if noted else []
        here = noted if noted and not self._elsewhere else Records(settings.base, settings.prefix)
        self._retained = Retained(
            self._topics, settings.discovery, here, self._belongs, asyncio.get_running_loop().time()
        )
        self._looking = asyncio.Lock()
        self._as_of = 0
        self._unsaved = 0
        self._again = False
        self._causes: set[str] = set()
        self._told_back = False

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        versions = deque(_VERSIONS[self._settings.version])
        pause = FIRST_PAUSE
        while True:
            began = loop.time()
            try:
                await _apart(self._session(versions[0]))
            except Lost as lost:
                if lost.version == "refused" and len(versions) > 1:
                    versions.popleft()
                    continue
                if lost.version == "silent":
                    versions.rotate()
                lasted = loop.time() - began
                self._tell_lost(_AT_ONCE if str(lost) == ENDED and lasted < SHORT else str(lost), lasted)
                if lasted >= STEADY:
                    pause = FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311  not for secrets
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _session(self, version: ProtocolVersion) -> None:
        """One connection, from beginning to end: it ends by Lost."""
        async with connected(self._settings, self._topics, self._client_id(), version) as broker:
            self._tell_back(version)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(broker.ended())
                    tasks.create_task(self._speak(broker))
            except BaseExceptionGroup as group:
                raise _one_of(group) from None

    async def _speak(self, broker: Broker) -> None:
        await broker.publish([Message(self._topics.bridge, ONLINE, retain=True), *self._elsewhere])
        self._elsewhere = []
        self._retained.connected(self._again)
        self._again = True
        await self._snapshot(broker)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(broker))
            tasks.create_task(self._watch(broker))
            tasks.create_task(self._attend(broker))

    async def _follow(self, broker: Broker) -> None:
        """The journal's rows, from the last confirmed one."""
        self._cursor.rewind()
        while True:
            rows = await self._cursor.batch(BATCH)
            if self._cursor.behind > FAR_BEHIND and rows[0].id > self._as_of:
                await self._snapshot(broker)
            window: list[Message] = []
            done = rows[0].id - 1
            for row in rows:
                if self._retained.saw(row.reading):
                    await self._look(broker)
                messages = self._messages(row)
                if self._unsaved + len(window) + len(messages) > IN_FLIGHT:
                    await self._deliver(broker, window, done)
                    await self._save()
                    window = []
                window += messages
                done = row.id
            await self._deliver(broker, window, done)

    def _messages(self, row: Row) -> list[Message]:
        mac = row.reading.mac
        present = self._retained.shows(mac)
        if present and mac not in self._states.by_device:
            self._states.restore(row.reading, self._journal.latest(mac), row.id - 1)
        return self._states.messages(row, time.time(), present)

    async def _deliver(self, broker: Broker, window: Sequence[Message], done: int) -> None:
        if window:
            await broker.publish(window)
            self._unsaved += len(window)
        await self._cursor.confirm(done)

    async def _save(self) -> None:
        """The place goes to disk. While storage fails we wait: what is sent now would be sent again after a crash."""
        while not await self._journal.flush():  # noqa: ASYNC110  each turn tries the disk again
            await asyncio.sleep(STORAGE_PAUSE)
        self._unsaved = 0

    async def _snapshot(self, broker: Broker) -> None:
        """Every device's state as the journal has it; the rows up to here are history."""
        changed: list[Message] = []
        for device in self._view.devices():
            rows = await self._journal.readings(device.mac, limit=1)
            as_of = self._cursor.confirmed + self._cursor.behind
            latest = self._journal.latest(device.mac)
            if rows and (latest or device.mac not in self._states.by_device):
                changed.append(self._states.restore(rows[-1].reading, latest, as_of))
            self._as_of = as_of
        await _in_portions(broker, changed)

    async def _watch(self, broker: Broker) -> None:
        """The house, again and again."""
        while True:
            await self._look(broker)
            await asyncio.sleep(LOOK_EVERY)

    async def _look(self, broker: Broker, spread: float = 0.0) -> None:
        async with self._looking:
            now = asyncio.get_running_loop().time()
            messages = self._retained.messages(self._view.devices(), self._view.proxies(), now)
            size = max(1, len(messages) // STEPS) if spread else IN_FLIGHT
            for portion in _portions(messages, size):
                await broker.publish(portion)
                self._retained.acknowledged(portion)
                await asyncio.sleep(spread * len(portion) / len(messages))
            if messages:
                self._journal.note(NOTE, self._retained.records.text())

    async def _attend(self, broker: Broker) -> None:
        """Home Assistant's births. Those that come while one is attended to are one."""
        born = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._announce(broker, born))
            async for _ in broker.births(self._topics.birth):
                born.set()

    async def _announce(self, broker: Broker, born: asyncio.Event) -> None:
        while True:
            await born.wait()
            await asyncio.sleep(random.uniform(*JITTER))  # noqa: S311  not for secrets
            born.clear()
            self._retained.announce_all()
            await self._look(broker, SPREAD)
            shown = filter(self._retained.shows, self._states.by_device)
            await _in_portions(broker, [self._states.message(mac) for mac in shown])
            await asyncio.sleep(LOOK_EVERY)

    def _belongs(self, mac: Address) -> bool:
        return self._view.unlisted() and self._journal.is_admitted(mac)

    def _client_id(self) -> str:
        """The same for ever: a broker that meets it again ends our old connection, and with it an old last will that
        would otherwise come minutes later and say that we are gone.
        """
        id_ = self._settings.client_id or self._journal.noted(CLIENT_NOTE)
        if id_ is None:
            id_ = f"proxylistener{secrets.token_hex(4)}"
            self._journal.note(CLIENT_NOTE, id_)
        return id_

    def _tell_back(self, version: ProtocolVersion) -> None:
        if not self._told_back:
            host, port = self._settings.address
            log.info("the broker is there", host=host, port=port, mqtt=_NAMES[version], waiting=self._cursor.behind)
        self._told_back = True

    def _tell_lost(self, cause: str, lasted: float) -> None:
        """Each cause once, until a connection has held: one that comes and goes fills no log."""
        if lasted >= STEADY:
            self._causes.clear()
        if cause not in self._causes and len(self._causes) < CAUSES:
            host, port = self._settings.address
            log.warning("the broker is away; readings wait in the history", host=host, port=port, cause=cause)
            self._causes.add(cause)
            self._told_back = False


async def _apart(session: Coroutine[Any, Any, None]) -> None:
    """Runs a session in a task of its own, because Python 3.11's TaskGroup forgets a cancellation that comes while it
    ends by an error. Who only waits forgets none.
    """
    task = asyncio.create_task(session)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # which would be logged where nobody asks
        raise
    task.result()


async def _in_portions(broker: Broker, messages: Sequence[Message]) -> None:
    for portion in _portions(messages, IN_FLIGHT):
        await broker.publish(portion)


def _portions(messages: Sequence[Message], size: int) -> Iterator[Sequence[Message]]:
    return (messages[start : start + size] for start in range(0, len(messages), size))


def _one_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Why a session ended, as one error; what is nobody's fault but ours stays as it is."""
    expected, other = group.split((Lost, sqlite3.Error))
    if other is not None or expected is None:
        return group
    error: BaseException = expected
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Lost) else Lost(f"the history cannot be read: {error}")
