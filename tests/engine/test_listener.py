"""The listener beyond the truth table: foreign frames, admission of unlisted devices, memory per device."""

import random
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.listening import MAC, Air

from proxy_listener.engine.kept import open_kept
from proxy_listener.engine.memory import KeptFrame
from proxy_listener.formats import find_company, find_ours
from proxy_listener.model.advertisement import COMPANY
from proxy_listener.model.errors import NoReadingError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import KeyState
from proxy_listener.model.timing import DAY
from proxy_listener.simulator import frames

LYWSDCGQ, LYWSD03MMC, HHCCJCY01 = 0x01AA, 0x055B, 0x0098
KEY = "e9ea895fac7cca6d30532432a516f3a8"
MANUFACTURER = COMPANY | 0x038F
IPHONE = bytes.fromhex("02011a0aff4c001005411c9ee1a2020af5")


def temperature(tenths: int) -> bytes:
    return frames.obj(0x1004, struct.pack("<h", tenths))


def plain(counter: int, tenths: int = 215, mac: int = MAC, product: int = LYWSDCGQ) -> bytes:
    return frames.frame(product, counter, temperature(tenths), mac=mac, version=4)


def encrypted(counter: int) -> bytes:
    return frames.frame(LYWSD03MMC, counter, temperature(215), mac=MAC, key=bytes.fromhex(KEY))


def entry(mac: int = MAC) -> DeviceSettings:
    return DeviceSettings(mac=mac, name="Bedroom climate", bindkey=(Secret(KEY),))


def test_the_design_pages_example_gives_its_reading():
    air = Air(entry())
    payload = bytes.fromhex("58585b0550f4830238c1a495ef58763c26000097e2abb5")
    assert air.say(payload, proxy="bedroom-proxy", rssi=-61) is Outcome.DECODED
    (reading,) = air.readings
    assert (reading.model, reading.counter, reading.trust) == ("LYWSD03MMC", 9808, "authenticated")
    assert reading.values == {"humidity": 46.7}


def test_a_foreign_advertisement_changes_no_state():
    air = Air()
    assert air.listener.hear("kitchen", 0x7A1122334455, 1, -70, IPHONE, 0.0, 1.0) is Outcome.NOT_OURS
    assert air.devices.by_address == {}


def test_advertisements_filtered_at_the_edge_are_counted_as_foreign():
    """The edge filter reports only the number of foreign advertisements."""
    air, spared = Air(), Air()
    for _ in range(5):
        air.listener.hear("kitchen", 0x7A1122334455, 1, -70, IPHONE, 0.0, 1.0)
    spared.listener.count_foreign(2)
    spared.listener.count_foreign(3)
    assert spared.listener.outcomes == air.listener.outcomes


@given(st.binary(max_size=64) | st.binary(max_size=40).map(lambda data: frames.advertisement(data, MANUFACTURER)))
def test_the_edge_filters_only_foreign_payloads(data):
    """Also from the address of a listed device, whose frames are known."""
    air = Air(DeviceSettings(mac=MAC))
    air.say(plain(1))
    assert (
        find_ours(data)
        or find_company(data)
        or air.listener.hear("kitchen", MAC, 0, -70, data, 0.0, 1001.0) is Outcome.NOT_OURS
    )


def test_an_address_first_heard_without_our_service_data_can_send_a_frame_later():
    """Active scanning delivers a scan response that holds only the name, and the frame a moment later."""
    air = Air()
    name = frames.structure(0x09, b"MJ_HT_V1")
    assert air.listener.hear("kitchen", MAC, 0, -70, name, 0.0, 1.0) is Outcome.NOT_OURS
    assert air.say(plain(1)) is Outcome.DECODED


@given(st.binary(max_size=64))
def test_any_bytes_have_an_outcome(data):
    air = Air(entry())
    assert isinstance(air.listener.hear("kitchen", MAC, 0, -70, data, 0.0, 1.0), Outcome)
    assert air.readings == []


