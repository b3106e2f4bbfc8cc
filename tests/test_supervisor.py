"""Parts side by side: what one does to itself, it does to no other."""

import asyncio
from itertools import pairwise

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.supervisor import Parts

NOW = (0.0,)


class Failing:
    """A part that raises so many times, then works until it is ended."""

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


async def test_one_that_fails_is_started_again_and_stops_no_other():
    """Whatever it raises: our own errors, the system's, and those of a bug."""
    parts = Parts(pauses=NOW)
    failing, beside = Failing(ProxyListenerError("x"), OSError("y"), ZeroDivisionError()), Failing()
    parts.start("failing", failing.run)
    parts.start("beside", beside.run)
    await failing.works.wait()
    assert (failing.began, beside.began) == (4, 1)
    assert parts.at_work(frozenset({"failing", "beside"}))
    assert await parts.end("failing")
    assert parts.names == ["beside"]
    await parts.end("beside")


async def test_one_that_waits_to_be_started_again_is_not_at_work():
    """What the watchdog asks."""
    parts = Parts(pauses=(3600.0,))
    failing = Failing(ZeroDivisionError())
    parts.start("failing", failing.run)
    for _ in range(3):
        await asyncio.sleep(0)
    assert failing.began == 1
    assert not parts.at_work(frozenset({"failing"}))
    assert parts.names == ["failing"]
    assert await parts.end("failing")


async def test_pauses_grow_and_start_anew_after_a_long_life():
    """1, 5, 30, 60, 60 s; but 1 s again for one that had worked for more than a minute."""
    loop = asyncio.get_running_loop()
    parts, times, ends = Parts(), [], asyncio.Event()
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

    async def hasten():
        nonlocal ahead
        while not ends.is_set():
            await asyncio.sleep(0)
            ahead += 0.01

    parts.start("part", part)
    await hasten()
    loop.time = plain
    gaps = [round(after - before) for before, after in pairwise(times)]
    assert gaps == [1, 5, 30, 60, 60, 62, 5]


async def test_one_that_does_not_end_is_waited_for_no_longer():
    """A sink that swallows its cancellation holds up neither a reload nor the end."""
    parts = Parts(ending=0.05)
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
    assert not await parts.end("deaf")
    assert await parts.end("nobody")
    released.set()


async def test_one_that_comes_to_its_end_is_forgotten():
    parts = Parts()
    parts.start("short", lambda: asyncio.sleep(0))
    await parts.wait(5.0)
    assert parts.names == []
