"""A whole service, as a process, beside one proxy that turned bad and eight good ones.

The offender is benched within seconds and told about; of what the others heard nothing is lost, and memory stays.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import tomlkit

from proxy_listener.history import Journal
from proxy_listener.simulator.comparison import compare
from proxy_listener.simulator.house import House

pytestmark = pytest.mark.mdns("listed")

FLOODING = Path(__file__).parents[1] / "support" / "flooding.py"
MEGABYTES = 120
"""Resident memory at most (threats-and-faults, section 5)."""
BENCHED = 12.0
"""Seconds from live to benched, on two cores that others use too: five by the clock of a process that is let run."""
SETTLE = 2.0


@attrs.define
class Run:
    log: str = ""
    memory: int = 0
    comparison: object = None
    status: int | None = None
    stopping: float = 0.0

    def told(self, text: str) -> float:
        """When the log says this of the offender: seconds of the day."""
        line = next(line for line in self.log.splitlines() if text in line and "proxy=rogue" in line)
        hours, minutes, seconds = line[11:19].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + int(seconds)


@asynccontextmanager
async def program(*words: object, **pipes) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, *map(str, words), env=environment, **pipes)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def flooded(directory: Path, manner: str, rooms: int, seconds: float) -> Run:
    run, house = Run(), House(f"flood-{manner}", rooms, 12, neighbours=0)
    async with house.running(announced=False), program(FLOODING, manner, stdout=asyncio.subprocess.PIPE) as rogue:
        document = house.configuration(static=True)
        document["discovery"] = {"accept": "listed", "interfaces": ["127.0.0.1"]}
        document["proxy"].append({"name": "rogue", "host": "127.0.0.1", "port": int(await rogue.stdout.readline())})
        path = directory / "devices.toml"
        path.touch(mode=0o600)
        path.write_text(tomlkit.dumps(document))
        words = ("-m", "proxy_listener", "run", "-c", path, "--state", directory / "state")
        nowhere = asyncio.subprocess.DEVNULL
        async with program(*words, stdout=nowhere, stderr=asyncio.subprocess.PIPE) as service:
            reading = asyncio.create_task(service.stderr.read())
            await asyncio.sleep(seconds)
            await house.stop_sending()
            await asyncio.sleep(SETTLE)
            run.memory = peak(service.pid)
            began = time.monotonic()
            service.send_signal(signal.SIGTERM)
            run.status = await service.wait()
            run.stopping = time.monotonic() - began
            run.log = (await reading).decode()
    journal = Journal(directory / "state" / "history.db")
    rows = [row.reading async for row in journal.reader.export()]
    await journal.close()
    run.comparison = compare(house.truth, rows)
    return run


def peak(pid: int) -> int:
    """The most resident memory that a process ever had, MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def held(run: Run) -> None:
    assert run.told("proxy is benched") - run.told("proxy is live") <= BENCHED
    assert run.comparison.heard > 10
    assert run.comparison.perfect, (run.comparison.lost[:2], run.comparison.twice[:2], run.comparison.false[:2])
    assert run.memory <= MEGABYTES
    assert (run.status, run.stopping < 2.0) == (0, True)
    assert "Traceback" not in run.log


async def test_a_bomb_beside_two_good_proxies(tmp_path):
    """32,767 empty advertisements in one frame."""
    held(await flooded(tmp_path, "bomb", 2, 5.0))


@pytest.mark.long
@pytest.mark.parametrize("manner", ["advertisements", "oversized", "bomb", "pings", "states"])
async def test_a_minute_of_it_beside_eight(tmp_path, manner):
    """100,000 advertisements a second, 65 kB in one, 32,767 in one frame, and what is no advertisement at all."""
    held(await flooded(tmp_path, manner, 8, 60.0))