@given(st.binary(max_size=40), st.sampled_from([0xFE95, 0x181D, 0x181B, 0xFD50]))
def test_any_service_data_of_ours_has_an_outcome_and_none_is_a_reading_of_a_keyed_device(payload, uuid):
    air = Air(entry())
    assert isinstance(air.say(payload, uuid=uuid), Outcome)
    assert air.readings == []


def test_256_unlisted_devices_are_admitted_a_day_and_further_ones_counted():
    air = Air()
    outcomes = [air.say(plain(1, mac=0x582D34000000 + n), mac=0x582D34000000 + n) for n in range(300)]
    assert outcomes.count(Outcome.DECODED) == 256
    assert outcomes.count(Outcome.NOT_ADMITTED) == 44
    assert air.say(plain(2, mac=0x582D34000000 + 290), mac=0x582D34000000 + 290, after=86_400) is Outcome.DECODED


def test_an_admitted_device_stays_so_over_a_restart_when_the_day_is_full():
    air = Air()
    for n in range(256):
        air.say(plain(1, mac=0x582D34000000 + n), mac=0x582D34000000 + n)
    again = air.restarted()
    assert again.say(plain(2, mac=0x582D34000000), mac=0x582D34000000, after=10) is Outcome.DECODED


def test_unlisted_devices_can_be_ignored_and_listed_ones_are_heard_nevertheless():
    air = Air(DeviceSettings(mac=MAC, name="Hall"))
    air.devices.configure([DeviceSettings(mac=MAC, name="Hall")], "ignore")
    assert air.say(plain(1)) is Outcome.DECODED
    assert air.say(plain(1, mac=MAC + 1), mac=MAC + 1) is Outcome.IGNORED


def test_an_encrypted_device_without_a_key_is_known_named_and_its_frames_kept():
    air = Air()
    payload = frames.frame(LYWSD03MMC, 7, temperature(215), mac=MAC, key=bytes.fromhex(KEY))
    assert air.say(payload) is Outcome.NO_BINDKEY
    assert air.memory.sealed == [payload]
    assert air.status().key is KeyState.MISSING
    assert air.status().name == "LYWSD03MMC 83F4"
    assert [notice.kind for notice in air.notices] == ["admitted", "key_missing"]


def test_a_new_entry_with_the_key_makes_the_next_frame_a_reading():
    air = Air()
    air.say(frames.frame(LYWSD03MMC, 7, temperature(215), mac=MAC, key=bytes.fromhex(KEY)))
    air.devices.configure([entry()], "emit")
    assert air.status().key is KeyState.WAITING
    assert air.say(frames.frame(LYWSD03MMC, 8, temperature(216), mac=MAC, key=bytes.fromhex(KEY))) is Outcome.DECODED
    assert air.readings[0].name == "Bedroom climate"
    assert air.status().key is KeyState.VERIFIED


def test_the_history_is_queried_only_for_counters_that_it_may_hold():
    """Reading the disk for each frame would hold up all proxies while it does not answer."""
    air = Air(entry())
    for counter in range(100):
        assert air.say(encrypted(counter), after=10) is Outcome.DECODED
    assert air.memory.asked == 0
    assert air.say(encrypted(3), after=10) is Outcome.REPLAY
    again = air.restarted(entry())
    assert again.say(encrypted(100), after=10) is Outcome.DECODED
    assert air.memory.asked == 1
    assert again.say(encrypted(4), after=10) is Outcome.REPLAY


def test_a_frame_read_after_its_key_came_is_not_read_again_from_a_room_that_is_late():
    air = Air()
    air.say(encrypted(7))
    air.devices.configure([entry()], "emit")
    assert air.say(encrypted(5)) is Outcome.DECODED
    device = air.devices.by_address[MAC]
    kept = KeptFrame(0, MAC, air.wall, "kitchen", -60, 0, 0xFE95, air.memory.sealed[0])
    air.emit(open_kept(air.listener, device, kept))
    assert air.say(encrypted(7), proxy="hall", after=5) is Outcome.REPLAY
    assert air.say(encrypted(8)) is Outcome.DECODED
    with pytest.raises(NoReadingError) as raised:
        open_kept(air.listener, device, kept)
    assert raised.value.outcome is Outcome.REPEAT


