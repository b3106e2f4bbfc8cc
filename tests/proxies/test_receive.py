import asyncio

import pytest
from aioesphomeapi.api_pb2 import BluetoothLERawAdvertisementsResponse
from hypothesis import given
from hypothesis import strategies as st
from support import edge
from support.listening import MAC, Air

from proxy_listener.formats import RARE, find_company, find_ours
from proxy_listener.formats.xiaomi.hhcc import UUID as TUYA
from proxy_listener.formats.xiaomi.mibeacon import UUID as MIBEACON
from proxy_listener.formats.xiaomi.miscale import BODY_COMPOSITION, WEIGHT_SCALE
from proxy_listener.model.advertisement import COMPANY, ForeignFilter
from proxy_listener.model.outcome import Outcome
from proxy_listener.proxies.fleet import Fleet
from proxy_listener.proxies.receive import Receiver
from proxy_listener.proxies.timing import ProxyTiming
from proxy_listener.simulator import frames

ADDRESS = 0xA4C1380283F4


class House:
    def __init__(self, count_foreign=None):
        self.now = 0.0
        self.heard = []
        self.raises = set()
        self.receiver = Receiver(
            "kitchen",
            self.hear,
            ProxyTiming(),
            lambda: self.now,
            ForeignFilter(find_ours, RARE, find_company, count_foreign) if count_foreign else None,
        )

    def hear(self, *call):
        if call[1] in self.raises:
            raise RuntimeError("boom")
        self.heard.append(call)
        return Outcome.DECODED

    def send(self, count=1, **fields):
        self.receiver.raw(message([{**GOOD, **fields}] * count))


GOOD = {"address": ADDRESS, "rssi": -60, "address_type": 1, "data": b"\x02\x01\x06"}


def message(advertisements):
    whole = BluetoothLERawAdvertisementsResponse()
    for fields in advertisements:
        whole.advertisements.add(**fields)
    return whole


def test_fields_arrive_in_their_places():
    """``hear(proxy, address, address_type, rssi, data, time, heard)``, positionally, with one time for a message."""
    house = House()
    house.now = 12.5
    house.send(2)
    assert len({call[5] for call in house.heard}) == 1
    assert [call[:5] + call[6:] for call in house.heard] == [("kitchen", ADDRESS, 1, -60, b"\x02\x01\x06", 12.5)] * 2


def test_what_no_radio_sends_is_refused_and_the_rest_is_heard():
    house = House()
    bad = (
        {"data": bytes(256)},
        {"address": 1 << 48},
        {"address_type": 2},
        {"rssi": 21},
        {"rssi": -128},
    )
    house.receiver.raw(message([{**GOOD, **fields} for fields in bad] + [GOOD]))
    assert len(house.heard) == 1
    assert house.receiver.outcomes[Outcome.REFUSED] == len(bad)
    assert house.receiver.outcomes[Outcome.DECODED] == 1


def test_limits_are_heard():
    house = House()
    for fields in ({"data": bytes(255)}, {"address": (1 << 48) - 1}, {"rssi": 20}, {"rssi": -127}, {"data": b""}):
        house.send(**fields)
    assert len(house.heard) == 5


def test_one_failure_costs_one_advertisement():
    """After an exception in ``hear`` the others of the message are heard."""
    house = House()
    house.raises = {1}
    house.receiver.raw(message([GOOD, {**GOOD, "address": 1}, GOOD, {**GOOD, "address": 1}, GOOD]))
    assert len(house.heard) == 3
    assert house.receiver.failed == 2


def test_giant_message_is_cut_and_reported():
    """32,767 empty advertisements fit one frame: 256 are handled, and the proxy misbehaved."""
    house = House()
    house.receiver.raw(message([{}] * 32_767))
    assert len(house.heard) <= 256
    assert house.receiver.count == 32_767
    assert "32767" in house.receiver.misbehaviour


def test_a_flood_is_reported_and_not_handled():
    """Of ten thousand a second, what a second of the limit allows is heard, and nothing after the report."""
    house = House()
    while house.now < 1.0:
        house.send(100)
        house.now += 0.01
    assert house.receiver.misbehaviour == "it sent more advertisements than a radio hears"
    assert len(house.heard) <= 2.0 * ProxyTiming().flood_rate
    assert len(house.heard) + house.receiver.dropped == house.receiver.count == 10_000


@pytest.mark.parametrize("pause", [0.5, 2.05, 600.0])
def test_a_flood_in_pulses_is_a_flood(pause):
    """Eight thousand at once, however long the silence between them."""
    house = House()
    for _ in range(3):
        house.now += pause
        for _ in range(500):
            house.send(16)
    assert house.receiver.misbehaviour == "it sent more advertisements than a radio hears"


def test_busy_radio_is_no_flood():
    """Of 1,900 a second, for a minute, every one is heard."""
    house = House()
    while house.now < 60.0:
        house.send(19)
        house.now += 0.01
    assert house.receiver.misbehaviour is None
    assert len(house.heard) == house.receiver.count


def test_a_burst_after_a_stall_is_heard():
    """Five seconds of a busy house at once, as after a stall of the network or of this process."""
    house = House()
    house.now = 5.0
    for _ in range(125):
        house.send(16)
    assert house.receiver.misbehaviour is None
    assert len(house.heard) == 2000


def test_oversized_data_is_reported():
    house = House()
    house.receiver.raw(message([{**GOOD, "data": bytes(4096)}] * 16))
    assert house.receiver.misbehaviour is not None
    assert house.heard == []


def test_new_session_starts_clean():
    house = House()
    house.receiver.raw(message([{}] * 1000))
    house.receiver.new_session(lambda what: None)
    assert house.receiver.misbehaviour is None


