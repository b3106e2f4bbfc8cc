"""Publishes journal rows and the current state to the broker. All input and output of this sink is here.

::

    connect -> online -> the current states -> then, at the same time, until the connection ends:
                           the journal's rows, from the last confirmed one on
                           every few seconds: availability, proxies, discovery, where they changed, and states
                             without the values that became too old
                           at Home Assistant's birth message: all discovery and states again

A row is confirmed when the broker has acknowledged all its messages, and at most twenty acknowledged messages are not
yet on disk as confirmed. So an outage loses nothing, and a crash repeats at most twenty messages.
"""

import asyncio
import random
import secrets
import sqlite3
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiomqtt import ProtocolVersion

from proxy_listener.history import Journal, Row
from proxy_listener.model.advertisement import Address
from proxy_listener.model.status import View
from proxy_listener.sinks.mqtt.broker import IN_FLIGHT, Broker, connect
from proxy_listener.sinks.mqtt.client import Lost
from proxy_listener.sinks.mqtt.outages import Outages
from proxy_listener.sinks.mqtt.records import Records, read
from proxy_listener.sinks.mqtt.retained import CLIENT_NOTE, NOTE, Retained, moved
from proxy_listener.sinks.mqtt.settings import Settings
from proxy_listener.sinks.mqtt.states import States
from proxy_listener.sinks.mqtt.topics import ONLINE, Message, Topics

CURSOR = "mqtt"
"""Name of the journal's cursor."""

BATCH = 200
FAR_BEHIND = 1_000
"""Rows at a time; and how many may wait before the current states are published first, ahead of the rows."""

UPDATE_EVERY = 5.0
"""Seconds between two updates of availability, proxies and discovery."""

STORAGE_RETRY = 0.5

_VERSIONS: Mapping[str, Sequence[ProtocolVersion]] = {
    "auto": (ProtocolVersion.V5, ProtocolVersion.V311),
    "5": (ProtocolVersion.V5,),
    "3.1.1": (ProtocolVersion.V311,),
}
JITTER = (0.3, 2.0)
SPREAD = 5.0
STEPS = 20
"""Seconds to wait after Home Assistant's birth message; seconds, and steps, over which everything is published again.
Other programs publish at that moment, too."""


