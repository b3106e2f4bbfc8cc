"""A failing house in a process of its own, so that what is measured beside it is the engine's alone."""

import asyncio
import multiprocessing
from contextlib import contextmanager
from random import Random

import attrs

from proxy_listener.simulator.faults import FAULTS, Disturbance, chaos
from proxy_listener.simulator.house import House
from proxy_listener.simulator.scene import Attack
from proxy_listener.simulator.truth import Truth


@attrs.frozen
class Plan:
    """What is simulated: sizes, and ``count`` faults, one about ``every`` seconds, each ``lasting`` at most."""

    rooms: int
    devices: int
    pace: float
    count: int
    every: float
    lasting: float
    leave_out: frozenset[str] = frozenset()
    instance: str = ""

    @property
    def seconds(self) -> float:
        """Within which all faults are over."""
        return 2.0 * self.count * (self.every + self.lasting) + 10.0

    def house(self) -> House:
        attack = Attack(replays=7_200, forgeries=7_200)
        return House(33, self.rooms, self.devices, pace=self.pace, attack=attack, instance=self.instance)


@attrs.frozen
class Outcome:
    truth: Truth
    faults: list[Disturbance]


class LoneHouse:
    """The parent's end."""

    def __init__(self, pipe):
        self._pipe = pipe

    async def fail(self):
        """Begin to fail; returns when all faults are over."""
        self._pipe.send("fail")
        assert await self._answer() == "failed"

    async def silence(self):
        """Nothing more goes on air; everything is on its way."""
        self._pipe.send("silence")
        return await self._answer()

    async def _answer(self):
        """EOFError where the house broke down."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._pipe.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._pipe.fileno())
        return self._pipe.recv()


@contextmanager
def lone_house(plan):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=live, args=(plan, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield LoneHouse(ours)
        ours.send("end")
        process.join(20.0)
        assert process.exitcode == 0
    finally:
        process.kill()


def live(plan, pipe):
    asyncio.run(_live(plan, pipe))


async def _live(plan, pipe):
    house, faults, enough = plan.house(), [], asyncio.Event()

    def record(fault):
        faults.append(fault)
        if len(faults) >= plan.count:
            enough.set()

    async with house.running():
        assert await asyncio.to_thread(pipe.recv) == "fail"
        kinds = {name: fault for name, fault in FAULTS.items() if name not in plan.leave_out}
        failing = asyncio.create_task(
            chaos(house, Random(5), every=plan.every, lasting=plan.lasting, faults=kinds, record=record)
        )
        done = asyncio.create_task(enough.wait())
        await asyncio.wait((done, failing), return_when=asyncio.FIRST_COMPLETED)
        if failing.done():
            failing.result()
        failing.cancel()
        await asyncio.gather(failing, return_exceptions=True)
        pipe.send("failed")
        assert await asyncio.to_thread(pipe.recv) == "silence"
        await house.fall_silent()
        pipe.send(Outcome(house.truth, faults))
        assert await asyncio.to_thread(pipe.recv) == "end"
