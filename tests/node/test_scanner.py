"""A node's scanner: its states, its modes, its own restarts."""

import attrs
import pytest
from support.plain_client import FAST, running

from proxy_listener.node.firmware import ESPHOME_2025_6, ESPHOME_2026_6, ESPHOME_2026_10
from proxy_listener.node.messages import api


@pytest.mark.parametrize(
    ("firmware", "states", "configured"), [(ESPHOME_2025_6, [4, 5, 0, 1, 2], 0), (ESPHOME_2026_6, [4, 0, 1, 2], 1)]
)
async def test_a_change_of_mode_restarts_the_scan(firmware, states, configured):
    """STOPPING, in 2025.6 STOPPED, IDLE, STARTING, RUNNING, all in the new mode; the YAML's mode stays what it was."""
    async with running(firmware) as (_, connect):
        client = await (await connect()).hold(firmware)
        assert (client.first.state, client.first.mode, client.first.configured_mode) == (2, 1, configured)
        client.send(api.BluetoothScannerSetModeRequest(mode=0))
        told = [await client.receive() for _ in states]
        assert [(message.state, message.mode, message.configured_mode) for message in told] == [
            (state, 0, configured) for state in states
        ]


async def test_the_mode_that_is_set_already_changes_nothing():
    """No state is sent."""
    async with running() as (node, connect):
        client = await (await connect()).hold(ESPHOME_2026_10)
        assert await client.answers(api.BluetoothScannerSetModeRequest(mode=1)) == []
        assert node.scanner.hears


async def test_passive_and_active_at_once_are_one_restart_that_ends_active():
    """The second comes while the scan stops: it is not stopped again, and starts in the mode that came last."""
    async with running() as (node, connect):
        client = await (await connect()).hold(ESPHOME_2026_10)
        client.send(api.BluetoothScannerSetModeRequest(mode=0), api.BluetoothScannerSetModeRequest(mode=1))
        told = [await client.receive() for _ in range(4)]
        assert [(message.state, message.mode) for message in told] == [(4, 0), (0, 1), (1, 1), (2, 1)]
        assert await client.answers() == []
        assert node.scanner.hears


async def test_the_scan_cycle_restarts_the_scan():
    """Every 300 s, here 30 ms: the holder sees the states, and the node hears again."""
    async with running(timing=attrs.evolve(FAST, scan_cycle=0.03)) as (_, connect):
        client = await (await connect()).hello()
        client.send(api.SubscribeBluetoothLEAdvertisementsRequest(flags=1))
        states = [(await client.receive()).state for _ in range(9)]
        assert states[states.index(4) :][:4] == [4, 0, 1, 2]
