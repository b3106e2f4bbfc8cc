"""A proxy in its own process that lists services without end: it prints its port.

It hears a plant twice a second, and opens any link.
"""

import asyncio
from itertools import count

from proxy_listener.node.firmware import ESPHOME_2026_10
from proxy_listener.node.messages import NUMBERS, api
from proxy_listener.node.node import Node
from proxy_listener.node.settings import NodeSettings
from proxy_listener.simulator.frames import advertisement, frame, obj

PLANT = 0xC47C8D6A0001
SERVICES, CHARACTERISTICS = 300, 3
"""In each message."""


class OpenLink:
    mtu = 23

    async def services(self):
        return ()

    def close(self):
        pass


class Air:
    async def open(self, *_):
        return OpenLink()


def message(address):
    listed = api.BluetoothGATTGetServicesResponse(address=address)
    for number in range(SERVICES):
        service = listed.services.add(uuid=[number, 1], handle=number)
        for at in range(CHARACTERISTICS):
            service.characteristics.add(uuid=[number, 2 + at], handle=at)
    return listed


async def send_without_end(session, listed):
    data = session._wire.pack([(NUMBERS[type(listed)], listed.SerializeToString())])
    while not session.is_over():
        if session._transport.get_write_buffer_size() < 1_000_000:
            session._transport.write(data)
        await asyncio.sleep(0)


async def main():
    node = Node(NodeSettings("rogue", 0xA0B1C2D3E4F5), ESPHOME_2026_10, Air())
    await node.start()
    node.links.services = lambda address: node.spawn(send_without_end(next(iter(node.sessions)), message(address)))
    print(node.port, flush=True)  # noqa: T201  who started us reads it
    for counter in count():
        moisture = obj(0x1008, bytes((counter % 100,)))
        node.hear(PLANT, 0, -50, advertisement(frame(0x0098, counter % 256, moisture, mac=PLANT)))
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(main())
