"""A whole service, as a process, with good proxies and one that floods it.

The flooding proxy is benched and reported; nothing of what the others heard is lost, and memory stays bounded.
"""

import asyncio
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import pytest
import tomlkit
from support.processes import peak, program
from support.service_house import PATIENCE, until

from proxy_listener.history import Journal
from proxy_listener.simulator.comparison import compare
from proxy_listener.simulator.house import House

pytestmark = pytest.mark.mdns("listed")

FLOODING = Path(__file__).parents[1] / "support" / "flooding.py"
MEGABYTES = 120
"""Resident memory at most (docs/protocol/threats.md)."""
ENOUGH = 10
"""Frames that the good proxies heard."""


@attrs.define
class Run:
    log: str = ""
    memory: int = 0
    comparison: object = None
    status: int | None = None

    async def read(self, stream: asyncio.StreamReader, benched: asyncio.Event) -> None:
        """Collect the log, and set the event once it says that the flooding proxy is benched."""
        while line := (await stream.readline()).decode():
            self.log += line
            if "proxy state: benched" in line and "proxy=rogue" in line:
                benched.set()


async def flooded(directory: Path, manner: str, rooms: int, seconds: float = 0.0) -> Run:
    run, benched, house = Run(), asyncio.Event(), House(f"flood-{manner}", rooms, 12, neighbours=0)
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
            reading = asyncio.create_task(run.read(service.stderr, benched))
            async with asyncio.timeout(PATIENCE):
                await benched.wait()
            await asyncio.sleep(seconds)
            await until(lambda: len(list(house.truth.expected())) >= ENOUGH)
            await house.stop_sending()
            await until(lambda: stored(directory / "state" / "history.db") >= len(list(house.truth.expected())))
            run.memory = peak(service.pid)
            service.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                run.status = await service.wait()
            await reading
    journal = Journal(directory / "state" / "history.db")
    rows = [row.reading async for row in journal.reader.export()]
    await journal.close()
    run.comparison = compare(house.truth, rows)
    return run


def stored(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT count(*) FROM reading WHERE source = 'advertisement'").fetchone()[0]


def held(run: Run) -> None:
    assert run.comparison.heard >= ENOUGH
    assert run.comparison.perfect, (run.comparison.lost[:2], run.comparison.twice[:2], run.comparison.false[:2])
    assert run.memory <= MEGABYTES
    assert run.status == 0
    assert "Traceback" not in run.log


async def test_a_bomb_beside_two_good_proxies(tmp_path):
    """32,767 empty advertisements in one frame."""
    held(await flooded(tmp_path, "bomb", 2))


@pytest.mark.long
@pytest.mark.parametrize("manner", ["advertisements", "oversized", "bomb", "pings", "states"])
async def test_a_minute_of_it_beside_eight(tmp_path, manner):
    """100,000 advertisements a second, 65 kB in one, 32,767 in one frame, and what is no advertisement at all."""
    held(await flooded(tmp_path, manner, 8, 60.0))