def test_a_long_repeated_frame_is_a_repeat_with_and_without_a_scan_response():
    """Active scanning puts a scan response behind some of its copies."""
    air = Air()
    assert air.say(plain(7)) is Outcome.DECODED
    for _ in range(60):
        assert air.say(plain(7), after=10) is Outcome.REPEAT
    answered = frames.advertisement(plain(7)) + frames.structure(0x09, b"MJ_HT_V1")
    assert air.listener.hear("hall", MAC, 0, -70, answered, 0.0, air.now + 10) is Outcome.REPEAT


def test_old_plant_firmware_of_an_unlisted_device_is_noticed_once():
    air = Air()
    silent = bytes.fromhex("31029800") + bytes([1]) + MAC.to_bytes(6, "little") + b"\x0d"
    for _ in range(3):
        assert air.say(silent, after=1) is Outcome.EMPTY
    assert [notice.kind for notice in air.notices] == ["admitted", "old_firmware", "room"]
    assert air.devices.valueless(MAC)


def test_a_mac_inside_the_frame_that_is_not_the_senders_is_refused():
    air = Air()
    assert air.say(plain(1, mac=MAC), mac=MAC + 1) is Outcome.WRONG_MAC


def test_an_unknown_products_standard_objects_are_read_and_it_is_named_by_its_id():
    air = Air()
    assert air.say(plain(1, product=0x5A5A)) is Outcome.DECODED
    assert air.readings[0].model == "0x5A5A"


def test_the_room_is_the_nearest_proxys_and_the_rssi_that_of_the_first_copy():
    air = Air()
    for counter in range(10):
        air.say(plain(counter, 200 + counter), proxy="hall", rssi=-85, after=2)
        air.say(plain(counter, 200 + counter), proxy="kitchen", rssi=-55)
    last = air.readings[-1]
    assert (last.proxy, last.rssi, last.room) == ("hall", -85, "Kitchen")


def grown(work) -> int:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = work()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return after - before


def test_a_hundred_thousand_random_addresses_cost_no_memory():
    air = Air()
    chance = random.Random(1)
    for n in range(300):
        air.say(plain(1, mac=n), mac=n)

    def flood() -> None:
        for n in range(100_000):
            address = chance.getrandbits(48)
            if n % 10:
                data = IPHONE[:8] + address.to_bytes(6, "big")
            else:
                data = frames.advertisement(plain(n & 255, mac=address))
            air.listener.hear("kitchen", address, 1, -70, data, 0.0, 1000.0)

    assert grown(flood) < 100_000
    assert len(air.devices.by_address) == 256


def test_a_device_heard_in_eight_rooms_costs_less_than_ten_kilobytes():
    count = 20

    def keyed() -> Air:
        air = Air(*(entry(MAC + n) for n in range(count)))
        air.listener._emit = lambda reading: None
        for n in range(count):
            for counter in range(100):
                payload = frames.frame(LYWSD03MMC, counter, temperature(counter), mac=MAC + n, key=bytes.fromhex(KEY))
                for room in range(8):
                    air.say(payload, mac=MAC + n, proxy=f"room{room}")
        return air

    def unkeyed(pause: float) -> Air:
        """Each frame is heard for eight times as long."""
        air = Air()
        air.listener._emit = lambda reading: None
        for n in range(count):
            for counter in range(256):
                for room in range(8):
                    air.say(plain(counter, counter, mac=MAC + n), mac=MAC + n, proxy=f"room{room}", after=pause)
        return air

    assert grown(keyed) / count < 10_000
    assert grown(lambda: unkeyed(0.1)) / count < 10_000
    assert grown(lambda: unkeyed(8.0)) / count < 10_000


