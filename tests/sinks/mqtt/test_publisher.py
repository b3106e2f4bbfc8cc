"""The sink over a real connection to a small broker: versions, the window of 20, the cursor, connecting and leaving."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import structlog
from support.fake_broker import FakeBroker
from support.made_status import ID, MAC, device, proxy, reading, view

from proxy_listener.history import Journal
from proxy_listener.model.reading import Event
from proxy_listener.sinks.mqtt import Settings, run
from proxy_listener.sinks.mqtt.broker import IN_FLIGHT

BASE = "proxy-listener"


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Journal]:
    journal = Journal(path)
    try:
        yield journal
    finally:
        await journal.close()


@contextlib.asynccontextmanager
async def running(journal: Journal, broker: FakeBroker, **settings: object) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(run(Settings(port=broker.port, **settings), journal, view(proxies=[proxy()])))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def caught_up(journal: Journal) -> None:
    """The broker acknowledged all that the journal has."""
    while journal.cursor("mqtt").behind:  # noqa: ASYNC110  the cursor has nothing to wait on
        await asyncio.sleep(0)


async def press(journal: Journal, first: int, last: int) -> None:
    """Append events: each is a message of its own."""
    for number in range(first, last):
        journal.append(reading(values={}, counter=number, events=(Event("button", "press", {"number": number}),)))
    assert await journal.flush()


def numbers(broker: FakeBroker) -> list[int]:
    return [json.loads(payload)["number"] for payload in broker.payloads("/event/")]


async def test_the_order_of_a_whole_session(tmp_path: Path) -> None:
    """Online first; state, availability, discovery and proxies; offline last. It sets a last will."""
    async with FakeBroker().serving() as broker, opened(tmp_path / "h.db") as journal:
        journal.append(reading(values={"temperature": 21.3}))
        await journal.flush()
        async with running(journal, broker):
            await press(journal, 0, 1)
            await broker.until(1)
    topics = [topic for topic, _, _ in broker.published]
    assert broker.published[0] == (f"{BASE}/bridge/state", "online", True)
    assert broker.published[-1] == (f"{BASE}/bridge/state", "offline", True)
    assert {f"{BASE}/device/{ID}/state", f"{BASE}/device/{ID}/availability"} < set(topics)
    assert f"homeassistant/device/proxy_listener_{ID}/config" in topics
    assert broker.wills == [True]


async def test_mqtt_5_is_spoken(tmp_path: Path) -> None:
    async with FakeBroker().serving() as broker, opened(tmp_path / "h.db") as journal, running(journal, broker):
        await press(journal, 0, 1)
        await broker.until(1)
    assert broker.levels == [5]


async def test_a_broker_that_refuses_mqtt_5_is_spoken_to_in_3_1_1(tmp_path: Path) -> None:
    """At once, and for later connections."""
    async with (
        FakeBroker(refuses=5).serving() as broker,
        opened(tmp_path / "h.db") as journal,
        running(journal, broker),
    ):
        await press(journal, 0, 1)
        await broker.until(1)
        broker.drop()
        await press(journal, 1, 2)
        await broker.until(2)
    assert broker.levels == [5, 4, 4]


async def test_a_version_that_is_configured_is_the_only_one(tmp_path: Path) -> None:
    async with (
        FakeBroker().serving() as broker,
        opened(tmp_path / "h.db") as journal,
        running(journal, broker, version="3.1.1"),
    ):
        await press(journal, 0, 1)
        await broker.until(1)
    assert broker.levels == [4]


async def test_a_broker_that_hangs_up_on_mqtt_5_is_spoken_to_in_3_1_1(tmp_path: Path) -> None:
    """Some brokers close the connection of a version that they do not know, without an answer."""
    async with FakeBroker(hangs_up_on=5).serving() as broker, opened(tmp_path / "h.db") as journal:
        await press(journal, 0, 1)
        async with running(journal, broker):
            await press(journal, 1, 2)
            await broker.until(1)
    assert broker.levels == [5, 4]


async def test_a_version_that_worked_is_kept_over_an_outage(tmp_path: Path) -> None:
    """A broker that is going down, or a relay before it, may hang up as one does that does not know the version."""
    async with FakeBroker().serving() as broker, opened(tmp_path / "h.db") as journal, running(journal, broker):
        await press(journal, 0, 1)
        await broker.until(1)
        broker.hangs_up_on = 5
        broker.drop()
        await broker.connected(2)
        broker.hangs_up_on = None
        await press(journal, 1, 2)
        await broker.until(2)
    assert broker.levels == [5, 5, 5]


async def test_a_refused_topic_is_logged_once_and_stops_nothing(tmp_path: Path) -> None:
    """With an ACL without Home Assistant's topics, everything else arrives."""
    with structlog.testing.capture_logs() as logs:
        async with FakeBroker(forbids="homeassistant/").serving() as broker, opened(tmp_path / "h.db") as journal:
            journal.cursor("mqtt")
            async with running(journal, broker):
                await press(journal, 0, 40)
                await broker.until(40)
    refusals = [entry for entry in logs if entry["log_level"] == "warning"]
    assert [entry["reason"] for entry in refusals] == ["Not authorized"]


