"""Rogue servers do the harm that they are there for."""

import asyncio

import pytest
from aioesphomeapi import APIClient
from aioesphomeapi.core import APIConnectionError
from support.rogue import HOSTILE_NAME, bomb, hush, rogue, spam
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from proxy_listener.node.firmware import ESPHOME_2026_10
from proxy_listener.node.node import Node
from proxy_listener.node.settings import NodeSettings

PSK = "QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc="


@pytest.mark.parametrize("manner", ["garbage", "huge", "closing"])
@pytest.mark.parametrize("psk", [None, PSK])
async def test_a_client_is_told_at_once(manner, psk):
    """Garbage, lengths without end, a closed door: an error of the library's own kind."""
    async with rogue(manner) as port:
        client = APIClient("127.0.0.1", port, "", noise_psk=psk)
        with pytest.raises(APIConnectionError):
            await asyncio.wait_for(client.connect(login=True), 5)


@pytest.mark.parametrize("manner", ["silent", "drip"])
async def test_a_client_is_kept_waiting(manner):
    """Neither a word nor an end: only the client's own limit ends it."""
    async with rogue(manner) as port:
        client = APIClient("127.0.0.1", port, "", noise_psk=PSK)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.connect(login=True), 0.3)
        await client.disconnect(force=True)


async def test_a_bomb_arrives_whole():
    """32,767 empty advertisements in one message, as a turned proxy can send them."""
    node = Node(NodeSettings(HOSTILE_NAME, 0xA0B1C2D3E4F5, HOSTILE_NAME * 1_000), ESPHOME_2026_10)
    await node.start()
    heard = asyncio.Queue()
    client = APIClient("127.0.0.1", node.port, "")
    await client.connect(login=True)
    client.subscribe_bluetooth_le_raw_advertisements(lambda batch: heard.put_nowait(len(batch.advertisements)))
    assert len((await client.device_info()).friendly_name) > 20_000
    message = bomb(32_767)
    assert message.ByteSize() == 65_534
    node.send(message)
    assert await heard.get() == 32_767
    await client.disconnect()
    await node.stop()


@pytest.mark.mdns("alone")
async def test_spam_and_hostile_names_are_announced():
    """Records of nodes that are not there, and of one whose name is an attack."""
    ours, theirs = AsyncZeroconf(interfaces=["127.0.0.1"]), AsyncZeroconf(interfaces=["127.0.0.1"])
    node = Node(NodeSettings("rogue", 0xA0B1C2D3E4F5, HOSTILE_NAME * 1_000), ESPHOME_2026_10)
    await node.start(zeroconf=theirs)
    records = await spam(theirs, 20, name="spam-test")
    info = AsyncServiceInfo("_esphomelib._tcp.local.", "spam-test-19._esphomelib._tcp.local.")
    assert await info.async_request(ours.zeroconf, 3_000)
    assert info.properties[b"friendly_name"].decode() == HOSTILE_NAME
    info = AsyncServiceInfo("_esphomelib._tcp.local.", "rogue._esphomelib._tcp.local.")
    assert await info.async_request(ours.zeroconf, 3_000)
    assert info.properties[b"friendly_name"].decode().startswith(HOSTILE_NAME)
    await hush(theirs, records)
    await node.stop()
    await ours.async_close()
    await theirs.async_close()