def test_what_a_frame_holds_beside_what_is_read_is_counted():
    air = Air()
    cut = temperature(215) + frames.obj(0x1006, b"\xd3\x01")[:-1]
    strange = temperature(216) + frames.obj(0x3FFF, b"\x01") + frames.obj(0x1006, b"\xff\xff")
    for counter, objects in enumerate((cut, strange)):
        assert air.say(frames.frame(LYWSDCGQ, counter, objects, mac=MAC, version=4)) is Outcome.DECODED
    assert [reading.values for reading in air.readings] == [{"temperature": 21.5}, {"temperature": 21.6}]
    assert air.listener.skipped == {"object cut off": 1, "unknown object 0x3FFF": 1, "implausible humidity": 1}


def test_a_restart_starts_the_availability_interval_again_and_sleepy_devices_stay_available():
    door = frames.obj(0x1019, b"\x01")
    air = Air()
    air.say(plain(1))
    air.say(frames.frame(0x098B, 1, door, mac=MAC + 1, version=5), mac=MAC + 1)
    again = air.restarted(pause=100_000)
    again.memory.models = {MAC: LYWSDCGQ, MAC + 1: 0x098B}
    assert again.devices.admit(MAC, again.wall, 0.0).available(0.0)
    assert again.devices.admit(MAC + 1, again.wall, 0.0).available(90_000.0)
    assert again.status().available
    again.now += 900.5
    assert not again.status().available
    assert 100_900 <= again.status().heard_age <= 100_901


def test_a_device_without_readings_is_located_too():
    """One that encrypts and has no key yet: where it hangs is what its owner looks for."""
    air = Air()
    for counter in range(3):
        payload = frames.frame(LYWSD03MMC, counter, temperature(215), mac=MAC, key=bytes.fromhex(KEY))
        air.say(payload, proxy="hall", rssi=-85, after=2)
        air.say(payload, proxy="kitchen", rssi=-55)
    assert air.status().room == "Kitchen"


def test_the_set_of_readable_devices_follows_the_model():
    """By its model, on its first frame, after a restart, and no longer when it turns out to be something else."""
    plant = frames.frame(HHCCJCY01, 1, frames.obj(0x1008, b"\x20"), mac=MAC)
    air = Air()
    air.say(plain(1, mac=MAC + 1), mac=MAC + 1)
    assert air.devices.readable == set()
    air.say(plant)
    assert air.devices.readable == {MAC}
    air.memory.models[MAC] = HHCCJCY01
    again = air.restarted(DeviceSettings(MAC))
    assert again.devices.readable == {MAC}
    again.say(plain(2), after=DAY)
    assert again.status().model == "LYWSDCGQ"
    assert again.devices.readable == set()


def press(counter: int, version: int) -> bytes:
    """A press of a dimmer with a 24-digit key; v5 frames are encrypted with FFFFFFFF behind it."""
    short = bytes.fromhex("0a1b2c3d4e5f60718293a4b5")
    key = short + b"\xff" * 4 if version == 5 else short
    return frames.frame(0x03B6, counter, frames.obj(0x1001, b"\x00\x01\x03"), mac=MAC, key=key, version=version)


def test_a_dimmers_24_digit_key_opens_its_v5_frames_and_then_no_legacy_ones():
    """A v5 tag proves the sender; a day later v2/v3 frames, which prove nothing, are refused."""
    air = Air(DeviceSettings(mac=MAC, bindkey=(Secret("0a1b2c3d4e5f60718293a4b5"),)))
    assert air.say(press(1, 3)) is Outcome.DECODED
    assert air.say(press(2, 5), after=10.0) is Outcome.DECODED
    assert [reading.trust for reading in air.readings] == ["encrypted", "authenticated"]
    assert [event.type for reading in air.readings for event in reading.events] == ["press", "press"]
    assert air.status().key is KeyState.VERIFIED
    assert air.say(press(3, 3), after=DAY + 1) is Outcome.DOWNGRADED
    assert air.say(press(4, 5), after=1.0) is Outcome.DECODED


