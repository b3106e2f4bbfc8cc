"""A child process that appends readings without end and says which it was told of: ``appender.py FILE FIRST``."""

import asyncio
import os
import sys
from pathlib import Path

from made_readings import journal_at, reading


async def main(path, first):
    async with journal_at(path) as journal:
        feed = journal.feed(100_000)

        async def load():
            number = first
            while True:
                for _ in range(7):
                    journal.append(reading(number))
                    number += 1
                await asyncio.sleep(0.001)

        loading = asyncio.create_task(load())
        async for row in feed:
            told = [row, *feed.take()]
            os.write(1, b"".join(b"%d\n" % r.reading.counter for r in told))
        await loading


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
