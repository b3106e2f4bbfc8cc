"""A node's slots and operations, without a network: requests in, messages to the holder out."""

import asyncio

import attrs
import pytest
from support.faulty_node import faster

from proxy_listener.node.air import OperationError
from proxy_listener.node.firmware import ESPHOME_2025_6, ESPHOME_2026_6, ESPHOME_2026_10, GENERATIONS
from proxy_listener.node.gatt import perform
from proxy_listener.node.links import Links
from proxy_listener.node.messages import api
from proxy_listener.node.scanner import Scanner

PLANT, OTHER = 0xC47C8D6A0001, 0xC47C8D6A0002
FAST = faster(50, open=0.1)


class Everyone:
    """Peripherals at every address, which answer at once or when the test lets them."""

    mtu = 60

    def __init__(self):
        self.opened, self.closed, self.losts, self.notified = [], 0, {}, {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.answer = asyncio.Event()
        self.answer.set()
        self.asked = asyncio.Event()

    async def open(self, address, address_type, lost, notified):
        self.opened.append(address)
        self.asked.set()
        await self.gate.wait()
        self.losts[address], self.notified[address] = lost, notified
        return self

    async def services(self):
        return ()

    async def read(self, handle):
        await self.answer.wait()
        if handle == 0xFF:
            raise OperationError(3)
        return bytes((handle,))

    async def write(self, handle, data, response):
        await self.answer.wait()

    def close(self):
        self.closed += 1


class Desk:
    """Links and what they need; ``told``: messages to the stream holder, except free counts."""

    def __init__(self, firmware, timing=FAST):
        self.air, self.told, self.frees = Everyone(), asyncio.Queue(), []
        self.scanner = Scanner(firmware, timing, lambda _: None)
        self.tasks = set()
        self.links = Links(firmware, timing, self.air, self.scanner, self.tell, self.spawn)

    def tell(self, message):
        if isinstance(message, api.BluetoothConnectionsFreeResponse):
            self.frees.append((message.free, list(message.allocated)))
        else:
            self.told.put_nowait(message)

    def spawn(self, work):
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def state(self):
        message = await self.told.get()
        return message.connected, message.mtu, message.error

    def read(self, handle, address=PLANT):
        request = api.BluetoothGATTReadRequest(address=address, handle=handle)
        self.links.operate(address, handle, lambda link: perform(request, link))


@pytest.fixture(params=["2026.6", "2026.10"])
def desk(request):
    return Desk(GENERATIONS[request.param])


async def test_connect_read_disconnect(desk):
    """The slot is taken with the request and named; the answers come in order; then it is free."""
    desk.links.connect(PLANT, 0, cached=False)
    assert desk.frees[-1] == (2, [PLANT])
    assert await desk.state() == (True, 60, 0)
    desk.read(7)
    assert (await desk.told.get()).data == b"\x07"
    desk.read(0xFF)
    assert (await desk.told.get()).error == 3
    desk.links.disconnect(PLANT)
    assert await desk.state() == (False, 0, 0x16)
    assert desk.frees[-1] == (3, [])
    assert desk.air.closed == 1


async def test_a_second_request_for_an_open_link_is_answered_connected(desk):
    """Without another open."""
    desk.links.connect(PLANT, 0, cached=False)
    await desk.state()
    desk.links.connect(PLANT, 0, cached=False)
    assert await desk.state() == (True, 0, 0)
    assert desk.air.opened == [PLANT]


async def test_notifications_are_forwarded_for_the_handles_that_were_asked_for(desk):
    """Others are not, and none after the client asked to stop; without a link the request is an error."""
    desk.links.notify(PLANT, 0x44, wanted=True)
    assert (await desk.told.get()).error == -1
    desk.links.connect(PLANT, 0, cached=False)
    await desk.state()
    desk.air.notified[PLANT](0x44, b"before")
    desk.links.notify(PLANT, 0x44, wanted=True)
    assert (await desk.told.get()).handle == 0x44
    desk.air.notified[PLANT](0x4B, b"other")
    desk.air.notified[PLANT](0x44, b"wanted")
    assert (await desk.told.get()).data == b"wanted"
    desk.links.notify(PLANT, 0x44, wanted=False)
    desk.air.notified[PLANT](0x44, b"after")
    assert (await desk.told.get()).handle == 0x44
    assert desk.told.empty()


async def test_one_open_at_a_time(desk):
    """The second waits for the first; both get their link."""
    desk.air.gate.clear()
    desk.links.connect(PLANT, 0, cached=True)
    desk.links.connect(OTHER, 0, cached=True)
    await desk.air.asked.wait()
    assert desk.air.opened == [PLANT]
    desk.air.gate.set()
    assert (await desk.state())[0]
    assert (await desk.state())[0]
    assert desk.air.opened == [PLANT, OTHER]


async def test_the_fourth_device_finds_no_slot(desk):
    """At once (False, 0, 0), and the three others keep theirs."""
    for address in range(1, 5):
        desk.links.connect(address, 0, cached=True)
    assert await desk.state() == (False, 0, 0)
    assert desk.links.allocated == [1, 2, 3]


async def test_a_request_without_address_type_is_refused_and_keeps_the_slot(desk):
    """As the firmware does, each time; a request with the type then uses the same slot."""
    for _ in range(2):
        desk.links.connect(PLANT, None, cached=True)
        assert await desk.state() == (False, 0, 0)
    assert (desk.links.allocated, desk.frees, desk.air.opened) == ([PLANT], [], [])
    desk.links.connect(PLANT, 0, cached=True)
    assert (await desk.state())[0]
    assert desk.links.allocated == [PLANT]


async def test_a_slot_kept_for_nothing_is_given_back_since_2026_8():
    """A disconnect request says -1 and frees it; before, it says nothing and changes nothing."""
    new, old = Desk(ESPHOME_2026_10), Desk(ESPHOME_2026_6)
    for desk in (new, old):
        desk.links.connect(PLANT, None, cached=True)
        await desk.state()
        desk.links.disconnect(PLANT)
    assert await new.state() == (False, 0, -1)
    assert new.frees == [(3, [])]
    assert old.told.empty()
    assert (old.links.allocated, old.frees) == ([PLANT], [])


async def test_2025_6_takes_a_slot_without_address_type_and_waits():
    """No refusal; the slot is reported as taken, and neither a request with the type nor a disconnect frees it."""
    desk = Desk(ESPHOME_2025_6)
    desk.links.connect(PLANT, None, cached=True)
    desk.links.connect(PLANT, 0, cached=True)
    desk.links.disconnect(PLANT)
    assert desk.frees == [(2, [PLANT])]
    assert desk.told.empty()
    assert not desk.tasks


async def test_giving_up_during_the_open_is_a_cancelled_open_in_2026_10():
    """256, Bluedroid's own code; in the line for the radio it is -1."""
    desk = Desk(ESPHOME_2026_10, attrs.evolve(FAST, open=5.0))
    desk.air.gate.clear()
    desk.links.connect(PLANT, 0, cached=True)
    desk.links.connect(OTHER, 0, cached=True)
    desk.links.disconnect(OTHER)
    assert await desk.state() == (False, 0, -1)
    await desk.air.asked.wait()
    desk.links.disconnect(PLANT)
    assert await desk.state() == (False, 0, 256)
    assert desk.links.free == 3


@pytest.mark.parametrize(("firmware", "named"), [(ESPHOME_2025_6, []), (ESPHOME_2026_6, [PLANT])])
async def test_who_asks_for_free_slots_is_told_the_addresses_since_2025_12(firmware, named):
    """The holder gets them after each change in both generations."""
    desk = Desk(firmware)
    desk.links.connect(PLANT, 0, cached=True)
    answer = desk.links.answer()
    assert (answer.free, list(answer.allocated)) == (2, named)
    assert desk.frees == [(2, [PLANT])]


async def test_an_operation_without_a_link_is_minus_one(desk):
    """Not connected: ESPHome's own code."""
    desk.read(7)
    assert (await desk.told.get()).error == -1


async def test_disconnecting_what_is_not_connected_is_answered(desk):
    """(False, 0, 0), and the free count."""
    desk.links.disconnect(PLANT)
    assert await desk.state() == (False, 0, 0)
    assert desk.frees == [(3, [])]


@pytest.mark.parametrize(("firmware", "errors"), [(ESPHOME_2026_6, []), (ESPHOME_2026_10, [132])])
async def test_a_second_operation_waits_or_is_busy(firmware, errors):
    """Before 2026.8 it waits for the first; since then it is refused."""
    desk = Desk(firmware)
    desk.links.connect(PLANT, 0, cached=True)
    await desk.state()
    desk.air.answer.clear()
    desk.read(1)
    await asyncio.sleep(0)
    desk.read(2)
    await asyncio.sleep(0)
    assert [desk.told.get_nowait().error for _ in errors] == errors
    desk.air.answer.set()
    assert (await desk.told.get()).data == b"\x01"
    if not errors:
        assert (await desk.told.get()).data == b"\x02"


async def test_a_device_that_never_answers_loses_its_link(desk):
    """After the operation's limit the radio drops the link: connected=False, no GATT error."""
    desk.links.connect(PLANT, 0, cached=True)
    await desk.state()
    desk.air.answer.clear()
    desk.read(1)
    assert await desk.state() == (False, 0, 0x16)
    assert desk.links.free == 3


async def test_a_request_during_a_pending_disconnect_cancels_it():
    """Before 2026.10 a disconnect during an open waits for it; a new request makes it void."""
    desk = Desk(ESPHOME_2026_6, attrs.evolve(FAST, open=5.0))
    desk.air.gate.clear()
    desk.links.connect(PLANT, 0, cached=True)
    desk.links.disconnect(PLANT)
    assert desk.links.allocated == [PLANT]
    desk.links.connect(PLANT, 0, cached=True)
    desk.air.gate.set()
    assert (await desk.state())[0]


async def test_a_request_while_the_link_closes_is_passed_over(desk):
    """No answer of its own, and the close is reported once, however often it was asked for."""
    desk.links.connect(PLANT, 0, cached=True)
    await desk.state()
    desk.links.disconnect(PLANT)
    desk.links.disconnect(PLANT)
    desk.links.connect(PLANT, 0, cached=True)
    assert await desk.state() == (False, 0, 0x16)
    while desk.tasks:
        await asyncio.gather(*desk.tasks)
    assert desk.told.empty()
    assert desk.links.free == 3


async def test_closing_all_is_silent(desk):
    """The holder left: links are closed and slots free, without a message."""
    desk.links.connect(PLANT, 0, cached=True)
    await desk.state()
    desk.links.drop_all()
    assert (desk.links.free, desk.air.closed) == (3, 1)
    assert desk.told.empty()
    desk.air.losts[PLANT](8)
    assert desk.told.empty()


async def test_the_scan_runs_again_after_every_open(desk):
    """Whether it succeeded, failed or was given up."""
    desk.links.connect(PLANT, 0, cached=True)
    await desk.state()
    desk.air.gate.clear()
    desk.links.connect(OTHER, 0, cached=True)
    assert await desk.state() == (False, 0, 133)
    while desk.tasks:
        await asyncio.gather(*desk.tasks)
    assert desk.scanner.hears


@pytest.mark.parametrize(("firmware", "reports"), [(ESPHOME_2026_6, 2), (ESPHOME_2026_10, 1)])
async def test_a_lost_link_is_reported_as_often_as_the_generation_does(firmware, reports):
    """A drop by the peripheral: connected=False twice before 2026.8, once since."""
    desk = Desk(firmware)
    desk.links.connect(PLANT, 0, cached=True)
    await desk.state()
    desk.air.losts[PLANT](8)
    while desk.tasks:
        await asyncio.gather(*desk.tasks)
    assert [await desk.state() for _ in range(reports)] == [(False, 0, 8)] * reports
    assert desk.told.empty()
