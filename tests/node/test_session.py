"""Sessions of a node at their edges: limits, timers, full buffers, batches."""

import attrs
from support.plain_client import FAST, running

from proxy_listener.model.secret import Secret
from proxy_listener.node.firmware import ESPHOME_2025_6
from proxy_listener.node.messages import api
from proxy_listener.node.session import SEND_BUFFER


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
    """An unknown number and an invalid payload are ignored, and the session continues."""
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
