"""The simulated LYWSD02 answers as docs/protocol/lywsd02.md says, also where that is unhelpful."""

import asyncio
import struct

import pytest

from proxy_listener.node.air import OpenError, OperationError
from proxy_listener.simulator import lywsd02_table as table
from proxy_listener.simulator.lywsd02 import ClockSensor, SimulatedRecord

NOW = 1_700_000_000.0
HANDLES = {uuid: handle for handle, uuid in table.UUIDS.items()}


def clock(product=0x045B, **more):
    return ClockSensor(0xE72E01ABCDEF, product, lambda: NOW, step=0.0, interval=0.0, pace=0.0, **more)


class Sent:
    """What the device sent by itself."""

    def __init__(self):
        self.values = asyncio.Queue()
        self.lost = []

    def notified(self, handle, data):
        self.values.put_nowait((handle, data))


async def opened(device):
    sent = Sent()
    return await device.open(sent.lost.append, sent.notified), sent


@pytest.mark.parametrize(("product", "length"), [(0x045B, 5), (0x2542, 7)])
async def test_the_time_has_the_length_of_the_product(product, length):
    """Seconds and hours; two zeros more from the Telink product."""
    link, _ = await opened(clock(product, hours=-3))
    value = await link.read(HANDLES[table.TIME])
    assert struct.unpack_from("<Ib", value) == (1_700_000_000, -3)
    assert len(value) == length


async def test_a_time_without_response_is_lost():
    """The write is accepted, and the clock stays as it was."""
    device = clock()
    link, _ = await opened(device)
    new = struct.pack("<Ib", 1_800_000_000, 1)
    await link.write(HANDLES[table.TIME], new, response=False)
    assert int(device.clock) == 1_700_000_000
    await link.write(HANDLES[table.TIME], new, response=True)
    assert (int(device.clock), device.hours) == (1_800_000_000, 1)


async def test_a_time_of_seven_bytes_is_refused():
    """ATT error 13."""
    link, _ = await opened(clock())
    with pytest.raises(OperationError) as caught:
        await link.write(HANDLES[table.TIME], bytes(7), response=True)
    assert caught.value.code == 13


async def test_live_values_are_notifications_only():
    """A read gives no bytes; after the subscription they come, and none after its end."""
    link, sent = await opened(clock(hundredths=-525, humidity=80))
    assert await link.read(HANDLES[table.LIVE]) == b""
    await link.write(table.LIVE_SWITCH, b"\x01\x00", response=True)
    assert await sent.values.get() == (table.LIVE_HANDLE, bytes.fromhex("f3fd50"))
    await link.write(table.LIVE_SWITCH, b"\x00\x00", response=True)
    assert not link._sending


async def test_records_begin_at_the_index_once():
    """The index that was written counts for the next subscription; the one after it gets all records."""
    device = clock()
    device.log.extend(SimulatedRecord(index, 3600 * index, 1, 2, 0, 1) for index in range(3))
    link, sent = await opened(device)
    await link.write(HANDLES[table.FIRST], (2).to_bytes(4, "little"), response=True)
    counts = []
    for wanted in (1, 3):
        await link.write(table.RECORDS_SWITCH, b"\x01\x00", response=True)
        counts.append([(await sent.values.get())[1][0] for _ in range(wanted)])
        await link.write(table.RECORDS_SWITCH, b"\x00\x00", response=True)
    assert counts == [[2], [0, 1, 2]]


async def test_a_connected_device_does_not_advertise():
    """And it does again after the link is closed."""
    device = clock()
    link, _ = await opened(device)
    assert not device.advertises
    link.close()
    assert device.advertises


async def test_an_open_that_fails():
    """The node gets the code of the failure."""
    device = clock()
    device.faults.open_codes = [133]
    with pytest.raises(OpenError) as caught:
        await opened(device)
    assert caught.value.code == 133
