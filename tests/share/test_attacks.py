"""Hostile clients of shared nodes. Whatever one does, the others and the service itself hear every advertisement."""

import asyncio
import random
from contextlib import asynccontextmanager

import pytest
import structlog
from aioesphomeapi import APIClient
from aioesphomeapi.core import APIConnectionError
from support.edge import DATA, KEY
from support.library_client import PLANT, OnePlant
from support.plain_client import Client as PlainClient
from support.sharing import SHARE_KEY, client_of, shared_proxy, subscriber

from proxy_listener.model.rate import GUESSES, GuessLimit
from proxy_listener.node.messages import NUMBERS, api
from proxy_listener.node.scanner import ScannerState
from proxy_listener.share.links import REQUESTS
from proxy_listener.share.node import HALF_OPEN, IDLE, Presented, SharedNode
from proxy_listener.share.session import ANSWERS, MESSAGES

pytestmark = pytest.mark.mdns("shared")

ASKED, SLACK = 400, 100
"""Requests of a flood, within the allowance of messages; and those that a busy machine's time may add to the burst."""

FIRST, COUNT = 0xA4C138000000, 100
OTHER, PACE = 0xA4C137000000, 0.05
LINES = 12
"""Log lines that an attack may cause, those of the proxy's start and end included."""


@pytest.fixture
def first(worker_id):
    """The first port of this worker's tests."""
    return 20_380 + 100 * int(worker_id.removeprefix("gw") if worker_id.startswith("gw") else 0)


@asynccontextmanager
async def attacked(first, key=SHARE_KEY, air=None):
    """The house under attack: what was on air meanwhile is at the other client and at the service, in order; nothing
    failed in the loop, and the log is short.
    """
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    with structlog.testing.capture_logs() as lines:
        async with shared_proxy(first, air, noise_psk=key) as (house, node, shared), subscriber(shared, key) as good:
            speaking = asyncio.create_task(speak(house, node))
            yield house, node, shared
            await house.until(lambda: len(numbered(call[1] for call in house.heard)) == COUNT, 20.0)
            speaking.cancel()
            heard = []
            async with asyncio.timeout(10):
                while len(heard) < COUNT:
                    heard += numbered(one.address for one in (await good.heard.get()).advertisements)
            assert heard == [FIRST + number for number in range(COUNT)]
            assert house.states()["node1"] in {"live", "silent"}  # its session is up
            assert await good.device_info()
    assert failures == []
    said = [line for line in lines if line["log_level"] != "debug"]
    assert len(said) <= LINES, said
    assert SHARE_KEY.reveal() not in str(lines)
    assert KEY.reveal() not in str(lines)


async def speak(house, node):
    """The radio hears nothing while it connects to a device."""
    for number in range(COUNT):
        await house.until(lambda: node.scanner.state is ScannerState.RUNNING, 20.0)
        node.hear(FIRST + number, 0, -60, DATA)
        await asyncio.sleep(0)
    while True:  # a proxy that hears nothing for a second is renewed by these tests' timing
        node.hear(OTHER, 0, -60, DATA)
        await asyncio.sleep(PACE)


def numbered(addresses):
    return [address for address in addresses if address != OTHER]


async def opened(shared):
    return await asyncio.open_connection("127.0.0.1", shared.port)


async def sent(shared, data):
    """Send bytes, and read until the node ends the connection or they were all taken."""
    reader, writer = await opened(shared)
    try:
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(10):
            while await reader.read(65_536):
                pass
    except OSError:
        pass  # the node ended it first
    writer.close()


async def logged_in(shared):
    return await PlainClient(*await opened(shared)).hello()


def hello(*packets):
    """The bytes of a plaintext client that says hello and then this."""
    wire = PlainClient(None, None).wire
    greeting = api.HelloRequest(client_info="fuzz", api_version_major=1, api_version_minor=10)
    return wire.pack([(NUMBERS[type(greeting)], greeting.SerializeToString()), *packets])


async def test_fuzzed_messages_after_login(first):
    """Any numbers with any bytes: every known request is among them."""
    chance = random.Random(16)
    async with attacked(first, None, OnePlant()) as (_, __, shared):
        for _ in range(60):
            packets = [(chance.randrange(1, 160), chance.randbytes(chance.randrange(40))) for _ in range(50)]
            await sent(shared, hello(*packets))


async def test_fuzzed_requests_after_login(first):
    """Well-formed requests with fields out of every range: those that are no sense never reach the proxy."""
    chance = random.Random(17)
    numbers = (0, 1, 255, 65_535, 65_536, 2**31, 2**32 - 1)
    addresses = (0, 1, PLANT, 2**48 - 1, 2**48, 2**64 - 1)

    def made():
        kind = chance.choice(
            (api.BluetoothDeviceRequest, api.BluetoothGATTReadRequest, api.BluetoothGATTWriteRequest,
             api.BluetoothGATTNotifyRequest, api.BluetoothSetConnectionParamsRequest)
        )  # fmt: skip
        message = kind(address=chance.choice(addresses))
        for field in kind.DESCRIPTOR.fields:
            if field.name != "address" and field.cpp_type == field.CPPTYPE_UINT32:
                setattr(message, field.name, chance.choice(numbers))
        if kind is api.BluetoothGATTWriteRequest:
            message.data = bytes(chance.choice((0, 512, 513, 20_000)))
        if kind is api.BluetoothDeviceRequest:
            message.request_type = chance.randrange(8)
            message.has_address_type = True
        return NUMBERS[kind], message.SerializeToString()

    air = OnePlant()
    async with attacked(first, None, air) as (house, _, shared):
        for _ in range(20):
            await sent(shared, hello(*(made() for _ in range(40))))
        await house.until(lambda: not shared.held and air.open_links == 0, 15.0)


