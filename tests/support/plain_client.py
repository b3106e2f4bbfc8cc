"""A node on loopback and a plaintext client that sends any messages, without a library in between."""

import asyncio
from contextlib import asynccontextmanager

from support.faulty_node import faster

from proxy_listener.node.firmware import ESPHOME_2026_10, Login
from proxy_listener.node.messages import NUMBERS, api, parse
from proxy_listener.node.node import Node
from proxy_listener.node.settings import NodeSettings
from proxy_listener.node.wire import PlainWire

FAST = faster(100, ping=60.0, reap=150.0, handshake=60.0)
"""A client is not dropped for its silence, which depends on how busy the machine is."""


class Client:
    """Sends and receives single messages."""

    def __init__(self, reader, writer):
        self.reader, self.writer, self.wire, self.ready = reader, writer, PlainWire(), []

    def send(self, *messages):
        self.writer.write(self.wire.pack([(NUMBERS[type(m)], m.SerializeToString()) for m in messages]))

    async def receive(self):
        while not self.ready:
            data = await self.reader.read(65_536)
            if not data:
                return None
            self.ready += self.wire.receive(data)
        return parse(*self.ready.pop(0))

    async def hello(self):
        self.send(api.HelloRequest(client_info="test", api_version_major=1, api_version_minor=10))
        assert isinstance(await self.receive(), api.HelloResponse)
        return self

    async def enter(self, firmware):
        await self.hello()
        self.send(api.AuthenticationRequest())
        if firmware.login is Login.ALWAYS:
            assert not (await self.receive()).invalid_password
        return self

    async def hold(self, firmware):
        await self.enter(firmware)
        self.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        self.first = await self.receive()
        assert isinstance(self.first, api.BluetoothScannerStateResponse)
        return self

    async def answers(self, *messages):
        """What comes for these, until the answer to a ping that follows them."""
        self.send(*messages, api.PingRequest())
        answers = []
        while not isinstance(message := await self.receive(), api.PingResponse | None):
            answers.append(message)
        return answers


@asynccontextmanager
async def running(firmware=ESPHOME_2026_10, timing=FAST, **settings):
    node = Node(NodeSettings("hall-proxy", 0xA0B1C2D3E4F5, **settings), firmware, None, timing)
    await node.start()
    clients = []

    async def client():
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", node.port)))
        return clients[-1]

    try:
        yield node, client
    finally:
        for one in clients:
            one.writer.close()
        await node.stop()
