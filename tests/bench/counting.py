"""The least that a receiver can do: aioesphomeapi, with a callback that only counts.

In: the proxies as JSON on standard input's first line. Out: at SIGTERM, one line of JSON with what was received.
"""

import asyncio
import json
import signal
import sys
from typing import Any

from aioesphomeapi import APIClient

AT_ONCE = 4


async def client(proxy: dict[str, Any], turn: asyncio.Semaphore) -> APIClient:
    """Connected and known."""
    made = APIClient(proxy["host"], proxy["port"], None, noise_psk=proxy["noise_psk"], keepalive=6.0)
    async with turn:
        await made.connect(login=True)
    return made


async def main() -> None:
    asked = json.loads(sys.stdin.readline())
    received = 0

    def count(message: Any) -> None:
        nonlocal received
        received += len(message.advertisements)

    turn = asyncio.Semaphore(AT_ONCE)
    clients = await asyncio.gather(*(client(proxy, turn) for proxy in asked["proxies"]))
    for one in clients:
        one.subscribe_bluetooth_le_raw_advertisements(count)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    json.dump({"received": received}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