async def test_fuzzed_bytes_before_login(first):
    """Of both framings, cut anywhere."""
    chance = random.Random(18)
    async with attacked(first) as (_, __, shared):
        for _ in range(200):
            start = chance.choice((b"", b"\x00", b"\x01", b"\x01\x00\x00", b"\x01\x00\x00\x01\x00\x31\x00"))
            await sent(shared, start + chance.randbytes(chance.randrange(200)))


async def test_a_thousand_connects(first):
    """At most sixteen of them are held, and a client with the key gets in among them."""
    async with attacked(first) as (_, __, shared):
        writers = []
        for number in range(1_000):
            writers.append((await opened(shared))[1])
            if number % 250 == 0:
                async with client_of(shared) as api_client:
                    assert await api_client.device_info()
            assert len(shared.sessions) <= HALF_OPEN + 3
        for writer in writers:
            writer.close()


async def test_handshakes_that_drip(first):
    """A byte at a time from sixty-four connections: they get no further, and a client with the key gets in."""
    async with attacked(first) as (_, __, shared):
        writers = [(await opened(shared))[1] for _ in range(64)]
        for byte in b"\x01\x00\x00\x01\x00\x31\x00" + bytes(20):
            for writer in writers:
                writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        async with client_of(shared) as api_client:
            assert await api_client.device_info()
        assert len(shared.sessions) <= HALF_OPEN + 3
        for writer in writers:
            writer.close()


async def test_a_client_that_asks_and_never_reads(first):
    """It is dropped, with what waits for it."""
    async with attacked(first, None) as (house, _, shared):
        client = await logged_in(shared)
        client.writer.transport.pause_reading()
        asked = client.wire.pack([(NUMBERS[api.DeviceInfoRequest], b"")])
        client.writer.write(asked * (MESSAGES // 2))
        (session,) = (one for one in shared.sessions if one.client == "test")
        await house.until(lambda: session.is_over() or session._waiting() <= ANSWERS + 4096)
        client.writer.write(asked * MESSAGES)
        await house.until(lambda: len(shared.sessions) == 1)
        client.writer.close()


async def test_a_flood_of_messages(first):
    """100,000 pings: its allowance is answered at most, then the client is dropped."""
    async with attacked(first, None) as (house, _, shared):
        for _ in range(5):
            client = await logged_in(shared)
            client.writer.write(b"\x00\x00\x07" * 100_000)
            answers = 0
            try:
                while isinstance(await client.receive(), api.PingResponse):
                    answers += 1
            except ConnectionError:
                pass
            assert answers <= MESSAGES
            client.writer.close()
        await house.until(lambda: len(shared.sessions) == 1)


class CountingPlant(OnePlant):
    """Counts what is read of it."""

    reads = 0

    async def read(self, handle):
        self.reads += 1
        return await super().read(handle)


async def test_a_flood_of_requests(first):
    """A client that owns a link and asks 400 times at once gets its allowance to the proxy, not more."""
    air = CountingPlant()
    async with attacked(first, None, air) as (house, _, shared):
        client = await logged_in(shared)
        client.send(api.BluetoothDeviceRequest(address=PLANT, request_type=5, has_address_type=True))
        assert (await client.receive()).connected
        client.send(*(api.BluetoothGATTReadRequest(address=PLANT, handle=0x33) for _ in range(ASKED)))
        refused = 0
        while refused < ASKED - REQUESTS - SLACK:
            refused += isinstance(await client.receive(), api.BluetoothGATTErrorResponse)
        assert air.reads <= REQUESTS + SLACK
        client.writer.close()
        await house.until(lambda: not shared.held and air.open_links == 0)


async def test_wrong_keys_are_slowed_and_told_once(first):
    """After ten of them the connection is closed unread; the log has one line."""
    with structlog.testing.capture_logs() as lines:
        async with attacked(first) as (_, __, shared):
            for _ in range(3 * GUESSES):
                wrong = APIClient("127.0.0.1", shared.port, None, noise_psk=KEY.reveal())
                with pytest.raises(APIConnectionError):
                    await wrong.connect(login=True)
    told = [line for line in lines if "wrong keys" in line["event"]]
    assert len(told) <= 1


class Refilling(GuessLimit):
    """As after the seconds that a guess takes to be allowed again: the limit is met by each."""

    def wrong(self, address, now):
        return True


class NoProxy:
    """An upstream that is never asked."""

    def send(self, message):
        raise AssertionError(message)

    def slots(self):
        return 3, 3

    def own(self):
        return ()

    def busy(self):
        return False

    def scanner(self):
        return IDLE


async def test_one_who_goes_on_guessing_is_told_once_an_hour():
    """Also where every guess meets the limit anew."""
    shown = Presented("hall-shared", "Hall", 0xA2B1C2D3E4F5, 0xA2B1C2D3E4F7, "2026.10.0", 255)
    shared = SharedNode(shown, NoProxy(), SHARE_KEY, clients=8, slots="none", guesses=Refilling())
    await shared.start("127.0.0.1", 0)
    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            async with client_of(shared, KEY, connect=False) as wrong:
                with pytest.raises(APIConnectionError):
                    await wrong.connect(login=True)
    await shared.stop()
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["many wrong keys at shared nodes"]