def test_rate_is_right_from_the_start_and_fades():
    """Ten a second are shown as ten after five seconds; a minute of silence leaves a third of them."""
    house = House()
    for _ in range(50):
        house.send()
        house.now += 0.1
    assert 9.0 < house.receiver.rate(house.now) < 11.0
    for _ in range(3000):
        house.send()
        house.now += 0.1
    house.now += 60.0
    assert 3.0 < house.receiver.rate(house.now) < 4.5


IPHONE = bytes.fromhex("02011a0aff4c001005411c9ee1a2020af5")
EDDYSTONE = bytes.fromhex("0201060303aafe1116aafe1000") + bytes(13)
SENSOR = [
    frames.advertisement(frames.frame(0x01AA, counter, frames.obj(0x1004, b"\xd7\x00"), mac=MAC, version=4))
    for counter in range(3)
]
LOCK = frames.advertisement(frames.frame(0x0197, 7, frames.obj(0x100A, b"\x5a"), mac=MAC, version=4), COMPANY | 0x038F)
"""A frame in manufacturer data."""


def heard_with(messages, *, filtered):
    """Outcomes and readings of these messages, with or without the filter for foreign advertisements."""
    air = Air()
    count_foreign = ForeignFilter(find_ours, RARE, find_company, air.listener.count_foreign) if filtered else None
    receiver = Receiver("kitchen", air.listener.hear, ProxyTiming(), lambda: air.now, count_foreign)
    for advertisements in messages:
        receiver.raw(message(advertisements))
        air.now += 1.0
    readings = [(reading.mac, reading.counter, reading.values) for reading in air.readings]
    return receiver.outcomes, air.listener.outcomes, readings


ADVERTISEMENT = st.fixed_dictionaries(
    {
        "address": st.sampled_from([MAC, MAC + 1]),
        "rssi": st.integers(-127, 20),
        "address_type": st.integers(0, 1),
        "data": st.sampled_from([IPHONE, EDDYSTONE, *SENSOR, LOCK, b"\x16\x95", bytes(256)]) | st.binary(max_size=62),
    }
)


@given(st.lists(st.lists(ADVERTISEMENT, max_size=16), max_size=6))
def test_foreign_advertisements_are_counted_as_if_they_had_been_heard(messages):
    """By the proxy and by the listener. The readings are the same with and without the filter."""
    assert heard_with(messages, filtered=True) == heard_with(messages, filtered=False)


def test_a_frame_in_manufacturer_data_is_not_foreign():
    """The filter lets it pass, and it is read."""
    _, _, readings = heard_with([[{**GOOD, "address": MAC, "data": LOCK}]], filtered=True)
    assert readings == [(MAC, 7, {"battery": 90})]


def test_foreign_advertisements_are_counted_once_for_a_message():
    gone = []
    house = House(gone.append)
    house.receiver.raw(message([{**GOOD, "data": data} for data in (IPHONE, SENSOR[0], EDDYSTONE, IPHONE, SENSOR[1])]))
    assert [call[4] for call in house.heard] == SENSOR[:2]
    assert gone == [3]
    assert house.receiver.outcomes[Outcome.NOT_OURS] == 3
    house.receiver.raw(message([{**GOOD, "data": SENSOR[2]}]))
    assert gone == [3]


@pytest.mark.parametrize("uuid", [MIBEACON, WEIGHT_SCALE, BODY_COMPOSITION, TUYA])
@pytest.mark.parametrize("before", [b"", b"\x02\x01\x06", b"\x04\x16\x0a\x18\x16", IPHONE + bytes(3)])
def test_no_format_of_ours_is_foreign_wherever_it_stands(uuid, before):
    gone = []
    house = House(gone.append)
    house.send(data=before + frames.structure(0x16, uuid.to_bytes(2, "little") + b"\x00"))
    assert len(house.heard) == 1
    assert gone == []


def test_oversized_foreign_data_is_refused_and_reported():
    gone = []
    house = House(gone.append)
    house.send(16, data=bytes(256))
    assert house.receiver.outcomes[Outcome.REFUSED] == 16
    assert "256 bytes" in house.receiver.misbehaviour
    house.send(data=bytes(255))
    assert (house.heard, gone) == ([], [1])


def test_every_field_is_checked_behind_the_filter():
    gone = []
    house = House(gone.append)
    bad = ({"address": 1 << 48}, {"address_type": 2}, {"rssi": 21}, {"rssi": -128})
    house.receiver.raw(message([{**GOOD, "data": SENSOR[0], **fields} for fields in bad]))
    assert house.receiver.outcomes[Outcome.REFUSED] == len(bad)
    assert (house.heard, gone) == ([], [])


@pytest.mark.mdns("shared")
async def test_a_recording_gets_foreign_advertisements():
    """Another ``hear`` than the service's gets all advertisements. When it ends foreign ones are only counted again."""
    node, house, gone, looked = edge.make_node(1), edge.House(), [], []

    def look(*call):
        looked.append(call)
        return house.hear(*call)

    def said(where):
        before = len(where)

        def arrived():
            node.hear(ADDRESS, 0, -60, IPHONE)
            return len(where) > before

        return arrived

    async with edge.running(node):
        fleet = house.fleet = Fleet(
            edge.NO_MDNS,
            [edge.entry(node)],
            house.hear,
            foreign=ForeignFilter(find_ours, RARE, find_company, gone.append),
            timing=edge.FAST,
            changed=house.changed,
        )
        task = asyncio.create_task(fleet.run())
        try:
            await house.until(said(gone))
            assert house.heard == []
            fleet.listen(look)
            before = sum(gone)
            await house.until(said(looked))
            assert (sum(gone), house.heard) == (before, looked)
            fleet.listen(house.hear)
            before = len(looked)
            await house.until(said(gone))
            assert len(looked) == before
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
