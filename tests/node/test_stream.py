"""Who holds a node's stream, and how advertisements reach that client."""

import pytest
from support.library_client import PSK, client, holder, running
from support.plain_client import running as plain_running

from proxy_listener.model.secret import Secret
from proxy_listener.node import firmware as generations
from proxy_listener.node.firmware import ESPHOME_2025_6, ESPHOME_2026_6
from proxy_listener.node.messages import api


@pytest.mark.parametrize("psk", [None, PSK])
async def test_advertisements_arrive_byte_for_byte(psk):
    """Forty advertisements come as 16, 16 and the rest, in order, unchanged."""
    async with running(noise_psk=psk and Secret(psk)) as node, holder(node, psk) as api:
        sent = [(0x582D34350500 + i, i % 2, -40 - i, bytes([i]) * (i + 1)) for i in range(40)]
        for advertisement in sent:
            assert node.hear(*advertisement)
        batches = [await api.heard.get() for _ in range(3)]
        assert [len(batch.advertisements) for batch in batches] == [16, 16, 8]
        got = [(a.address, a.address_type, a.rssi, a.data) for batch in batches for a in batch.advertisements]
        assert got == sent


async def test_first_wins_refuses_without_a_word():
    """Before 2026.7 a second subscriber gets no state and no advertisement, and is not promoted later."""
    async with running(generations.ESPHOME_2026_6) as node, client(node) as late:
        async with holder(node):
            states = []
            await late.connect(login=True)
            late.subscribe_bluetooth_scanner_state(states.append)
            late.subscribe_bluetooth_le_raw_advertisements(states.append)
            await late.device_info()
            node.hear(1, 0, -50, b"\x01")
            node.stream.flush()
            await late.device_info()
            assert states == []
        node.hear(1, 0, -50, b"\x01")
        await late.device_info()
        assert states == []
        assert node.stream.holder is None


async def test_newest_wins_takes_the_stream():
    """From 2026.7 on the newcomer has the stream, and the old holder hears nothing of it."""
    async with running(generations.ESPHOME_2026_7) as node, holder(node) as old, holder(node) as new:
        node.hear(1, 0, -50, b"\x01")
        assert len((await new.heard.get()).advertisements) == 1
        await old.device_info()
        assert old.heard.empty()
        assert old.states.empty()


async def test_unsubscribing_stops_the_stream_and_frees_it():
    """Nothing more comes; the next subscriber is accepted, also where the first wins."""
    async with plain_running(ESPHOME_2026_6) as (node, connect):
        first, second = await (await connect()).hello(), await (await connect()).hello()
        first.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        await first.receive()
        first.send(api.UnsubscribeBluetoothLEAdvertisementsRequest(), api.PingRequest())
        assert isinstance(await first.receive(), api.PingResponse)
        assert not node.hear(1, 0, -50, b"\x01")
        second.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        assert isinstance(await second.receive(), api.BluetoothScannerStateResponse)


async def test_a_batch_is_dropped_on_a_full_buffer_and_the_session_lives():
    """A client that does not read loses advertisements, not its session; what it reads later is whole."""
    async with plain_running() as (node, connect):
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


@pytest.mark.parametrize(("firmware", "size"), [(ESPHOME_2025_6, 8), (ESPHOME_2026_6, 16)])
async def test_batches_have_the_generations_size(firmware, size):
    """Full ones go at once, without the timer."""
    async with plain_running(firmware) as (node, connect):
        client = await (await connect()).hold(firmware)
        for index in range(size * 2 + 1):
            node.hear(index, 1, -50, b"\x01")
        assert node.stream.sent == size * 2
        assert [len((await client.receive()).advertisements) for _ in range(3)] == [size, size, 1]
