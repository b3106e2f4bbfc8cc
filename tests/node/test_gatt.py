"""GATT requests over a node's connection, from aioesphomeapi's client."""

import pytest
from support.library_client import PLANT, OnePlant, holder, open_link, running

from proxy_listener.node.air import READ, Characteristic, GattService
from proxy_listener.node.gatt import SERVICES_LIMIT, services_messages
from proxy_listener.node.messages import api


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


async def test_a_cached_connect_gives_no_services():
    """With cache: connected at once with MTU 23 and an empty service list."""
    async with running(air=OnePlant()) as node, holder(node) as api:
        told = await open_link(api, cached=True)
        assert await told.get() == (True, 23, 0)
        assert (await api.bluetooth_gatt_get_services(PLANT)).services == []


def test_services_come_in_messages_of_one_tcp_segment():
    """Each message is within the firmware's limit, all services arrive in order, and Done is last."""
    services = [GattService(0xFF00 + i, i + 1, [Characteristic(0xEE00 + i, 0x200 + i, READ)]) for i in range(200)]
    *messages, done = services_messages(PLANT, services, short=True)
    assert len(messages) > 1
    assert all(message.ByteSize() <= SERVICES_LIMIT for message in messages)
    assert [service.handle for message in messages for service in message.services] == list(range(1, 201))
    assert done == api.BluetoothGATTGetServicesDoneResponse(address=PLANT)


@pytest.mark.parametrize(
    ("uuid", "short", "expected"),
    [
        (0x1204, True, {"short_uuid": 0x1204}),
        (0x1204, False, {"uuid": [0x0000120400001000, 0x800000805F9B34FB]}),
        (0x0123456789ABCDEF << 64 | 0xFEDCBA9876543210, True, {"uuid": [0x0123456789ABCDEF, 0xFEDCBA9876543210]}),
    ],
)
def test_uuids_are_short_where_the_client_knows_it(uuid, short, expected):
    """16 bits as such since API 1.12, in the SIG's base UUID before; 128 bits always in full."""
    message, _ = services_messages(PLANT, [GattService(uuid, 1)], short)
    assert list(message.services) == [api.BluetoothGATTService(handle=1, **expected)]
