"""Beside a real mosquitto: killed, restarted without its store, frozen, gone under load. What a subscriber wrote down
is compared with the journal.
"""

import asyncio
import gc
import json
import signal
import ssl
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import structlog
from support.made_status import ID, MAC, device, proxy, reading, view
from support.mosquitto import PATIENCE, Mosquitto, Relay, Subscriber, background
from support.skipping_loop import SkippingLoop, run_skipping
from support.waiting import until

from proxy_listener.history import Journal
from proxy_listener.model.reading import Event, timestamp
from proxy_listener.model.secret import Secret
from proxy_listener.sinks.mqtt import Settings, run
from proxy_listener.sinks.mqtt.broker import ANSWER, GOODBYE, IN_FLIGHT, SILENT

pytestmark = pytest.mark.broker

DEVICES = [device(mac=MAC + n, name=f"Device {n}") for n in range(8)]


async def caught_up(journal: Journal) -> None:
    """The broker has all that the journal has."""
    await until(lambda: not journal.cursor("mqtt").behind, PATIENCE)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    mosquitto = Mosquitto(tmp_path)
    await mosquitto.start()
    yield mosquitto
    await mosquitto.kill()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "h.db")
    journal.cursor("mqtt")
    async with background(journal.run()):
        yield journal
    await journal.close()


def pressed(number: int) -> Any:
    """A reading with a value, and an event that nothing replaces."""
    return reading(
        MAC + number % 8,
        time=time.time(),
        counter=number,
        values={"temperature": number % 50},
        events=(Event("button", "press", {"number": number}),),
    )


async def feed(journal: Journal, numbers: range) -> None:
    """Readings at the pace of the disk: ten, their commit, the next ten."""
    for number in numbers:
        journal.append(pressed(number))
        if number % 10 == 9:
            assert await journal.flush()


def house() -> Any:
    return view(DEVICES, [proxy()])


async def compare(
    subscriber: Subscriber, journal: Journal, repeats: int, lost: frozenset[int] | set[int] = frozenset()
) -> None:
    """The subscriber's record against the journal: every event in order, every reading somewhere, states newest.

    ``lost``: numbers that the broker acknowledged and took with it when it was killed.
    """
    assert await journal.flush()
    rows = await journal.reader.readings(limit=1_000_000)
    events = [event.properties["number"] for row in rows for event in row.reading.events]
    await subscriber.until(lambda: len(subscriber.distinct) == len(events))
    await caught_up(journal)
    found = subscriber.numbers
    for mac in {row.reading.mac for row in rows}:
        own = [number for number in found if MAC + number % 8 == mac]
        assert list(dict.fromkeys(own)) == [number for number in events if MAC + number % 8 == mac]
    assert len(found) - len(set(found)) <= repeats
    states = {f"proxy-listener/device/{row.reading.mac:012x}/state": row.reading for row in rows}
    await subscriber.until(
        lambda: all(_shows(subscriber.newest.get(topic), newest) for topic, newest in states.items())
    )
    shown = Counter(
        (topic.split("/")[2], json.loads(payload)["time"])
        for topic, payload, _ in subscriber.heard
        if topic.endswith(("/state", "/history")) and "/device/" in topic and payload
    )
    kept = [row for row in rows if not lost.intersection(event.properties["number"] for event in row.reading.events)]
    missing = [row.id for row in kept if not shown[f"{row.reading.mac:012x}", timestamp(row.reading.time)]]
    assert missing == []


def _shows(payload: str | None, newest: Any) -> bool:
    return bool(payload) and json.loads(payload or "{}").get("time") == timestamp(newest.time)


async def test_readings_arrive_once_and_in_order(broker: Mosquitto, journal: Journal) -> None:
    """Without faults nothing is repeated."""
    subscriber = Subscriber(broker.port, "proxy-listener/#")
    async with background(subscriber.run(), run(Settings(port=broker.port), journal, house())):
        await subscriber.subscribed.wait()
        await feed(journal, range(1000))
        await compare(subscriber, journal, repeats=0)


