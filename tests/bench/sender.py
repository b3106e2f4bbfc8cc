"""Real proxies that send a mix in real time: a process of its own, on a core of its own.

In: a mix as JSON in the first argument, ``go`` on standard input. Out, a line of JSON each: the ports; when the first
and the last proxy's stream was subscribed to; what was sent, and when each frame was on air. Times are monotonic
seconds, which all processes of a machine share. The rule of this file: messages are made before the clock starts, and
what a client's full buffer dropped is counted, because it cannot be found.
"""

import asyncio
import base64
import gc
import json
import sys
import time

import attrs
import structlog
from mix import Heard, Message, Mix, air, strangers

from proxy_listener.model.secret import Secret
from proxy_listener.node.firmware import ESPHOME_2026_6
from proxy_listener.node.messages import api
from proxy_listener.node.node import Node
from proxy_listener.node.settings import NodeSettings

KEY = base64.b64encode(b"a key of the benchmark's proxies").decode()
PROXY = 0x02B0C2000000
COARSE = 0.002
"""Seconds: asyncio's timers are whole milliseconds. The rest of a wait is spent looking at the clock, because messages
that are sent together are read together, which would make receivers look cheaper than they are."""


def made(message: Message) -> object:
    """The message as protobuf."""
    raw = api.BluetoothLERawAdvertisementsResponse()
    for heard in message.heard:
        raw.advertisements.add(**attrs.asdict(heard))
    return raw


def flood(mix: Mix, count: int) -> list[Message]:
    """``count`` addresses that are heard once, in messages of sixteen, spread over the mix's proxies and seconds."""
    heard = [Heard(address, 1, -70, data) for address, data in strangers(count, mix.seed)]
    batches = [tuple(heard[at : at + 16]) for at in range(0, count, 16)]
    return [
        Message(mix.warm + mix.seconds * n / len(batches), n % mix.proxies, batch) for n, batch in enumerate(batches)
    ]


def say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def play(
    nodes: list[Node], schedule: list[tuple[float, int, object, int]], began: float, warm: float
) -> dict[str, object]:
    """Send everything at its time."""
    sent = dropped = warming = 0
    lags: list[float] = []
    writes: list[tuple[int, float]] = []
    at = 0
    while at < len(schedule):
        now = time.monotonic() - began
        while at < len(schedule) and schedule[at][0] <= now:
            due, proxy, message, count = schedule[at]
            holder = nodes[proxy].stream.holder
            if holder is not None and holder.offer(message):
                sent += count
                warming += count if due < warm else 0
                writes.append((proxy, time.monotonic()))
            else:
                dropped += count
            lags.append(now - due)
            at += 1
        if at < len(schedule):
            wait = schedule[at][0] - (time.monotonic() - began)
            await asyncio.sleep(wait - COARSE if wait > COARSE else 0)
    lags.sort()
    lag = lags[int(len(lags) * 0.99)] if lags else 0.0
    return {"sent": sent, "dropped": dropped, "warming": warming, "lag": lag, "writes": writes}


async def subscribed(nodes: list[Node]) -> tuple[float, float]:
    """When the first stream was taken, and when all were."""
    first = None
    while True:
        taken = sum(node.stream.holder is not None for node in nodes)
        if taken and first is None:
            first = time.monotonic()
        if first is not None and taken == len(nodes):
            return first, time.monotonic()
        await asyncio.sleep(0.01)


async def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asked = json.loads(sys.argv[1])
    mix, addresses = Mix(**asked["mix"]), asked.get("addresses", 0)
    content = air(mix) if mix.rate else None
    messages = flood(mix, addresses) if addresses else content.messages if content else []
    schedule = [(message.time, message.proxy, made(message), len(message.heard)) for message in messages]
    truth = [] if addresses or content is None else [attrs.astuple(frame) for frame in content.frames]
    del content, messages
    gc.collect()
    gc.freeze()
    nodes = [
        Node(NodeSettings(f"p{n:04d}", PROXY + 8 * n, noise_psk=Secret(KEY)), ESPHOME_2026_6)
        for n in range(mix.proxies)
    ]
    for node in nodes:
        await node.start()
    say(ports=[node.port for node in nodes])
    first, last = await subscribed(nodes)
    say(first=first, last=last)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)
    began = time.monotonic() + 0.1
    say(began=began)
    result = await play(nodes, schedule, began, mix.warm)
    await asyncio.sleep(began + mix.warm + mix.seconds - time.monotonic())
    say(**result, frames=[(mac, counter, celsius, began + t) for mac, counter, celsius, t in truth])
    await loop.run_in_executor(None, sys.stdin.readline)
    for node in nodes:
        node._close_server()
    for session in [session for node in nodes for session in node.sessions]:
        session.abort()


if __name__ == "__main__":
    asyncio.run(main())
