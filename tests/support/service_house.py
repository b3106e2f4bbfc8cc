"""The whole service over a simulated house: in this process, or as a process of its own."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import tomlkit
from support.waiting import PATIENCE, until

from proxy_listener.history import Feed
from proxy_listener.model.reading import Reading
from proxy_listener.service import Service
from proxy_listener.simulator.house import House

__all__ = [
    "PATIENCE",
    "lines_of",
    "readings_of",
    "running_process",
    "standing_house",
    "stored",
    "take",
    "until",
    "write_configuration",
]


def write_configuration(path: Path, house: House) -> Path:
    """Without active reads, whose readings are of no frame on air."""
    document = house.configuration(static=True)
    for entry in document["device"]:
        entry["read"] = "off"
    path.write_text(tomlkit.dumps(document))
    path.chmod(0o600)
    return path


@asynccontextmanager
async def standing_house(**more) -> AsyncIterator[House]:
    house = House("app", 3, 8, neighbours=0, **more)
    async with house.running(announced=False):
        yield house


async def take(feed: Feed, count: int) -> list[Reading]:
    async with asyncio.timeout(PATIENCE):
        return [(await anext(feed)).reading for _ in range(count)]


async def readings_of(running: Service, count: int) -> list[Reading]:
    with running.journal.feed(1000) as feed:
        return await take(feed, count)


@asynccontextmanager
async def running_process(directory: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "proxy_listener",
        *arguments,
        "-c",
        str(directory / "devices.toml"),
        "--state",
        str(directory / "state"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def lines_of(process: asyncio.subprocess.Process, count: int) -> list[dict]:
    async with asyncio.timeout(PATIENCE):
        return [json.loads(await process.stdout.readline()) for _ in range(count)]


def stored(path: Path) -> set[tuple[str, int | None]]:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    rows = connection.execute("SELECT mac, counter FROM reading").fetchall()
    connection.close()
    return {(f"{mac:012X}", counter) for mac, counter in rows}