async def test_gone_under_load(broker: Mosquitto, journal: Journal) -> None:
    """Killed while readings arrive, and restarted without its store: nothing lost, at most 20 repeated.

    Messages that the broker acknowledged and had not delivered are lost with it. Events are not retained, so the relay
    to the broker opens when the subscriber is connected again.
    """
    subscriber, way = Subscriber(broker.port, "proxy-listener/#"), Relay(broker.port)
    with structlog.testing.capture_logs() as logs:
        async with way.serving(), background(subscriber.run(), run(Settings(port=way.port), journal, house())):
            await subscriber.subscribed.wait()
            lost_by_broker = await _kill_under_load(broker, journal, subscriber, way, logs)
            await compare(subscriber, journal, repeats=IN_FLIGHT, lost=lost_by_broker)


async def _kill_under_load(
    broker: Mosquitto, journal: Journal, subscriber: Subscriber, way: Relay, logs: list[Any]
) -> set[int]:
    """Kill and start the broker while readings arrive. The numbers that it acknowledged and did not deliver."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(feed(journal, range(3000)))
        await subscriber.until(lambda: len(subscriber.numbers) >= 500)
        way.open = False
        await broker.kill()
        await until(lambda: any(entry["log_level"] == "warning" for entry in logs), PATIENCE)
        await until(lambda: not subscriber.subscribed.is_set(), PATIENCE)
        lost_by_broker = set(range(journal.cursor("mqtt").confirmed)) - subscriber.distinct
        assert len(lost_by_broker) <= IN_FLIGHT
        subscriber.distinct |= lost_by_broker
        subscriber.numbers = sorted(subscriber.distinct)
        await broker.start()
        await subscriber.subscribed.wait()
        way.open = True
    return lost_by_broker


async def test_restarted_without_its_store(broker: Mosquitto, journal: Journal) -> None:
    """What it retained is published again: online, states, availability, proxies, discovery."""
    async with background(run(Settings(port=broker.port), journal, house())):
        await feed(journal, range(16))
        first = Subscriber(broker.port)
        async with background(first.run()):
            await first.until(lambda: _kept(first) >= _EXPECTED)
        await broker.kill()
        await broker.start()
        second = Subscriber(broker.port)
        async with background(second.run()):
            await second.until(lambda: _kept(second) >= _EXPECTED)


_EXPECTED = {
    "proxy-listener/bridge/state",
    f"proxy-listener/device/{ID}/state",
    f"proxy-listener/device/{ID}/availability",
    "proxy-listener/proxy/a0b1c2d3e4f5/state",
    f"homeassistant/device/proxy_listener_{ID}/config",
}


def _kept(subscriber: Subscriber) -> set[str]:
    return {topic for topic, payload, _ in subscriber.heard if payload}


def test_frozen(tmp_path: Path) -> None:
    """A broker that is frozen for longer than the timeout: the connection is given up, and nothing is lost."""

    async def test(loop: SkippingLoop) -> None:
        broker, journal = Mosquitto(tmp_path), Journal(tmp_path / "h.db")
        journal.cursor("mqtt")
        await broker.start()
        subscriber = Subscriber(broker.port, "proxy-listener/#")
        sink = run(Settings(port=broker.port), journal, house())
        async with background(journal.run(), subscriber.run(), sink):
            await subscriber.subscribed.wait()
            await feed(journal, range(100))
            await subscriber.until(lambda: len(subscriber.numbers) == 100)
            broker.signal(signal.SIGSTOP)
            await feed(journal, range(100, 300))
            await loop.skip_until(lambda: [entry for entry in logs if entry.get("cause") == SILENT], 2 * ANSWER)
            await feed(journal, range(300, 600))
            broker.signal(signal.SIGCONT)
            await compare(subscriber, journal, repeats=IN_FLIGHT)
            await subscriber.until(lambda: subscriber.newest.get("proxy-listener/bridge/state") == "online")
        await journal.close()
        await broker.kill()

    with structlog.testing.capture_logs() as logs:
        run_skipping(test)


async def test_a_frozen_broker_does_not_hold_up_the_end(broker: Mosquitto, journal: Journal) -> None:
    """The sink ends while the broker is frozen; both steps of disconnecting fit into the two seconds that it has."""
    subscriber = Subscriber(broker.port, "proxy-listener/#")
    async with background(subscriber.run(), run(Settings(port=broker.port), journal, house())):
        await subscriber.subscribed.wait()
        await feed(journal, range(100))
        await subscriber.until(lambda: len(subscriber.distinct) == 100)
        broker.signal(signal.SIGSTOP)
        await feed(journal, range(100, 140))
    assert 2 * GOODBYE < 2.0
    broker.signal(signal.SIGCONT)


async def test_an_outage_is_history_and_each_state_comes_once_or_twice(broker: Mosquitto, journal: Journal) -> None:
    """10,000 readings wait. Their values are published with their own times, and only the newest are states."""
    for number in range(10_000):
        journal.append(
            reading(MAC + number % 8, time=time.time() - 10_000 + number, values={"temperature": number % 50})
        )
    assert await journal.flush()
    subscriber = Subscriber(broker.port, "proxy-listener/device/+/state")
    async with background(subscriber.run()):
        await subscriber.subscribed.wait()
        async with background(run(Settings(port=broker.port, discovery="off"), journal, house())):
            await caught_up(journal)
    assert 8 <= len(subscriber.heard) <= 16


SERVICE = """
import asyncio, sys
from pathlib import Path
from proxy_listener.history import Journal
from proxy_listener.sinks.mqtt import Settings, run
from proxy_listener.model.status import View

