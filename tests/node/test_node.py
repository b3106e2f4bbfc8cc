"""A node, spoken to by aioesphomeapi's own client."""

import asyncio
from contextlib import asynccontextmanager

import attrs
import pytest
from aioesphomeapi import APIClient
from aioesphomeapi.core import (
    BluetoothConnectionDroppedError,
    EncryptionPlaintextAPIError,
    InvalidEncryptionKeyAPIError,
    RequiresEncryptionAPIError,
    TimeoutAPIError,
)
from aioesphomeapi.model import BluetoothProxyFeature
from support.faulty_node import FaultyNode, faster

from proxy_listener.model.secret import Secret
from proxy_listener.node import firmware as generations
from proxy_listener.node.air import READ, WRITE, Characteristic, GattService, OpenError, OperationError
from proxy_listener.node.settings import NodeSettings

PSK = "QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc="
OTHER_PSK = "bOFFzzvfpg5DB94DuBGLXD/hMnhpDKgP9UQyBulwWVU="
MAC = 0xA0B1C2D3E4F5
PLANT = 0xC47C8D6A0001
FAST = faster(20)


class OnePlant:
    """An air with one peripheral, which is its own link."""

    mtu = 85

    def __init__(self):
        self.value = b"\x00"
        self.lost = None
        self.absent = False
        self.code = 0
        self.silent = False
        self.open_links = 0

    async def open(self, address, address_type, lost, notified):
        if self.code:
            raise OpenError(self.code)
        if self.absent or address != PLANT:
            await asyncio.get_running_loop().create_future()
        self.lost = lost
        self.open_links += 1
        return self

    async def services(self):
        return [
            GattService(0x1204, 0x31, [Characteristic(0x1A00, 0x33, READ | WRITE), Characteristic(0x1A02, 0x38, READ)]),
            *(GattService(0xFF00 + i, 0x100 + i, [Characteristic(0xEE00 + i, 0x200 + i, READ)]) for i in range(60)),
        ]

    async def read(self, handle):
        if self.silent:
            await asyncio.get_running_loop().create_future()
        if handle == 0x33:
            return self.value
        raise OperationError(1)

    async def write(self, handle, data, response):
        self.value = data

    def close(self):
        self.open_links -= 1


@asynccontextmanager
async def running(firmware=generations.ESPHOME_2026_10, air=None, timing=FAST, **settings):
    node = FaultyNode(NodeSettings("kitchen-proxy", MAC, **settings), firmware, air, timing)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


@asynccontextmanager
async def client(node, psk=None, **more):
    api = APIClient("127.0.0.1", node.port, more.pop("password", ""), noise_psk=psk, **more)
    try:
        yield api
    finally:
        await api.disconnect(force=True)


@asynccontextmanager
async def holder(node, psk=None):
    """A connected client that holds the stream; ``heard`` collects advertisements, ``states`` scanner states."""
    async with client(node, psk) as api:
        await api.connect(login=True)
        api.heard, api.states, api.frees = asyncio.Queue(), asyncio.Queue(), asyncio.Queue()
        api.subscribe_bluetooth_scanner_state(lambda state: api.states.put_nowait(state.state.name))
        api.subscribe_bluetooth_connections_free(lambda *told: api.frees.put_nowait(told))
        api.subscribe_bluetooth_le_raw_advertisements(api.heard.put_nowait)
        await api.states.get()
        yield api


async def open_link(api, *, cached=False, address=PLANT, patience=5.0):
    told = asyncio.Queue()
    await api.bluetooth_device_connect(
        address, lambda *state: told.put_nowait(state), timeout=patience, disconnect_timeout=0.5,
        feature_flags=255, has_cache=cached, address_type=0,
    )  # fmt: skip
    return told


@pytest.mark.parametrize("psk", [None, PSK])
@pytest.mark.parametrize("generation", ["2025.6", "2026.6", "2026.10"])
async def test_a_client_learns_what_the_node_is(generation, psk):
    """DeviceInfo and capabilities say the name, the MACs, the version and the flags, plain and encrypted."""
    firmware = generations.GENERATIONS[generation]
    async with running(firmware, noise_psk=psk and Secret(psk)) as node, client(node, psk) as api:
        await api.connect(login=True)
        info = await api.device_info()
        capable = await api.device_capabilities_compat(info)
        assert (info.name, info.mac_address) == ("kitchen-proxy", "A0:B1:C2:D3:E4:F5")
        assert info.bluetooth_mac_address == "A0:B1:C2:D3:E4:F7"
        assert info.esphome_version == firmware.version
        assert capable.bluetooth_proxy.feature_flags == firmware.flags
        assert (api.api_version.major, api.api_version.minor) == firmware.api


async def test_generations_before_flags_are_understood():
    """2023.4 tells the legacy version only, which the client translates to the first five flags."""
    async with running(generations.PARSED) as node, client(node) as api:
        await api.connect(login=True)
        info = await api.device_info()
        assert info.bluetooth_proxy_feature_flags_compat(api.api_version) == 31


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