async def test_a_connection_that_comes_and_goes_does_not_fill_the_log(tmp_path: Path) -> None:
    """Each cause is logged once, and so is the return."""
    with structlog.testing.capture_logs() as logs:
        async with FakeBroker().serving() as broker, opened(tmp_path / "h.db") as journal:
            journal.cursor("mqtt")
            async with running(journal, broker):
                for number in range(3):
                    await press(journal, number, number + 1)
                    await broker.until(number + 1)
                    broker.drop()
    assert [entry["event"].partition(";")[0] for entry in logs] == [
        "connected to the broker",
        "no connection to the broker",
        "connected to the broker",
    ]
    assert "ACL" in logs[1]["cause"]


async def test_at_most_twenty_wait_for_the_broker(tmp_path: Path) -> None:
    """While it acknowledges nothing the journal keeps the rest; then everything comes, once and in order."""
    async with FakeBroker().serving() as broker, opened(tmp_path / "h.db") as journal:
        cursor = journal.cursor("mqtt")
        broker.acknowledges.clear()
        async with running(journal, broker, discovery="off"):
            await press(journal, 0, 100)
            await broker.until(1)
            assert len(broker.unacknowledged()) <= IN_FLIGHT
            assert cursor.confirmed == 0
            broker.acknowledges.set()
            await broker.until(100)
    assert numbers(broker) == list(range(100))


async def test_a_lost_connection_repeats_what_was_not_acknowledged(tmp_path: Path) -> None:
    """Nothing is missing, the order holds, and only what was in flight comes twice."""
    async with (
        FakeBroker().serving() as broker,
        opened(tmp_path / "h.db") as journal,
        running(journal, broker, discovery="off"),
    ):
        await press(journal, 0, 40)
        await caught_up(journal)
        broker.acknowledges.clear()
        await press(journal, 40, 60)
        await broker.until(41)
        broker.drop()
        broker.acknowledges.set()
        while numbers(broker)[-1] != 59:
            await broker.until(len(numbers(broker)) + 1)
    found = numbers(broker)
    assert list(dict.fromkeys(found)) == list(range(60))
    assert len(found) - 60 <= IN_FLIGHT


async def test_a_crash_repeats_at_most_twenty(tmp_path: Path) -> None:
    """A copy of the file, taken at any moment, is what a crash leaves: after its cursor, twenty are repeated."""
    async with (
        FakeBroker().serving() as broker,
        opened(tmp_path / "h.db") as journal,
        running(journal, broker, discovery="off"),
    ):
        for first in range(0, 300, 30):
            await press(journal, first, first + 30)
            await broker.until(first + 25)
            async with opened(_crashed(tmp_path, first)) as left:
                repeated = [number for number in numbers(broker) if number + 1 > left.cursor("mqtt").confirmed]
                assert len(repeated) <= IN_FLIGHT


def _crashed(path: Path, number: int) -> Path:
    """The file and its write-ahead log as they are now."""
    aside = path / f"crash-{number}.db"
    for suffix in ("", "-wal"):
        if (part := path / f"h.db{suffix}").exists():
            aside.with_name(aside.name + suffix).write_bytes(part.read_bytes())
    return aside


async def test_the_client_is_the_same_after_a_restart(tmp_path: Path) -> None:
    """The client id is kept, so that the broker closes a connection that the last run left open."""
    async with FakeBroker().serving() as broker:
        for _ in range(2):
            async with opened(tmp_path / "h.db") as journal, running(journal, broker):
                await press(journal, 0, 1)
                await broker.until(1)
                broker.published.clear()
    assert len(broker.clients) == 2
    assert len(set(broker.clients)) == 1


async def test_states_are_as_the_journal_has_them(tmp_path: Path) -> None:
    """Readings of an outage: the newest as state, all of them as history, in order."""
    async with FakeBroker().serving() as broker, opened(tmp_path / "h.db") as journal:
        journal.cursor("mqtt")
        began = time.time() - 30
        for number in range(30):
            journal.append(reading(values={"temperature": number}, time=began + number))
        await journal.flush()
        async with running(journal, broker):
            await broker.until(30, "/history")
    states = [json.loads(payload)["temperature"] for payload in broker.payloads(f"device/{ID}/state")]
    past = [json.loads(payload)["values"]["temperature"] for payload in broker.payloads("/history")]
    assert states == [29]
    assert past == list(range(30))


async def test_the_topics_of_a_device_that_left_are_cleared(tmp_path: Path) -> None:
    """Across a restart of the service, by the note that the journal keeps."""
    async with FakeBroker().serving() as broker:
        async with opened(tmp_path / "h.db") as journal, running(journal, broker):
            await press(journal, 0, 1)
            await broker.until(1)
        broker.published.clear()
        async with opened(tmp_path / "h.db") as journal:
            settings = Settings(port=broker.port)
            task = asyncio.create_task(run(settings, journal, view([device(mac=MAC + 1)], [])))
            await broker.until(1, f"device/{ID}/state")
            await press(journal, 1, 2)
            await broker.until(1)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    assert broker.payloads(f"device/{ID}/state") == [""]