async def main():
    journal = Journal(Path(sys.argv[1]))
    asyncio.create_task(journal.run())
    await run(Settings(port=int(sys.argv[2])), journal, View(list, list, dict))

asyncio.run(main())
"""
"""The sink in a process of its own, to be killed."""


async def test_killed_again_and_again(broker: Mosquitto, tmp_path: Path) -> None:
    """``kill -9`` at any moment: every event arrives, in order, and each death repeats at most twenty."""
    kills, events, path = 6, 12_000, tmp_path / "killed.db"
    journal = Journal(path)
    journal.cursor("mqtt")
    for number in range(events):
        journal.append(reading(values={}, events=(Event("button", "press", {"number": number}),)))
    await journal.close()
    subscriber = Subscriber(broker.port, "proxy-listener/device/+/event/#")
    async with background(subscriber.run()):
        await subscriber.subscribed.wait()
        for death in range(kills + 1):
            service = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVICE, str(path), str(broker.port))
            goal = events if death == kills else events * (death + 1) // (kills + 1)
            await subscriber.until(lambda goal=goal: len(subscriber.distinct) >= goal)
            service.kill()
            await service.wait()
    firsts = list(dict.fromkeys(subscriber.numbers))
    assert firsts == list(range(events))
    assert len(subscriber.numbers) - events <= kills * IN_FLIGHT


async def test_the_last_will(broker: Mosquitto, journal: Journal) -> None:
    """A sink that is stopped is announced as offline."""
    subscriber = Subscriber(broker.port, "proxy-listener/bridge/state")
    async with background(subscriber.run()):
        await subscriber.subscribed.wait()
        async with background(run(Settings(port=broker.port), journal, house())):
            await subscriber.until(lambda: subscriber.newest.get("proxy-listener/bridge/state") == "online")
        await subscriber.until(lambda: subscriber.newest.get("proxy-listener/bridge/state") == "offline")


async def test_home_assistants_birth(broker: Mosquitto, journal: Journal) -> None:
    """All discovery and all states are published again; a second birth message meanwhile changes nothing."""
    config, state = f"homeassistant/device/proxy_listener_{ID}/config", f"proxy-listener/device/{ID}/state"
    subscriber = Subscriber(broker.port, config, "proxy-listener/device/#")
    async with background(subscriber.run(), run(Settings(port=broker.port), journal, house())):
        await subscriber.subscribed.wait()
        journal.append(pressed(0))
        await subscriber.until(lambda: state in subscriber.newest and config in subscriber.newest)
        subscriber.heard.clear()
        async with aiomqtt.Client("127.0.0.1", broker.port) as assistant:
            await assistant.publish("homeassistant/status", "online", qos=1)
            await assistant.publish("homeassistant/status", "online", qos=1)
            await subscriber.until(lambda: {config, state} <= {topic for topic, _, _ in subscriber.heard})
    assert [topic for topic, _, _ in subscriber.heard].count(config) == 1


ACL = """user proxy-listener
topic write proxy-listener/#
topic write homeassistant/device/+/config
topic read homeassistant/status
"""
"""As README gives it."""


async def guarded(folder: Path, acl: str) -> Mosquitto:
    """A broker with one user, who may do what the ACL says."""
    rules, passwords = folder / "acl", folder / "passwords"
    rules.write_text(acl)
    rules.chmod(0o600)
    words = ["-b", "-c", str(passwords), "proxy-listener", "canary-7f3a"]
    tool = await asyncio.create_subprocess_exec("mosquitto_passwd", *words)
    assert await tool.wait() == 0
    mosquitto = Mosquitto(
        folder, "allow_anonymous false", f"password_file {passwords}", f"acl_file {rules}", "user root"
    )
    await mosquitto.start()
    return mosquitto


async def test_the_acl_of_readme_suffices(tmp_path: Path, journal: Journal) -> None:
    """It allows everything that the sink publishes, and its last will: nothing is refused."""
    broker = await guarded(tmp_path, ACL)
    settings = Settings(port=broker.port, user="proxy-listener", password=Secret("canary-7f3a"))
    with structlog.testing.capture_logs() as logs:
        async with background(run(settings, journal, house())):
            journal.append(pressed(0))
            await journal.flush()
            await caught_up(journal)
    assert [entry["event"] for entry in logs] == ["connected to the broker"]
    await broker.kill()


@pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_a_password_and_tls(tmp_path: Path, journal: Journal) -> None:
    """With the right authority the sink connects; with another one it refuses the broker, which gets no password.

    paho leaves the socket of a failed handshake to the garbage collector, which warns.
    """
    await _certificate(tmp_path)
    passwords = tmp_path / "passwords"
    tool = await asyncio.create_subprocess_exec("mosquitto_passwd", "-b", "-c", str(passwords), "me", "canary-7f3a")
    assert await tool.wait() == 0
    passwords.chmod(0o644)
    broker = Mosquitto(
        tmp_path,
        "allow_anonymous false",
        f"password_file {passwords}",
        f"certfile {tmp_path / 'cert.pem'}",
        f"keyfile {tmp_path / 'key.pem'}",
        "user root",
    )
    await broker.start()
    good = Settings(
        host="localhost", port=broker.port, user="me", password=Secret("canary-7f3a"), ca=str(tmp_path / "cert.pem")
    )
    async with background(run(good, journal, house())):
        journal.append(pressed(0))
        await journal.flush()
        await caught_up(journal)
    distrustful = Settings(host="localhost", port=broker.port, user="me", password=Secret("canary-7f3a"), tls=True)
    journal.append(pressed(1))
    await journal.flush()
    with structlog.testing.capture_logs() as logs:
        async with background(run(distrustful, journal, house())):
            await until(lambda: logs, PATIENCE)
    assert "certificate" in logs[0]["cause"]
    assert journal.cursor("mqtt").behind == 1
    await broker.kill()
    gc.collect()


async def _certificate(folder: Path) -> None:
    assert ssl.OPENSSL_VERSION
    arguments = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    arguments += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    quiet = asyncio.subprocess.DEVNULL
    tool = await asyncio.create_subprocess_exec("openssl", *arguments, *files, stderr=quiet)
    assert await tool.wait() == 0
