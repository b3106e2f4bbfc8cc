"""A node as a whole: its life, its keys and its failures, seen by aioesphomeapi's client."""

import asyncio

import attrs
import pytest
from aioesphomeapi.core import (
    BluetoothConnectionDroppedError,
    EncryptionPlaintextAPIError,
    InvalidEncryptionKeyAPIError,
    RequiresEncryptionAPIError,
    TimeoutAPIError,
)
from support.faulty_node import faster
from support.library_client import FAST, OTHER_PSK, PLANT, PSK, OnePlant, client, holder, open_link, put, running

from proxy_listener.model.secret import Secret
from proxy_listener.node import firmware as generations


async def test_the_scan_stops_while_a_connect_is_set_up():
    """STOPPING, IDLE, STARTING, RUNNING; an advertisement in between is not heard."""
    air = OnePlant()
    async with running(air=air) as node, holder(node) as api:
        connect = asyncio.create_task(open_link(api))
        states = [await api.states.get(), await api.states.get()]
        assert not node.hear(1, 0, -50, b"\x01")
        await connect
        states += [await api.states.get(), await api.states.get()]
        assert states == ["STOPPING", "IDLE", "STARTING", "RUNNING"]
        assert node.hear(1, 0, -50, b"\x01")


async def test_no_slot_is_said_at_once():
    """A request beyond the slots is answered (False, 0, 0) without touching the radio."""
    async with running(air=OnePlant()) as node, holder(node) as api:
        node.links.limit = 0
        assert await (await open_link(api)).get() == (False, 0, 0)


async def test_an_absent_device_is_133():
    """The open runs into the radio's limit, and the slot comes back."""
    air = OnePlant()
    air.absent = True
    async with running(air=air, timing=attrs.evolve(FAST, open=0.1)) as node, holder(node) as api:
        assert await (await open_link(api)).get() == (False, 0, 133)
        assert node.links.free == 3


@pytest.mark.parametrize(("generation", "free"), [("2026.6", 2), ("2026.10", 3)])
async def test_giving_up_early_frees_the_slot_by_generation(generation, free):
    """A client that gives up before the radio does: the slot is free at once from 2026.10 on, not before."""
    air = OnePlant()
    air.absent = True
    firmware = generations.GENERATIONS[generation]
    async with running(firmware, air, attrs.evolve(FAST, open=5.0)) as node, holder(node) as api:
        with pytest.raises(TimeoutAPIError):
            await open_link(api, patience=0.1)
        assert node.links.free == free


async def test_a_lost_link_ends_what_is_pending():
    """A drop by the peripheral is reported with its reason, and a pending read fails."""
    air = OnePlant()
    async with running(air=air) as node, holder(node) as api:
        told = await open_link(api)
        await told.get()
        air.silent = True
        read = asyncio.create_task(api.bluetooth_gatt_read(PLANT, 0x33))
        await api.device_info()
        air.lost(0x08)
        with pytest.raises(BluetoothConnectionDroppedError):
            await read
        assert await told.get() == (False, 0, 8)


async def test_a_wrong_key_is_told():
    """Another key: the client learns name and MAC and that its key is wrong."""
    async with running(noise_psk=Secret(PSK)) as node, client(node, OTHER_PSK) as api:
        with pytest.raises(InvalidEncryptionKeyAPIError) as caught:
            await api.connect(login=True)
        assert caught.value.received_name == "kitchen-proxy"
        assert caught.value.received_mac == "a0b1c2d3e4f5"


async def test_plaintext_to_a_noise_node_and_the_reverse():
    """Each side's error is the one that ESPHome's own nodes cause."""
    async with running(noise_psk=Secret(PSK)) as node, client(node) as api:
        with pytest.raises(RequiresEncryptionAPIError):
            await api.connect(login=True)
    async with running(generations.ESPHOME_2026_6) as node, client(node, PSK) as api:
        with pytest.raises(EncryptionPlaintextAPIError):
            await api.connect(login=True)


async def test_an_unprovisioned_node_takes_the_zero_key_only():
    """2026.10 without a key: Noise with all zeros works, with any other key it is a wrong key."""
    async with running() as node:
        async with client(node, "A" * 43 + "=") as api:
            await api.connect(login=True)
            info = await api.device_info()
            assert (info.api_encryption_supported, info.api_encryption_provisionable) == (True, True)
        async with client(node, PSK) as api:
            with pytest.raises(InvalidEncryptionKeyAPIError):
                await api.connect(login=True)


async def test_a_clean_stop_is_an_expected_disconnect():
    """The node says goodbye: on_stop(True)."""
    stopped = asyncio.Queue()
    async with running() as node, client(node) as api:
        await api.connect(login=True, on_stop=lambda expected: put(stopped, expected))
        await node.stop()
        assert await stopped.get() is True


async def test_power_loss_is_an_unexpected_one_and_the_node_comes_back_at_its_port():
    """A reset: on_stop(False); after start the same port answers."""
    stopped = asyncio.Queue()
    async with running() as node, client(node) as api:
        await api.connect(login=True, on_stop=lambda expected: put(stopped, expected))
        port = node.port
        await node.power_off()
        assert await stopped.get() is False
        await node.start()
        assert node.port == port
        await api.connect(login=True)
        assert (await api.device_info()).name == "kitchen-proxy"


async def test_a_frozen_node_is_half_open_and_bursts_on_return():
    """Frozen: no answer and no end. Thawed: what was held arrives."""
    async with running() as node, holder(node) as api:
        node.freeze()
        with pytest.raises(TimeoutAPIError):
            await api.bluetooth_gatt_read(PLANT, 1, timeout=0.1)
        for i in range(20):
            node.hear(i, 0, -50, b"\x01")
        assert api.heard.empty()
        node.thaw()
        assert len((await api.heard.get()).advertisements) == 16


async def test_the_sixth_client_is_closed():
    """Five clients; one more is accepted and closed."""
    async with running() as node:
        others = [await asyncio.open_connection("127.0.0.1", node.port) for _ in range(5)]
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        assert await reader.read() == b""
        for _, other in [*others, (reader, writer)]:
            other.close()
            await other.wait_closed()


async def test_a_wrong_password_ends_the_session():
    """Firmware with a password: a wrong one is refused, and only DeviceInfo is answered."""
    async with running(generations.ESPHOME_2025_6, password=Secret("right")) as node:
        async with client(node, password="right") as api:
            await api.connect(login=True)
            await api.device_info()
            assert await api.list_entities_services() == ([], [])
        async with client(node, password="wrong") as api:
            stopped = asyncio.Queue()
            await api.connect(login=True, on_stop=lambda expected: put(stopped, expected))
            assert await stopped.get() is False


async def test_a_silent_client_is_asked_then_dropped():
    """60 s of silence: the node pings. 150 s: it drops the client. Here divided by 300."""
    async with running(timing=faster(300)) as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(b"\x00\x00\x01")
        assert (await reader.readexactly(3))[2] == 2
        rest = b""
        try:
            while chunk := await reader.read(100):
                rest += chunk
        except ConnectionResetError:
            pass
        assert rest.endswith(b"\x00\x00\x07")
        assert node.sessions == set()
        writer.close()
