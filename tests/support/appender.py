"""A child process that appends readings without end and says which it was told of: ``appender.py FILE FIRST [BYTES]``.

With BYTES the history may grow to that size only, and most of the readings are a flood of plain frames.
"""

import asyncio
import os
import sys
from pathlib import Path

import structlog
from support.made_readings import FLOODED, journal_at, reading

from proxy_listener.model.settings import HistorySettings


async def main(path, first, max_size):
    settings = HistorySettings(max_size=max_size or 10**9)
    async with journal_at(path, settings) as journal:
        feed = journal.feed(100_000)

        async def load():
            number = first
            while True:
                for _ in range(7):
                    plain = max_size and number % 7
                    journal.append(reading(number, mac=FLOODED, trust="claimed") if plain else reading(number))
                    number += 1
                await asyncio.sleep(0.001)

        loading = asyncio.create_task(load())
        async for row in feed:
            told = [row, *feed.take()]
            os.write(1, b"".join(b"%d\n" % r.reading.counter for r in told))
        await loading


structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None))
