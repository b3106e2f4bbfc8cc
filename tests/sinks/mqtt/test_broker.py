"""Brokers that misbehave: silent, flooding, announcing more than they send. Waits are skipped by the loop's clock."""

import asyncio
import contextlib
import itertools
import json
import resource
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from support.fake_broker import FakeBroker
from support.made_status import ID, device, proxy, reading, view
from support.skipping_loop import SkippingLoop, run_skipping

from proxy_listener.history import Journal
from proxy_listener.model.reading import Event
from proxy_listener.model.status import View
from proxy_listener.sinks.mqtt import Settings, run
from proxy_listener.sinks.mqtt.broker import ANSWER
from proxy_listener.sinks.mqtt.outages import LONGEST_BACKOFF

PUBLISH_OF_268_MB = bytes([0x30, 0xFF, 0xFF, 0xFF, 0x7F])
PINGRESP = bytes([0xD0, 0x00])
PUBLISH_QOS_2 = bytes([0x34, 7, 0, 1, 0x78, 0, 1, 0, 0x79])
HOUSE = view(proxies=[proxy()])
RETRIED = 5.0
"""Seconds within which a broker that answers again is connected to."""


@contextlib.asynccontextmanager
async def sink(path: Path, broker: FakeBroker, *, view: View = HOUSE, **settings: object) -> AsyncIterator[Journal]:
    journal = Journal(path / "h.db")
    journal.cursor("mqtt")
    task = asyncio.create_task(run(Settings(port=broker.port, **settings), journal, view))
    try:
        yield journal
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await journal.close()


async def tried(loop: SkippingLoop, broker: FakeBroker, count: int, wait: float = RETRIED) -> None:
    """Until the client has connected so often, and each time within ``wait`` seconds of the loop's clock."""
    for number in range(len(broker.levels) + 1, count + 1):
        await loop.skip_until(lambda number=number: len(broker.levels) >= number, wait + 1)  # type: ignore[misc]


def test_a_silent_broker_is_one_log_line(tmp_path: Path) -> None:
    """It takes connections and answers none: each attempt is given up after ten seconds, without a traceback."""

    async def test(loop: SkippingLoop) -> None:
        async with FakeBroker(silent=True).serving() as broker, sink(tmp_path, broker):
            for attempt in range(1, 5):
                await tried(loop, broker, attempt)
                loop.skip(ANSWER)
                await broker.lost(attempt)
        assert loop.unhandled == 0

    with structlog.testing.capture_logs() as logs:
        run_skipping(test)
    assert [entry["cause"] for entry in logs] == ["it does not answer"]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize(
    ("packet", "cause"),
    [
        (PUBLISH_OF_268_MB, "it sends a packet of 268435455 bytes, and more than 16384 are not read"),
        (PUBLISH_QOS_2, "it sends a message of QoS 2, which was not asked for"),
    ],
)
def test_a_packet_that_is_too_much_is_not_read(tmp_path: Path, version: str, packet: bytes, cause: str) -> None:
    """A PUBLISH that announces 268 MB took 1.36 GB: the memory was reserved, then filled, then copied."""

    async def test(loop: SkippingLoop) -> int:
        async with FakeBroker(sends=packet + bytes(1 << 20), repeated=True).serving() as broker:
            async with sink(tmp_path, broker, version=version):
                await tried(loop, broker, 2)
            return broker.sent

    with structlog.testing.capture_logs() as logs:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sent = run_skipping(test)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert [entry["cause"] for entry in logs if entry["log_level"] == "warning"] == [cause]
    assert sent < 100 << 20
    assert grown < 100 << 10  # KiB; with what the broker of this test itself needs


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_flooding_broker_is_left_and_asked_ever_more_rarely(tmp_path: Path, version: str) -> None:
    """It sends keep-alive answers as fast as it can. A connection ends after 32 KiB, and the waits double to a minute,
    so a flood costs a few milliseconds of work a minute.
    """

    async def test(loop: SkippingLoop) -> list[float]:
        times = []
        flooding = FakeBroker(sends=PINGRESP * 4_096, repeated=True)
        async with flooding.serving() as broker, sink(tmp_path, broker, version=version):
            for attempt in range(1, 9):
                await tried(loop, broker, attempt, wait=1.2 * LONGEST_BACKOFF)
                times.append(loop.time())
                await broker.lost(attempt)
        return times

    with structlog.testing.capture_logs() as logs:
        times = run_skipping(test)
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert waits[0] < RETRIED
    assert waits[-1] > 0.7 * LONGEST_BACKOFF
    causes = [entry["cause"] for entry in logs if entry["log_level"] == "warning"]
    assert causes == ["it sends more than acknowledgements and Home Assistant's birth messages"]


def test_a_broker_that_is_back_is_connected_to_within_five_seconds(tmp_path: Path) -> None:
    """However long it was away: the hundredth attempt comes as soon as the first. A press meanwhile is delayed."""

    async def test(loop: SkippingLoop) -> list[str]:
        async with FakeBroker(hangs_up_on=5).serving() as broker, sink(tmp_path, broker, version="5") as journal:
            await tried(loop, broker, 100)
            journal.append(reading(values={}, events=(Event("button", "press"),)))
            assert await journal.flush()
            broker.hangs_up_on = None
            await tried(loop, broker, 101)
            await broker.until(1)
            return broker.payloads("/event/")

    (fired,) = run_skipping(test)
    assert '"delayed":true' in fired


def test_a_refused_password_is_tried_ever_more_rarely(tmp_path: Path) -> None:
    """A wrong one would otherwise fill the broker's log, or get the address banned."""

    async def test(loop: SkippingLoop) -> list[float]:
        times = []
        async with FakeBroker(refuses=4, reason=5).serving() as broker, sink(tmp_path, broker, version="3.1.1"):
            for attempt in range(1, 9):
                await tried(loop, broker, attempt, wait=1.2 * LONGEST_BACKOFF)
                times.append(loop.time())
        return times

    times = run_skipping(test)
    assert times[-1] - times[-2] > 0.7 * LONGEST_BACKOFF


def test_a_value_leaves_the_published_state_when_it_becomes_too_old(tmp_path: Path) -> None:
    """Without any further reading, and from the first message on after a start."""
    shown = view([device(interval=900.0)], [])

    def states(broker: FakeBroker) -> list[set[str]]:
        return [json.loads(payload).keys() & {"temperature", "battery"} for payload in broker.payloads(f"{ID}/state")]

    async def test(loop: SkippingLoop) -> None:
        async with FakeBroker().serving() as broker:
            async with sink(tmp_path, broker, view=shown) as journal:
                values = {"temperature": 21.3, "battery": 87}
                journal.append(reading(time=time.time() - 2699.5, values=values))
                assert await journal.flush()
                await loop.skip_until(lambda: {"temperature", "battery"} in states(broker), 20)
                await loop.skip_until(lambda: states(broker)[-1] == {"battery"}, 10_000)
            broker.published.clear()
            async with sink(tmp_path, broker, view=shown):
                await loop.skip_until(lambda: states(broker), 20)
                assert states(broker)[0] == {"battery"}

    run_skipping(test)
