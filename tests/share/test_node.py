"""A shared node as its clients see it: aioesphomeapi's own client, over loopback, with Noise."""

import asyncio
import socket

import pytest
from aioesphomeapi import api_pb2
from aioesphomeapi.core import APIConnectionError, InvalidEncryptionKeyAPIError
from support.edge import DATA, KEY, MAC
from support.library_client import PLANT, OnePlant, open_link
from support.plain_client import Client as PlainClient
from support.sharing import client_of, shared_proxy, subscriber

from proxy_listener.share.node import HALF_OPEN

pytestmark = pytest.mark.mdns("shared")

LOCAL = 0x020000000000


@pytest.fixture
def first(worker_id):
    """The first port of this worker's tests."""
    return 20_300 + 100 * int(worker_id.removeprefix("gw") if worker_id.startswith("gw") else 0)


async def test_a_shared_node_is_a_node(first):
    """Its own name and MACs, the real one's firmware and flags, no entities."""
    async with shared_proxy(first) as (_, node, shared), client_of(shared) as api:
        info = await api.device_info()
        assert (info.name, info.friendly_name) == ("node1-shared", "node1 (shared)")
        assert int(info.mac_address.replace(":", ""), 16) == LOCAL | (MAC + 1)
        assert int(info.bluetooth_mac_address.replace(":", ""), 16) == LOCAL | (MAC + 3)
        assert info.esphome_version == node.firmware.version
        assert info.bluetooth_proxy_feature_flags == 255
        assert await api.list_entities_services() == ([], [])


async def test_every_client_hears_everything(first):
    """In the messages in which it came, and the service itself hears it, too."""
    async with shared_proxy(first) as (house, node, shared), subscriber(shared) as one, subscriber(shared) as two:
        for number in range(100):
            node.hear(0xA4C138000000 + number, 0, -60, DATA)
        for api in (one, two):
            heard = []
            while len(heard) < 100:
                heard += [advert.address for advert in (await api.heard.get()).advertisements]
            assert heard == [0xA4C138000000 + number for number in range(100)]
        await house.until(lambda: len(house.heard) >= 100)


async def test_a_client_reads_a_device_through_it(first):
    """Connect, services, read, write, disconnect: and the slot is free again."""
    air = OnePlant()
    async with shared_proxy(first, air) as (house, _, shared), subscriber(shared) as api:
        told = await open_link(api)
        assert (await told.get())[0] is True
        assert list(shared.held) == [PLANT]
        assert len((await api.bluetooth_gatt_get_services(PLANT)).services) == 61
        await api.bluetooth_gatt_write(PLANT, 0x33, b"\xa0\x1f", True)
        assert await api.bluetooth_gatt_read(PLANT, 0x33) == b"\xa0\x1f"
        await api.bluetooth_device_disconnect(PLANT)
        await house.until(lambda: not shared.held)
        assert air.open_links == 0


async def test_a_device_that_one_client_holds_is_busy_for_others(first):
    """And the answers of one come to no other."""
    async with shared_proxy(first, OnePlant()) as (_, __, shared), subscriber(shared) as one, subscriber(shared) as two:
        await open_link(one)
        told = await open_link(two)
        assert (await told.get())[0::2] == (False, 132)
        with pytest.raises(APIConnectionError):
            await two.bluetooth_gatt_read(PLANT, 0x33, 0.5)
        assert await one.bluetooth_gatt_read(PLANT, 0x33) == b"\x00"


async def test_links_of_a_client_that_vanishes_are_closed(first):
    """At once, and its slot is free for others."""
    air = OnePlant()
    async with shared_proxy(first, air) as (house, _, shared), subscriber(shared) as other:
        async with subscriber(shared) as api:
            await open_link(api)
            assert air.open_links == 1
        await house.until(lambda: air.open_links == 0 and not shared.held)
        told = await open_link(other)
        assert (await told.get())[0] is True


async def test_one_slot_stays_for_reads_of_our_own(first):
    """Of three, clients see two."""
    async with shared_proxy(first) as (_, __, shared), subscriber(shared) as api:
        assert (await api.frees.get())[:2] == (2, 2)


async def test_without_slots_only_advertisements_are_shared(first):
    """It is a passive proxy, and a connect is refused as by firmware without a free slot."""
    async with shared_proxy(first, OnePlant(), slots="none") as (_, __, shared), subscriber(shared) as api:
        assert (await api.frees.get())[:2] == (0, 0)
        assert (await api.device_info()).bluetooth_proxy_feature_flags == 1 | 32 | 64
        told = await open_link(api)
        assert (await told.get())[0::2] == (False, 0)


async def test_a_wrong_key_is_refused(first):
    """The real node's key is wrong here, too."""
    async with shared_proxy(first) as (_, __, shared), client_of(shared, KEY, connect=False) as api:
        with pytest.raises(InvalidEncryptionKeyAPIError):
            await api.connect(login=True)


async def test_connections_that_say_nothing_shut_no_client_out(first):
    """Half-open connections beyond the limit end the oldest ones, and a client with the key is served."""
    async with shared_proxy(first) as (_, __, shared):
        idle = [await asyncio.open_connection("127.0.0.1", shared.port) for _ in range(2 * HALF_OPEN)]
        async with client_of(shared) as api:
            assert (await api.device_info()).name == "node1-shared"
        assert len(shared.sessions) <= HALF_OPEN + 1
        assert await idle[0][0].read() == b""
        for _, writer in idle:
            writer.close()


async def test_when_the_proxy_is_gone_so_is_its_shared_node(first):
    """Links are lost, the session ends, the port is closed; it comes back with it, at the same port."""
    async with shared_proxy(first, OnePlant()) as (house, node, shared), subscriber(shared) as api:
        told, port = await open_link(api), shared.port
        assert (await told.get())[0] is True
        await node.stop()
        assert (await told.get())[0] is False
        await house.unshared()
        await node.start()
        again = await house.shared(seconds=10.0)
        assert again.port == port
        async with client_of(again) as other:
            assert (await other.device_info()).name == "node1-shared"


async def test_the_scanner_is_the_real_one_s(first):
    """A client that wants active scans gets them as long as it is there."""
    async with shared_proxy(first) as (house, node, shared), subscriber(shared) as one:
        node.scanner.configured = 0
        await node.scanner.change(0)
        async with subscriber(shared) as two:
            two.bluetooth_scanner_set_mode(1)
            await house.until(lambda: node.scanner.mode == 1)
            one.bluetooth_scanner_set_mode(0)
            await two.device_info()
            assert node.scanner.mode == 1
        await house.until(lambda: node.scanner.mode == 0)


async def test_a_client_that_does_not_read_costs_nobody_else(first):
    """It loses its own oldest messages, which are counted; another hears every one."""
    async with shared_proxy(first, noise_psk=None) as (house, node, shared), subscriber(shared, None) as good:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", shared.port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=1024)
        deaf = PlainClient(reader, writer)
        await (await deaf.hello()).hold(node.firmware)
        message = api_pb2.BluetoothLERawAdvertisementsResponse()
        for number in range(16):
            message.advertisements.add(address=0xA4C138000000 + number, rssi=-60, data=b"\x1e\xff" + bytes(29))
        count = heard = 0
        async with asyncio.timeout(20):
            while not any(client.dropped for client in shared.clients()):
                shared.advertisements(message)
                count += 16
                while heard < count:
                    heard += len((await good.heard.get()).advertisements)
        assert heard == count
        assert [client.dropped > 0 for client in shared.clients()] == [False, True]
        writer.close()
        await house.until(lambda: len(shared.clients()) == 1)
