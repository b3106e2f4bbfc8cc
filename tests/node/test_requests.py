"""What a node answers to the requests of its clients."""

import asyncio

import pytest
from aioesphomeapi.core import (
    TimeoutAPIError,
)
from aioesphomeapi.model import BluetoothProxyFeature
from support.library_client import PSK, OnePlant, client, holder, open_link, running

from proxy_listener.model.secret import Secret
from proxy_listener.node import firmware as generations


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


async def test_links_end_with_the_holder():
    """When the stream holder unsubscribes, its links are closed and the slots free."""
    air = OnePlant()
    async with running(air=air) as node, holder(node) as api:
        await (await open_link(api)).get()
        await api.disconnect()
        await air.closed.wait()
        assert (node.links.free, air.open_links) == (3, 0)


async def test_the_wifi_signal_is_the_only_entity():
    """A node with ``wifi_rssi`` lists one sensor and tells its state; a node without it lists nothing."""
    async with running(wifi_rssi=-63) as node, client(node) as api:
        await api.connect(login=True)
        (sensor,), services = await api.list_entities_services()
        assert (sensor.object_id, sensor.device_class, services) == ("wifi_signal", "signal_strength", [])
        states = asyncio.Queue()
        api.subscribe_states(states.put_nowait)
        state = await states.get()
        assert (state.key, state.state) == (sensor.key, -63)
    async with running() as node, client(node) as api:
        await api.connect(login=True)
        assert await api.list_entities_services() == ([], [])
