"""The supervisor: parts are restarted, and none can stop another."""

import asyncio
from itertools import pairwise

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.supervisor import Supervisor

NOW = (0.0,)


class Failing:
    """A part that raises these errors one after the other, then runs until it is stopped."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.began = 0
        self.works = asyncio.Event()

    async def run(self):
        self.began += 1
        if self.errors:
            raise self.errors.pop(0)
        self.works.set()
        await asyncio.Event().wait()


async def test_a_part_that_fails_is_restarted_and_stops_no_other():
    """Expected errors, errors of the system, and bugs alike."""
    parts = Supervisor(pauses=NOW)
    failing, beside = Failing(ProxyListenerError("x"), OSError("y"), ZeroDivisionError()), Failing()
    parts.start("failing", failing.run)
    parts.start("beside", beside.run)
    await failing.works.wait()
    assert (failing.began, beside.began) == (4, 1)
    assert parts.running(frozenset({"failing", "beside"}))
    assert await parts.stop("failing")
    assert parts.names == ["beside"]
    await parts.stop("beside")


async def test_a_part_that_waits_to_be_restarted_is_not_running():
    """The watchdog is not fed meanwhile."""
    parts = Supervisor(pauses=(3600.0,))
    failing = Failing(ZeroDivisionError())
    parts.start("failing", failing.run)
    for _ in range(3):
        await asyncio.sleep(0)
    assert failing.began == 1
    assert not parts.running(frozenset({"failing"}))
    assert parts.names == ["failing"]
    assert await parts.stop("failing")


async def test_pauses_grow_and_are_reset_after_a_long_run():
    """1, 5, 30, 60, 60 s; 1 s again for a part that had run for more than a minute."""
    loop = asyncio.get_running_loop()
    parts, times, ends = Supervisor(), [], asyncio.Event()
    ahead = 0.0
    plain = loop.time
    loop.time = lambda: plain() + ahead

    async def part():
        nonlocal ahead
        times.append(loop.time())
        if len(times) == 6:
            ahead += 61.0
        if len(times) == 8:
            ends.set()
            return
        raise ZeroDivisionError

    async def advance():
        nonlocal ahead
        while not ends.is_set():
            await asyncio.sleep(0)
            ahead += 0.01

    parts.start("part", part)
    await advance()
    loop.time = plain
    gaps = [round(after - before) for before, after in pairwise(times)]
    assert gaps == [1, 5, 30, 60, 60, 62, 5]


async def test_a_part_that_does_not_end_is_given_up():
    """A sink that ignores its cancellation delays neither a reload nor the service's stop."""
    parts = Supervisor(stop_timeout=0.05)
    began, released = asyncio.Event(), asyncio.Event()

    async def deaf():
        began.set()
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    parts.start("deaf", deaf)
    await began.wait()
    assert not await parts.stop("deaf")
    assert await parts.stop("nobody")
    released.set()


async def test_a_part_that_returns_is_forgotten():
    """It is neither restarted nor listed."""
    parts = Supervisor()
    parts.start("short", lambda: asyncio.sleep(0))
    await parts.wait(5.0)
    assert parts.names == []
