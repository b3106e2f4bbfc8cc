"""Clients of shared nodes, as count-only as ``counting.py``: they note when each message came.

In: the nodes and how many clients each gets, as JSON on standard input's first line. Out: a line of JSON when all have
subscribed; at SIGTERM one with the advertisements that each client received, and the times at which its messages came.
"""

import asyncio
import json
import signal
import sys
import time
from typing import Any

import attrs
from aioesphomeapi import APIClient
from counting import AT_ONCE, client


@attrs.define
class Heard:
    """What one client received. ``times``: monotonic seconds, of each message."""

    count: int = 0
    times: list[float] = attrs.Factory(list)

    def message(self, message: Any) -> None:
        self.times.append(time.monotonic())
        self.count += len(message.advertisements)


async def subscribe(one: APIClient) -> Heard:
    """The stream, which the node confirmed."""
    heard, confirmed = Heard(), asyncio.Event()
    one.subscribe_bluetooth_scanner_state(lambda _: confirmed.set())
    one.subscribe_bluetooth_le_raw_advertisements(heard.message)
    await confirmed.wait()
    return heard


async def main() -> None:
    asked = json.loads(sys.stdin.readline())
    turn = asyncio.Semaphore(AT_ONCE)
    nodes = [node for node in asked["nodes"] for _ in range(asked["each"])]
    connected = await asyncio.gather(*(client(node, turn) for node in nodes))
    heard = await asyncio.gather(*map(subscribe, connected))
    json.dump({"connected": len(heard)}, sys.stdout)
    sys.stdout.write("\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    json.dump([{"count": one.count, "times": one.times} for one in heard], sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