class Publisher:
    """One run of the sink, over any number of connections."""

    def __init__(self, settings: Settings, journal: Journal, view: View) -> None:
        self._settings = settings
        self._journal = journal
        self._view = view
        self._topics = Topics(settings.base, settings.prefix)
        self._cursor = journal.cursor(CURSOR)
        noted = read(journal.tables.noted(NOTE))
        self._to_remove = moved(noted, self._topics) if noted else []
        records = noted if noted and not self._to_remove else Records(settings.base, settings.prefix)
        self._retained = Retained(
            self._topics, settings.discovery, records, self._is_shown, asyncio.get_running_loop().time()
        )
        self._states = States(self._topics, settings.history, self._retained.lifetime)
        self._updating = asyncio.Lock()
        self._announced: set[Address] = set()
        self._as_of = 0
        self._unsaved = 0
        self._reconnected = False
        self._outages = Outages(settings)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        versions = deque(_VERSIONS[self._settings.version])
        while True:
            began = loop.time()
            try:
                await _in_own_task(self._session(versions[0]))
            except Lost as lost:
                if lost.version == "refused" and len(versions) > 1:
                    versions.popleft()
                    continue
                if lost.version == "silent" and not self._reconnected:
                    versions.rotate()
                await asyncio.sleep(self._outages.lost(lost, loop.time() - began))

    async def _session(self, version: ProtocolVersion) -> None:
        """One connection, from beginning to end. It ends by Lost."""
        async with connect(self._settings, self._topics, self._client_id(), version) as broker:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(broker.ended())
                    tasks.create_task(self._publish(broker, version))
            except BaseExceptionGroup as group:
                raise _one_of(group) from None

    async def _publish(self, broker: Broker, version: ProtocolVersion) -> None:
        self._states.waited, waiting = self._cursor.newest, self._cursor.behind
        await broker.publish([Message(self._topics.bridge, ONLINE, retain=True), *self._to_remove])
        self._outages.connected(version, waiting)
        self._to_remove = []
        self._retained.page = self._view.page()
        self._retained.connected(self._reconnected)
        self._reconnected = True
        await self._snapshot(broker)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publish_rows(broker))
            tasks.create_task(self._update_regularly(broker))
            tasks.create_task(self._answer_births(broker))

    async def _publish_rows(self, broker: Broker) -> None:
        self._cursor.rewind()
        while True:
            rows = await self._cursor.batch(BATCH)
            if self._cursor.behind > FAR_BEHIND and rows[0].id > self._as_of:
                await self._snapshot(broker)
            window: list[Message] = []
            done = rows[0].id - 1
            for row in rows:
                if self._retained.record(row.reading):
                    await self._update(broker)
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
        shown = self._retained.shows(mac)
        if shown and mac not in self._states.by_device:
            self._states.restore(row.reading, self._journal.reader.latest(mac), row.id - 1, time.time())
        return self._states.messages(row, time.time(), shown)

    async def _deliver(self, broker: Broker, window: Sequence[Message], done: int) -> None:
        if window:
            await broker.publish(window)
            self._unsaved += len(window)
        await self._cursor.confirm(done)

    async def _save(self) -> None:
        """Write the cursor to disk. Publishing waits while that fails, or a crash would repeat more than twenty."""
        while not await self._journal.flush():  # noqa: ASYNC110  flush tries the disk again
            await asyncio.sleep(STORAGE_RETRY)
        self._unsaved = 0

    async def _snapshot(self, broker: Broker) -> None:
        """Publish every device's state as the journal has it. Rows up to here are not newer than these states."""
        changed: list[Message] = []
        for device in self._view.devices():
            rows = await self._journal.reader.readings(device.mac, limit=1)
            as_of = self._cursor.newest
            latest = self._journal.reader.latest(device.mac)
            if device.established and rows and (latest or device.mac not in self._states.by_device):
                self._retained.describe(device)
                self._retained.add_rooms([rows[-1].reading.room])
                changed.append(self._states.restore(rows[-1].reading, latest, as_of, time.time()))
            self._as_of = as_of
        await _in_portions(broker, changed)

    async def _update_regularly(self, broker: Broker) -> None:
        while True:
            announced, self._announced = self._announced, set()
            await self._update(broker)
            await self._publish_states(broker, announced.union(self._states.outdated(time.time())))
            await asyncio.sleep(UPDATE_EVERY)

    async def _publish_states(self, broker: Broker, macs: Iterable[Address]) -> None:
        now = time.time()
        await _in_portions(broker, [self._states.message(mac, now) for mac in macs if self._retained.shows(mac)])

    async def _update(self, broker: Broker, spread: float = 0.0) -> None:
        """Publish what the broker does not have yet of availability, proxies and discovery, over ``spread`` seconds."""
        async with self._updating:
            now = asyncio.get_running_loop().time()
            messages = self._retained.messages(self._view.devices(), self._view.proxies(), now)
            size = max(1, len(messages) // STEPS) if spread else IN_FLIGHT
            for portion in _portions(messages, size):
                await broker.publish(portion)
                self._retained.acknowledged(portion)
                self._announced |= self._states.announced(portion)
                await asyncio.sleep(spread * len(portion) / len(messages))
            if messages:
                self._journal.tables.note(NOTE, self._retained.records.text())

    async def _answer_births(self, broker: Broker) -> None:
        """Publish everything again after each of Home Assistant's birth messages; those that come meanwhile are one."""
        born = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publish_again(broker, born))
            async for _ in broker.births(self._topics.birth):
                born.set()

    async def _publish_again(self, broker: Broker, born: asyncio.Event) -> None:
        while True:
            await born.wait()
            await asyncio.sleep(random.uniform(*JITTER))  # noqa: S311  not for secrets
            born.clear()
            self._retained.announce_all()
            await self._update(broker, SPREAD)
            await self._publish_states(broker, self._states.by_device)
            await asyncio.sleep(UPDATE_EVERY)

    def _is_shown(self, mac: Address) -> bool:
        return self._view.unlisted() and self._journal.tables.admitted(mac) is not None

    def _client_id(self) -> str:
        """Kept over restarts, so that the broker closes a connection that a crash left open. Otherwise that one's last
        will would be published minutes later, and say ``offline`` of a service that runs.
        """
        id_ = self._settings.client_id or self._journal.tables.noted(CLIENT_NOTE)
        if id_ is None:
            id_ = f"proxylistener{secrets.token_hex(4)}"
            self._journal.tables.note(CLIENT_NOTE, id_)
        return id_


async def _in_own_task(session: Coroutine[Any, Any, None]) -> None:
    """Python 3.11's TaskGroup can lose a cancellation that arrives while it ends by an error; awaiting the task from
    outside does not.
    """
    task = asyncio.create_task(session)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # an exception that is never retrieved is logged
        raise
    task.result()


async def _in_portions(broker: Broker, messages: Sequence[Message]) -> None:
    for portion in _portions(messages, IN_FLIGHT):
        await broker.publish(portion)


def _portions(messages: Sequence[Message], size: int) -> Iterator[Sequence[Message]]:
    return (messages[start : start + size] for start in range(0, len(messages), size))


def _one_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Why a session ended, as one Lost; the group itself where it holds an unexpected error."""
    expected, other = group.split((Lost, sqlite3.Error))
    if other is not None or expected is None:
        return group
    error: BaseException = expected
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Lost) else Lost(f"the history cannot be read: {error}")