async def test_old_firmware_sends_parsed_advertisements():
    """2023.4 takes the advertisement apart: UUIDs, service data, name."""
    async with running(generations.PARSED) as node, client(node) as api:
        await api.connect(login=True)
        heard = asyncio.Queue()
        api.subscribe_bluetooth_le_advertisements(heard.put_nowait)
        await api.device_info()
        node.hear(0x582D34350521, 0, -61, bytes.fromhex("020106 0716 95fe 01020304 0409 4d4a41 0000".replace(" ", "")))
        advertisement = await heard.get()
        assert advertisement.address == 0x582D34350521
        assert advertisement.rssi == -61
        assert advertisement.name == "MJA"
        assert advertisement.service_data == {"0000fe95-0000-1000-8000-00805f9b34fb": bytes([1, 2, 3, 4])}


async def test_a_read_over_a_fresh_connection():
    """Connect without cache, services, write, read back, disconnect: the slot is taken, then free again."""
    air = OnePlant()
    async with running(air=air) as node, holder(node) as api:
        told = await open_link(api)
        assert await told.get() == (True, 85, 0)
        assert node.links.free == 2
        services = (await api.bluetooth_gatt_get_services(PLANT)).services
        assert len(services) == 61
        mode = services[0].characteristics[0]
        assert (mode.uuid, mode.handle) == ("00001a00-0000-1000-8000-00805f9b34fb", 0x33)
        await api.bluetooth_gatt_write(PLANT, mode.handle, b"\xa0\x1f", response=True)
        assert await api.bluetooth_gatt_read(PLANT, mode.handle) == b"\xa0\x1f"
        with pytest.raises(Exception, match="Invalid handle"):
            await api.bluetooth_gatt_read(PLANT, 0x99)
        await api.bluetooth_device_disconnect(PLANT)
        assert (node.links.free, air.open_links) == (3, 0)


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


async def test_a_cached_connect_gives_no_services():
    """With cache: connected at once with MTU 23 and an empty service list."""
    async with running(air=OnePlant()) as node, holder(node) as api:
        told = await open_link(api, cached=True)
        assert await told.get() == (True, 23, 0)
        assert (await api.bluetooth_gatt_get_services(PLANT)).services == []


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


@pytest.mark.parametrize(("generation", "reports"), [("2026.6", 2), ("2026.8", 1)])
async def test_a_lost_link_is_reported_as_often_as_the_generation_does(generation, reports):
    """A drop by the peripheral: connected=False twice before 2026.8, once since; a pending read fails."""
    air = OnePlant()
    async with running(generations.GENERATIONS[generation], air) as node, holder(node) as api:
        told = await open_link(api)
        await told.get()
        air.silent = True
        read = asyncio.create_task(api.bluetooth_gatt_read(PLANT, 0x33))
        await api.device_info()
        air.lost(0x08)
        with pytest.raises(BluetoothConnectionDroppedError):
            await read
        for _ in range(reports):
            assert await told.get() == (False, 0, 8)
        await asyncio.sleep(FAST.drop_again * 3)
        assert told.empty()


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


async def test_links_end_with_the_holder():
    """When the stream holder unsubscribes, its links are closed and the slots free."""
    air = OnePlant()
    async with running(air=air) as node, holder(node) as api:
        await (await open_link(api)).get()
        await api.disconnect()
        await asyncio.sleep(FAST.teardown * 3)
        assert (node.links.free, air.open_links) == (3, 0)


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


async def test_a_passive_node_answers_no_connection_request():
    """Flags 97 since 2026.8: the request for free slots stays unanswered, advertisements come."""
    firmware = generations.ESPHOME_2026_10.passive()
    assert firmware.flags == (
        BluetoothProxyFeature.PASSIVE_SCAN
        | BluetoothProxyFeature.RAW_ADVERTISEMENTS
        | BluetoothProxyFeature.FEATURE_STATE_AND_MODE
    )
    async with running(firmware) as node, holder(node) as api:
        node.hear(1, 0, -50, b"\x01")
        await api.heard.get()
        assert api.frees.empty()
        with pytest.raises(TimeoutAPIError):
            await open_link(api, patience=0.1)


async def test_a_clean_stop_is_an_expected_disconnect():
    """The node says goodbye: on_stop(True)."""
    stopped = asyncio.Queue()
    async with running() as node, client(node) as api:
        await api.connect(login=True, on_stop=lambda expected: _put(stopped, expected))
        await node.stop()
        assert await stopped.get() is True


async def test_power_loss_is_an_unexpected_one_and_the_node_comes_back_at_its_port():
    """A reset: on_stop(False); after start the same port answers."""
    stopped = asyncio.Queue()
    async with running() as node, client(node) as api:
        await api.connect(login=True, on_stop=lambda expected: _put(stopped, expected))
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
    """Firmware with a password: a wrong one is told, and nothing but DeviceInfo is answered."""
    async with running(generations.ESPHOME_2025_6, password=Secret("right")) as node:
        async with client(node, password="right") as api:
            await api.connect(login=True)
            await api.device_info()
            assert await api.list_entities_services() == ([], [])
        async with client(node, password="wrong") as api:
            stopped = asyncio.Queue()
            await api.connect(login=True, on_stop=lambda expected: _put(stopped, expected))
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


async def _put(queue, value):
    queue.put_nowait(value)