def test_a_battery_that_may_be_a_counter_is_held_once_however_many_proxies_hear_it():
    """A copy of the frame is not the second frame that confirms it."""
    device = DeviceSettings(mac=MAC, bindkey=(Secret(KEY),))
    air = Air(device)

    def battery(counter: int, percent: int) -> bytes:
        return frames.frame(0x0A83, counter, frames.obj(0x100A, bytes((percent,))), mac=MAC, key=bytes.fromhex(KEY))

    assert air.say(battery(1, 37)) is Outcome.HELD
    assert air.say(battery(1, 37), proxy="hall") is Outcome.REPEAT
    assert air.say(battery(2, 100), after=60.0) is Outcome.HELD
    assert air.say(battery(3, 100), after=60.0) is Outcome.DECODED
    assert [reading.values for reading in air.readings] == [{"battery": 100}]
    assert air.status().values["battery"][0] == 100
    assert air.status().heard_age == 0.0


def air_with_manufacturer_data(payload: bytes, before: bytes = b"") -> tuple[Air, Outcome]:
    """An advertisement with ``before`` as service data, if any, and ``payload`` as manufacturer data of Xiaomi."""
    air = Air(DeviceSettings(mac=MAC, bindkey=(Secret(KEY),)))
    data = frames.advertisement(before) if before else frames.FLAGS
    data += frames.advertisement(payload, MANUFACTURER, flags=False)
    return air, air.listener.hear("kitchen", MAC, 0, -60, data, 1_700_000_000.0, 1000.0)


def zelkova(counter: int, objects: bytes = frames.obj(0x100A, b"\x5a"), product: int = 0x0197) -> bytes:
    return frames.frame(product, counter, objects, mac=MAC, key=bytes.fromhex(KEY), version=4, include_mac=False)


def test_a_frame_in_manufacturer_data_is_read():
    """Also behind a service data header of the same product, whose sign of life does not hide it."""
    for before in (b"", frames.frame(0x0197, 7, b"", mac=MAC, version=4)):
        air, outcome = air_with_manufacturer_data(zelkova(7), before)
        assert outcome is Outcome.DECODED
        assert [reading.values for reading in air.readings] == [{"battery": 90}]


def test_a_frame_that_is_in_both_places_of_an_advertisement_is_read_once():
    """The outcome is that of the reading, and a proxy heard one frame."""
    air, outcome = air_with_manufacturer_data(zelkova(7), zelkova(7))
    assert (outcome, len(air.readings)) == (Outcome.DECODED, 1)
    assert sum(air.listener.outcomes) == 1
    (status,) = air.devices.statuses(1000.0)
    assert [(heard.proxy, heard.share) for heard in status.heard] == [("kitchen", 1.0)]


@pytest.mark.parametrize(
    "payload",
    [
        bytes.fromhex("0a103d0c000aa4288ccf0481"),  # CGDN1, version 1: ble_monitor #81
        frames.frame(0x5A5A, 7, temperature(215), mac=MAC),  # a product that nobody knows
        frames.frame(0x0197, 7, frames.obj(0x100A, b"\x5a"), mac=MAC, version=1),
        b"",
        b"\x01\x02\x03",
    ],
    ids=["CGDN1", "unknown product", "version 1", "empty", "short"],
)
def test_other_manufacturer_data_of_the_company_is_no_frame(payload):
    """It gives no device a state, and does not hide a reading from the same advertisement."""
    air, outcome = air_with_manufacturer_data(payload)
    assert outcome is Outcome.NOT_A_FRAME
    assert (air.readings, air.devices.statuses(1000.0)[0].heard_age) == ([], None)
    air, outcome = air_with_manufacturer_data(payload, zelkova(7))
    assert (outcome, len(air.readings)) == (Outcome.DECODED, 1)
