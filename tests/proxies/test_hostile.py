"""Servers that are no nodes, beside a real one."""

import asyncio
import random
from contextlib import asynccontextmanager

import pytest
from aioesphomeapi.core import MESSAGE_TYPE_TO_PROTO
from google.protobuf.message import DecodeError
from support.edge import FAST, KEY, entry, house, make_node, running

from proxy_listener.model.settings import ProxySettings
from proxy_listener.proxies.admission import KnownNodes

pytestmark = pytest.mark.mdns("shared")

HELLO = bytes.fromhex("00 06 02 0801 1013 2200")


def frame(number, payload):
    """A plaintext frame."""
    size = len(payload)
    length = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
    return b"\x00" + length + bytes([number & 0x7F | 0x80, number >> 7]) + payload


def scripts(seed):
    """What thirty hostile servers send."""
    chance = random.Random(seed)
    yield b""
    yield b"\x00" * 70_000
    yield b"\xff" * 1000
    yield b"HTTP/1.1 400 Bad Request\r\n\r\n"
    yield b"\x01\x00\x00"
    yield b"\x01\xff\xff" + bytes(65_535)
    yield b"\x00\xff\xff\xff\xff\xff"
    yield HELLO + b"\x00\xff\xff\x03\x09"
    for _ in range(22):
        says = HELLO if chance.random() < 0.7 else b""
        for _ in range(chance.randrange(1, 40)):
            number = chance.choice((*MESSAGE_TYPE_TO_PROTO, 0, 16_000))
            says += frame(number, chance.randbytes(chance.randrange(200)))
        yield says


class Rogue:
    """Sends its bytes to every client, then hangs or closes."""

    def __init__(self, says, hangs):
        self._says, self._hangs = says, hangs
        self.connections = 0
        self._open = {}

    async def start(self):
        self._server = await asyncio.get_running_loop().create_server(lambda: Visit(self), "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    def visited(self, transport):
        self.connections += 1
        self._open[transport] = asyncio.Event()
        transport.write(self._says)
        if not self._hangs:
            transport.close()

    def left(self, transport):
        self._open[transport].set()

    async def stop(self):
        self._server.close()
        for transport, over in self._open.items():
            transport.abort()
            await over.wait()


class Visit(asyncio.Protocol):
    def __init__(self, rogue):
        self._rogue = rogue

    def connection_made(self, transport):
        self._transport = transport
        self._rogue.visited(transport)

    def connection_lost(self, _error):
        self._rogue.left(self._transport)


@asynccontextmanager
async def serving(rogues):
    """An entry for each."""
    entries = []
    for number, rogue in enumerate(rogues):
        key = KEY if number % 3 == 0 else None
        entries.append(ProxySettings(f"rogue{number}", noise_psk=key, host="127.0.0.1", port=await rogue.start()))
    try:
        yield entries
    finally:
        for rogue in rogues:
            await rogue.stop()


async def test_hostile_servers_do_no_harm():
    """Thirty servers send garbage, in plaintext and to Noise, and hang or close.

    The real proxy stays live all the time, nothing fails but parsing, and no task dies.
    """
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
    rogues = [Rogue(says, hangs=number % 2) for number, says in enumerate(scripts(7))]
    node = make_node(1)
    async with serving(rogues) as entries, running(node), house([entry(node), *entries]) as made:
        await made.state("node1", "live")
        await made.until(lambda: all(rogue.connections > 1 for rogue in rogues), 10.0)
        await made.hears(node)
        assert made.changes.count(("node1", "live")) == 1
        assert len(list(made.fleet)) == 1 + len(rogues)
        assert "live" not in {state for name, state in made.states().items() if name.startswith("rogue")}
    assert [context for context in failures if not isinstance(context.get("exception"), DecodeError)] == []


async def test_hanging_handshakes_leave_room_for_others():
    """There are more servers that accept and send nothing than handshakes at once.

    A real proxy among them is live within the time of three attempts.
    """
    node = make_node(1)
    async with (
        serving([Rogue(b"", hangs=True) for _ in range(8)]) as entries,
        running(node),
        house([*entries, entry(node)]) as made,
    ):
        await made.state("node1", "live", 3 * FAST.attempt)


async def test_secrets_are_in_no_status_and_no_file(tmp_path):
    """A key that is configured and used is not in the status, in a repr or in the state directory."""
    node = make_node(1)
    async with running(node), house([entry(node)], state=tmp_path) as made:
        await made.state("node1", "live")
        assert KEY.reveal() not in repr(made.fleet.status())
        assert KEY.reveal() not in repr(vars(made.fleet["node1"]))
    assert KnownNodes(tmp_path).encrypted(node.settings.mac)
    assert KEY.reveal() not in (tmp_path / "proxies.json").read_text()
