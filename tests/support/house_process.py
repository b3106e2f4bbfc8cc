"""A failing house in a process of its own, so that measurements in the test's process are of the engine only."""

import asyncio
import multiprocessing
from contextlib import contextmanager
from random import Random

import attrs
from support.attackers import forgeries, replays
from support.chaos import FAULTS, Disturbance, chaos
from support.faulty_node import FaultyNode

from proxy_listener.simulator.ground_truth import GroundTruth
from proxy_listener.simulator.house import House


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
        return House(
            33,
            self.rooms,
            self.devices,
            pace=self.pace,
            others=(replays(7_200), forgeries(7_200)),
            instance=self.instance,
            node_type=FaultyNode,
        )


@attrs.frozen
class Outcome:
    truth: GroundTruth
    faults: list[Disturbance]


class HouseProcess:
    """The parent's end."""

    def __init__(self, pipe):
        self._pipe = pipe

    async def fail(self):
        """Start the faults; returns when all are over."""
        self._pipe.send("fail")
        assert await self._answer() == "failed"

    async def stop_sending(self):
        """Stop sending; the outcome."""
        self._pipe.send("silence")
        return await self._answer()

    async def _answer(self):
        """Raises EOFError where the house failed."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._pipe.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._pipe.fileno())
        return self._pipe.recv()


@contextmanager
def house_process(plan):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=live, args=(plan, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield HouseProcess(ours)
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
        await house.stop_sending()
        pipe.send(Outcome(house.truth, faults))
        assert await asyncio.to_thread(pipe.recv) == "end"
