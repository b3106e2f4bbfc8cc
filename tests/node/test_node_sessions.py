"""Sessions of a node at their edges: limits, timers, full buffers, batches."""

import asyncio
from contextlib import asynccontextmanager

import attrs
import pytest

from proxy_listener.node.firmware import ESPHOME_2025_6, ESPHOME_2026_6, ESPHOME_2026_10, Timing
from proxy_listener.node.messages import NUMBERS, api, parse
from proxy_listener.node.node import Node
from proxy_listener.node.session import SEND_BUFFER
from proxy_listener.node.settings import NodeSettings
from proxy_listener.node.wire import PlainWire
from proxy_listener.secret import Secret

FAST = Timing().divided(100)


class Client:
    """A plaintext client that says what it is told to."""

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


async def test_nothing_but_hello_before_hello():
    """A request without a hello ends the session."""
    async with running() as (_, connect):
        client = await connect()
        client.send(api.DeviceInfoRequest())
        assert await client.receive() is None


async def test_with_a_password_only_device_info_before_it():
    """DeviceInfo is answered, a subscription ends the session, a right password opens it."""
    async with running(ESPHOME_2025_6, password=Secret("right")) as (node, connect):
        client = await (await connect()).hello()
        client.send(api.DeviceInfoRequest())
        assert (await client.receive()).uses_password
        client.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        assert await client.receive() is None
        client = await (await connect()).hello()
        client.send(api.AuthenticationRequest(password="right"))
        assert not (await client.receive()).invalid_password
        client.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        assert isinstance(await client.receive(), api.BluetoothScannerStateResponse)
        assert node.stream.holder is not None


async def test_a_session_that_does_not_authenticate_is_cut():
    """After the handshake's time, whatever it sends."""
    timing = attrs.evolve(FAST, handshake=0.1, ping=5.0, reap=10.0)
    async with running(timing=timing) as (node, connect):
        client = await connect()
        assert await client.receive() is None
        assert not node.sessions


async def test_unknown_and_broken_messages_are_passed_over():
    """A number that nobody knows, a payload that is no such message: the session goes on."""
    async with running() as (_, connect):
        client = await (await connect()).hello()
        client.writer.write(client.wire.pack([(9_999, b"\x01"), (68, b"\xff\xff\xff")]))
        client.send(api.PingRequest())
        assert isinstance(await client.receive(), api.PingResponse)


async def test_garbage_ends_one_session_only():
    """Another client is undisturbed."""
    async with running() as (_, connect):
        good, bad = await (await connect()).hello(), await connect()
        bad.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert b"Bad indicator byte" in await bad.reader.read()
        good.send(api.PingRequest())
        assert isinstance(await good.receive(), api.PingResponse)


async def test_a_batch_is_dropped_on_a_full_buffer_and_the_session_lives():
    """A client that does not read loses advertisements, not its session; what it reads later is whole."""
    async with running() as (node, connect):
        client = await (await connect()).hello()
        client.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        assert isinstance(await client.receive(), api.BluetoothScannerStateResponse)
        left = []
        for index in range(400_000):
            node.hear(index, 1, -50, bytes(31), lambda: left.append(1))
            if node.stream.dropped > 1_000:
                break
        assert node.stream.dropped > 1_000
        assert node.stream.sent + node.stream.dropped == (index + 1) // 16 * 16
        assert len(left) == node.stream.sent
        received = 0
        while received < node.stream.sent:
            message = await client.receive()
            received += len(message.advertisements)
        assert received == node.stream.sent
        client.send(api.PingRequest())
        while not isinstance(message, api.PingResponse):
            message = await client.receive()
            assert message is not None


async def test_a_client_that_never_reads_its_answers_is_dropped():
    """More than eight messages that must arrive behind a full buffer end the session."""
    async with running() as (node, connect):
        client = await (await connect()).hello()
        (session,) = node.sessions
        info = api.DeviceInfoResponse(name="x" * SEND_BUFFER)
        while not session.is_over():
            session.send(info)
        answers = 0
        while await client.receive():
            answers += 1
        assert answers > 8


@pytest.mark.parametrize(("firmware", "size"), [(ESPHOME_2025_6, 8), (ESPHOME_2026_6, 16)])
async def test_batches_have_the_generations_size(firmware, size):
    """Full ones go at once, without the timer."""
    async with running(firmware) as (node, connect):
        client = await (await connect()).hello()
        client.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        await client.receive()
        for index in range(size * 2 + 1):
            node.hear(index, 1, -50, b"\x01")
        assert node.stream.sent == size * 2
        assert [len((await client.receive()).advertisements) for _ in range(3)] == [size, size, 1]


async def test_unsubscribing_stops_the_stream_and_frees_it():
    """Nothing more comes; the next subscriber is accepted, also where the first wins."""
    async with running(ESPHOME_2026_6) as (node, connect):
        first, second = await (await connect()).hello(), await (await connect()).hello()
        first.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        await first.receive()
        first.send(api.UnsubscribeBluetoothLEAdvertisementsRequest(), api.PingRequest())
        assert isinstance(await first.receive(), api.PingResponse)
        assert not node.hear(1, 0, -50, b"\x01")
        second.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        assert isinstance(await second.receive(), api.BluetoothScannerStateResponse)


async def test_a_change_of_mode_restarts_the_scan():
    """STOPPING, IDLE, STARTING, RUNNING, the last two in the new mode."""
    async with running() as (node, connect):
        client = await (await connect()).hello()
        client.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        assert ((await client.receive()).state, node.scanner.mode) == (2, 1)
        client.send(api.BluetoothScannerSetModeRequest(mode=0))
        states = [await client.receive() for _ in range(4)]
        assert [(message.state, message.mode) for message in states] == [(4, 1), (0, 1), (1, 0), (2, 0)]


async def test_the_scan_cycle_restarts_the_scan():
    """Every 300 s, here 30 ms: the holder sees the states, and the node hears again."""
    async with running(timing=attrs.evolve(FAST, scan_cycle=0.03)) as (_, connect):
        client = await (await connect()).hello()
        client.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        states = [(await client.receive()).state for _ in range(9)]
        assert states[states.index(4) :][:4] == [4, 0, 1, 2]
