"""Readings and journals for the tests of this room."""

import asyncio
from contextlib import asynccontextmanager

from proxy_listener.history import Journal
from proxy_listener.model.reading import Reading

MAC = 0xA4C1380283F4
FLOODED = 0xC47C8D6A3B11
T0 = 1_700_000_000.0


def reading(number, **changes):
    """An authenticated reading whose time, counter and identity follow from ``number``."""
    fields = {
        "time": T0 + number,
        "mac": MAC,
        "name": "Bedroom climate",
        "model": "LYWSD03MMC",
        "source": "advertisement",
        "proxy": "bedroom-proxy",
        "room": "Bedroom",
        "rssi": -61,
        "counter": number,
        "trust": "authenticated",
        "late": False,
        "values": {"temperature": 20 + number % 50 / 10},
        "identity": b"key!" + number.to_bytes(4, "big") + b"tag!",
    }
    return Reading(**{**fields, **changes})


@asynccontextmanager
async def journal_at(path, *args, **kwargs):
    """A journal whose writer runs, closed at the end."""
    journal = Journal(path, *args, **kwargs)
    running = asyncio.create_task(journal.run())
    try:
        yield journal
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await journal.close()


async def numbers(journal):
    """The counters of all rows, in order of time."""
    return [row.reading.counter async for row in journal.reader.export()]
