"""``record`` where no service runs: every advertisement that the proxies send, as lines of a capture.

What comes in: the configuration and an open file. What goes out: lines, until told to stop. The rule of this file: it
connects as ``run`` does, under the same lock, and looks at nothing that it writes.
"""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import TextIO

from proxy_listener.capture.tap import Taps
from proxy_listener.config import Config
from proxy_listener.model.outcome import Outcome
from proxy_listener.proxies.fleet import Fleet
from proxy_listener.state import single_instance


async def record(config: Config, state: Path, file: TextIO, seconds: float | None) -> None:
    """Connect to the proxies and write every advertisement as a line of a capture, until told to stop."""
    with single_instance(state):
        fleet = Fleet(config.discovery, config.proxies, _unheard, state=state)
        taps = Taps(_unheard, fleet.listen)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        tasks = [asyncio.create_task(part) for part in (_write_lines(taps.lines(), file), fleet.run(), _until(stop))]
        try:
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _unheard(
    _proxy: str, _address: int, _address_type: int, _rssi: int, _data: bytes, _time: float, _heard: float
) -> Outcome:
    return Outcome.NOT_OURS


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


async def _write_lines(lines: AsyncGenerator[str, None], file: TextIO) -> None:
    async with aclosing(lines):
        async for line in lines:
            file.write(line + "\n")
            file.flush()
