"""A flooding proxy in its own process: ``python flooding.py MANNER`` prints its port and floods its subscribers."""

import asyncio
import random
import sys
from collections.abc import Iterator

from support.rogue import HOSTILE_NAME, bomb

from proxy_listener.node.firmware import ESPHOME_2026_10
from proxy_listener.node.messages import api
from proxy_listener.node.node import Node
from proxy_listener.node.settings import NodeSettings

MESSAGES, ADVERTISEMENTS = 500, 200
"""A second, and in each: 100,000 advertisements."""


def batches(manner: str) -> list:
    chance = random.Random(manner)
    if manner == "bomb":
        return [bomb(32_767)]
    if manner == "oversized":
        return [bomb(1, 65_000)]
    return [random_batch(chance) for _ in range(50)]


def random_batch(chance: random.Random):
    """Xiaomi service data from random addresses."""
    batch = api.BluetoothLERawAdvertisementsResponse()
    for _ in range(ADVERTISEMENTS):
        data = bytes.fromhex("020106141695fe") + chance.randbytes(17)
        batch.advertisements.add(address=chance.getrandbits(48), rssi=-50, address_type=1, data=data)
    return batch


CHATTER = {"pings": b"\x00\x00\x07", "states": b"\x00\x04\x7e\x08\x03\x10\x01"}
"""A ping, and a scanner state, as plaintext frames."""


def flood(node: Node, manner: str) -> Iterator[None]:
    """One helping each time it is asked."""
    if manner in CHATTER:
        while True:
            for session in list(node.sessions):
                if node.stream.holder is not None and session._transport.get_write_buffer_size() < 1_000_000:
                    session._transport.write(CHATTER[manner] * 10_000)
            yield
    made = batches(manner)
    while True:
        for batch in made:
            node.send(batch)
            yield


async def main(manner: str) -> None:
    node = Node(NodeSettings("rogue", 0xA0B1C2D3E4F5, HOSTILE_NAME * 1000), ESPHOME_2026_10)
    await node.start()
    print(node.port, flush=True)  # noqa: T201  who started us reads it
    for _ in flood(node, manner):
        await asyncio.sleep(1 / MESSAGES)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
