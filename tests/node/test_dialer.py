"""Nodes that connect to their client by themselves: the library's own server as the one that is called."""

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from aioesphomeapi import APIClient, OutgoingConnectionServer
from aioesphomeapi.core import APIConnectionError, InvalidEncryptionKeyAPIError
from support.faulty_node import FaultyNode, faster
from support.library_client import MAC, OTHER_PSK, PSK
from support.skipping_loop import run_skipping

from proxy_listener.model.secret import Secret
from proxy_listener.node import firmware as generations
from proxy_listener.node.dialer import Dialer
from proxy_listener.node.firmware import NodeTiming
from proxy_listener.node.settings import DialOut, NodeSettings

HOST = "127.0.0.1"
TIMING = faster(50, ping=60.0, reap=150.0, handshake=2.0)


class Called:
    """The library's server, and its client, which adopts a node's calls."""

    def __init__(self, psk):
        self.client = APIClient(HOST, 1, None, noise_psk=psk, outgoing_connection_target=True)
        self.connected = asyncio.Queue()
        self.errors = asyncio.Queue()
        self.server = OutgoingConnectionServer(port=0, host=HOST)

    async def async_adopt_connection(self, sock):
        """As ``ReconnectLogic`` does it."""
        self.client.start_connection_from_socket(sock, log_errors=False)
        try:
            await self.client.finish_connection(login=True)
        except APIConnectionError as error:
            self.errors.put_nowait(error)
            return False
        self.connected.put_nowait(await self.client.device_info())
        return True


@asynccontextmanager
async def called(psk=PSK):
    one = Called(psk)
    one.server.register(f"{MAC:012x}", one)
    try:
        yield one
    finally:
        one.server.close()
        await one.client.disconnect(force=True)


@asynccontextmanager
async def running(port, host=HOST, delay=0.02, firmware=generations.ESPHOME_2026_10):
    settings = NodeSettings("kitchen-proxy", MAC, noise_psk=Secret(PSK), dial=DialOut(host, port, delay))
    node = FaultyNode(settings, firmware, timing=TIMING)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


@asynccontextmanager
async def target(node, psk=PSK, *, declares=True):
    """A client that connects to the node, and declares itself a target or not."""
    api = APIClient(HOST, node.port, None, noise_psk=psk, outgoing_connection_target=declares)
    await api.connect(login=True)
    try:
        yield api
    finally:
        await api.disconnect(force=True)


async def test_the_librarys_server_adopts_a_node_that_calls():
    """The hello comes first and unasked, and the session over it is as any other."""
    async with called() as one, running(one.server.port), asyncio.timeout(10.0):
        info = await one.connected.get()
        assert info.mac_address == "A0:B1:C2:D3:E4:F5"
        assert info.api_outgoing_connection_supported


async def test_it_calls_again_after_the_session():
    async with called() as one, running(one.server.port) as node, asyncio.timeout(10.0):
        await one.connected.get()
        for session in list(node.sessions):
            session.abort()
        await one.connected.get()


async def test_a_client_with_another_key_is_called_again_later_and_gets_nothing():
    async with called(OTHER_PSK) as one, running(one.server.port), asyncio.timeout(10.0):
        for _ in range(2):
            assert isinstance(await one.errors.get(), InvalidEncryptionKeyAPIError)
        assert one.connected.empty()


async def test_nothing_is_dialled_while_a_target_is_connected():
    """A client that did not declare itself a target does not hold the calls back."""
    calls, clock = asyncio.Queue(), asyncio.get_running_loop().time
    async with await asyncio.start_server(lambda reader, writer: calls.put_nowait(writer), HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with running(port, delay=0.1) as node, target(node) as api, asyncio.timeout(10.0):
            until = clock() + 0.5
            while clock() < until:
                await api.device_info()
            assert calls.empty()
            await api.disconnect()
            (await calls.get()).close()
        async with running(port) as node, target(node, declares=False), asyncio.timeout(10.0):
            (await calls.get()).close()


async def test_without_a_host_the_last_target_is_called_also_after_a_restart():
    async with called() as one, running(one.server.port, host=None) as node, asyncio.timeout(10.0):
        async with target(node, declares=False):
            assert node._dialer.remembered is None
        async with target(node):
            assert node._dialer.remembered == HOST
        await node.power_cycle()
        await one.connected.get()


def test_firmware_before_2026_10_cannot_dial():
    settings = NodeSettings("kitchen-proxy", MAC, noise_psk=Secret(PSK), dial=DialOut(HOST))
    with pytest.raises(ValueError, match="does not know api: outgoing_connection"):
        FaultyNode(settings, generations.ESPHOME_2026_8)


def test_a_node_without_a_key_cannot_dial_and_hosts_are_addresses():
    """As ESPHome refuses such a YAML."""
    with pytest.raises(ValueError, match="with a key only"):
        NodeSettings("kitchen-proxy", MAC, dial=DialOut(HOST))
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        DialOut("homeassistant.local")


def waits(count, **more):
    """The seconds before each of the first calls of a dialer that nobody answers."""
    settings = NodeSettings("kitchen-proxy", MAC, noise_psk=Secret(PSK), dial=DialOut(HOST), **more)

    async def test(loop):
        times = [loop.time()]

        async def refuse(host, port):
            times.append(loop.time())
            raise ConnectionRefusedError

        running = asyncio.create_task(Dialer(settings, settings.dial, NodeTiming(), refuse, lambda: False).run())
        await loop.skip_until(lambda: len(times) > count, 2000.0)
        running.cancel()
        return [after - before for before, after in pairwise(times)]

    return run_skipping(test)[:count]


def test_calls_that_nobody_answers_become_rare():
    """60 s at first, then 5 s doubled up to 300, each a fifth more or less."""
    assert waits(8) == pytest.approx([60, 5, 10, 20, 40, 80, 160, 300], rel=0.21, abs=2)


def test_a_node_that_sleeps_calls_at_once():
    assert waits(2, deep_sleep=True) == pytest.approx([0, 5], rel=0.21, abs=2)


def test_only_2026_10_knows_it():
    """The table of generations."""
    knowing = [name for name, firmware in generations.GENERATIONS.items() if firmware.dials]
    assert knowing == ["2026.10"]
