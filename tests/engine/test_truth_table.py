"""The truth table of the duplicate rule (docs/protocol/deduplication.md#truth-table), row by row.

Frames are built and encrypted by ``simulator/frames.py``; time is an argument; the history is a set.
"""

import struct
from datetime import datetime
from itertools import pairwise

import pytest
from support.listening import MAC, Air

from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import KeyState
from proxy_listener.simulator import frames

OTHER = 0xA4C138D43C48
KEY = "e9ea895fac7cca6d30532432a516f3a8"
NEW_KEY = "00112233445566778899aabbccddeeff"
LEGACY_KEY = "b853075158487ca39a5b5ea9"
LYWSD03MMC, LYWSDCGQ, YLKG07YL = 0x055B, 0x01AA, 0x03B6
BUTTON = frames.obj(0x4E0C, b"")
XMWXKG01LM, DOOR = 0x2387, 0x098B
OPEN, CLOSED = frames.obj(0x1019, b"\x00"), frames.obj(0x1019, b"\x01")


def keyed(*keys: str, mac: int = MAC, **more) -> DeviceSettings:
    return DeviceSettings(mac=mac, name="Bedroom climate", bindkey=tuple(map(Secret, keys or (KEY,))), **more)


def sealed(
    counter: int, tenths: int = 215, *, key=KEY, product=LYWSD03MMC, objects: bytes | None = None, **more
) -> bytes:
    """A v5 frame with a temperature, or other objects, under a 32-bit counter."""
    body = frames.obj(0x1004, struct.pack("<h", tenths)) if objects is None else objects
    more.setdefault("mac", MAC)
    return frames.frame(product, counter & 0xFF, body, key=bytes.fromhex(key), extended=counter >> 8, **more)


def plain(counter: int, tenths: int = 215, *, product=LYWSDCGQ, objects: bytes | None = None, **more) -> bytes:
    body = frames.obj(0x1004, struct.pack("<h", tenths)) if objects is None else objects
    more.setdefault("mac", MAC)
    return frames.frame(product, counter, body, version=4, **more)


def temperatures(air: Air) -> list[float]:
    return [reading.values["temperature"] for reading in air.readings]


def test_01_the_first_good_tag_of_a_new_device_is_accepted():
    air = Air(keyed())
    assert air.say(sealed(0x2650, 467)) is Outcome.DECODED
    assert air.readings[0].counter == 0x2650
    assert air.readings[0].trust == "authenticated"


@pytest.mark.parametrize("delay", [0.0, 1.9, 2.1, 60.0, 240.0])
def test_02_a_copy_from_another_room_is_a_repeat_and_locates_the_device_only_within_two_seconds(delay):
    air = Air(keyed())
    air.say(sealed(1000), proxy="kitchen")
    assert air.say(sealed(1000), proxy="hall", after=delay) is Outcome.REPEAT
    assert len(air.readings) == 1
    heard_by = {heard.proxy for heard in air.status().heard}
    assert heard_by == ({"kitchen", "hall"} if delay <= 2.0 else {"kitchen"})


@pytest.mark.parametrize("bits", [0x0100, 0x0400, 0x0800])
def test_03_altered_header_bits_capability_and_mac_make_no_new_frame(bits):
    air = Air(keyed())
    air.say(sealed(1000))
    assert air.say(sealed(1000, header_bits=bits)) is Outcome.REPEAT
    assert air.say(sealed(1000, capability=0x08)) is Outcome.REPEAT
    assert air.say(sealed(1000, include_mac=False)) is Outcome.REPEAT
    assert len(air.readings) == 1


def test_04_the_next_counter_is_accepted():
    air = Air(keyed())
    air.say(sealed(1000))
    assert air.say(sealed(1001)) is Outcome.DECODED


def test_05_a_frame_overtaken_by_a_newer_one_is_kept_as_late_and_does_not_move_the_state():
    air = Air(keyed())
    air.say(sealed(1000, 220))
    assert air.say(sealed(999, 210)) is Outcome.LATE
    assert temperatures(air) == [22.0, 21.0]
    assert air.readings[1].late
    assert air.readings[1].stale == {"temperature"}
    assert air.status().values["temperature"][0] == 22.0


def test_05b_a_late_frame_moves_a_quantity_that_nothing_newer_wrote():
    air = Air(keyed())
    air.say(sealed(1000, 220))
    assert air.say(sealed(999, objects=frames.obj(0x1006, struct.pack("<H", 467)))) is Outcome.LATE
    assert air.status().values["humidity"][0] == 46.7


@pytest.mark.parametrize(("age", "fires"), [(1.0, True), (60.0, False)])
def test_06_a_late_event_fires_within_five_seconds_and_is_only_recorded_after_that(age, fires):
    """A late event fires up to five seconds after the newer frame; after that it is only recorded."""
    air = Air(keyed())
    air.say(sealed(1000, product=XMWXKG01LM, objects=BUTTON))
    assert air.say(sealed(999, product=XMWXKG01LM, objects=BUTTON), after=age) is Outcome.LATE
    assert air.readings[1].events[0].type == "press"
    assert air.readings[1].fires is fires


def test_06b_an_event_more_than_sixteen_counters_behind_does_not_fire():
    air = Air(keyed())
    air.say(sealed(1000, product=XMWXKG01LM, objects=BUTTON))
    air.say(sealed(984, product=XMWXKG01LM, objects=BUTTON))
    air.say(sealed(983, product=XMWXKG01LM, objects=BUTTON))
    assert [reading.fires for reading in air.readings] == [True, True, False]


def test_07_two_payloads_under_one_counter_are_two_readings():
    air = Air(keyed())
    air.say(sealed(1000))
    humidity = sealed(1000, objects=frames.obj(0x1006, struct.pack("<H", 467)))
    assert air.say(humidity) in {Outcome.DECODED, Outcome.LATE}
    assert air.readings[1].values == {"humidity": 46.7}
    assert air.status().values["humidity"][0] == 46.7


def test_08_the_eight_bit_counter_wraps():
    air = Air(keyed())
    air.say(sealed(0x1FF))
    assert air.say(sealed(0x200)) is Outcome.DECODED


def test_09_the_same_eight_bits_after_256_missed_frames_are_a_new_frame():
    air = Air(keyed())
    air.say(sealed(1000))
    assert air.say(sealed(1256)) is Outcome.DECODED


def test_10_a_recorded_frame_of_any_age_is_a_replay():
    """The history knows every authenticated frame, so its age does not matter."""
    air = Air(keyed())
    air.say(sealed(3000))
    for counter in range(4900, 5001):
        air.say(sealed(counter), after=60)
    assert air.say(sealed(3000), after=60) is Outcome.REPLAY
    assert air.listener.outcomes[Outcome.REPLAY] == 1


def test_11_an_old_frame_that_no_proxy_heard_is_late():
    """A frame with an old counter that is not in the history is recorded as late."""
    air = Air(keyed())
    air.say(sealed(5000))
    assert air.say(sealed(3000), after=1) is Outcome.LATE


@pytest.mark.parametrize("first", [1, 3000])
def test_12_after_a_restart_every_frame_is_kept_and_the_state_moves_from_the_second(first):
    """Of a device without events: the first frame after the restart is late, the second is new."""
    air = Air(keyed())
    air.say(sealed(5000, 300))
    outcomes = [air.say(sealed(first + step, 200 + step), after=after) for step, after in enumerate((130.0, 3.0, 3.0))]
    assert outcomes[0] is Outcome.LATE
    assert outcomes[2] is Outcome.DECODED
    assert temperatures(air) == [30.0, 20.0, 20.1, 20.2]
    assert not air.readings[2].stale
    assert air.status().values["temperature"][0] == 20.2
    assert air.status().counter == first + 2


def test_12b_the_backlog_of_a_stalled_proxy_is_not_a_restart():
    """A proxy that stalled for minutes delivers old frames in one burst, with rising counters."""
    air = Air(keyed())
    air.say(sealed(1000, 300), proxy="kitchen")
    for counter in range(990, 1000):
        air.say(sealed(counter, 200), proxy="hall", after=130.0 if counter == 990 else 0.01)
    assert len(air.readings) == 11
    assert air.status().values["temperature"][0] == 30.0
    assert air.status().counter == 1000


@pytest.mark.parametrize("silence", [10.0, 30.0, 3600.0])
def test_12c_a_buttons_low_counter_is_a_restart_by_its_first_frame(silence):
    """Its events fire from the first one on; the counter of before is newer again."""
    air = Air(keyed())
    air.say(sealed(5000, product=XMWXKG01LM, objects=BUTTON))
    for counter, after in ((1, silence), (2, 1.0), (3, 1.0), (5001, 1.0)):
        assert air.say(sealed(counter, product=XMWXKG01LM, objects=BUTTON), after=after) is Outcome.DECODED
    assert all(reading.fires for reading in air.readings)


@pytest.mark.parametrize(
    ("before", "counter", "after"),
    [
        pytest.param([5000], 1, 9.0, id="nobody-changes-a-battery-so-fast"),
        pytest.param([5000], 256, 60.0, id="not-low"),
        pytest.param([2, 3], 1, 60.0, id="a-proxy-may-have-delayed-it"),
    ],
)
def test_12c_a_buttons_lower_counter_is_late_where_order_proves_it_or_it_is_not_low(before, counter, after):
    """It goes to history and fires nothing."""
    air = Air(keyed())
    for known in before:
        air.say(sealed(known, product=XMWXKG01LM, objects=BUTTON), after=1)
    assert air.say(sealed(counter, product=XMWXKG01LM, objects=BUTTON), after=after) is Outcome.LATE
    assert not air.readings[-1].fires


@pytest.mark.parametrize(("first", "step", "late"), [(3000, 600.0, 3), (3000, 100.0, 18), (1, 100.0, 1)])
def test_12d_a_door_that_restarted_at_random_is_believed_after_half_an_hour(first, step, late):
    """Below 256 the second frame is believed, as with other devices. No frame is lost."""
    air = Air(keyed())
    air.say(sealed(5000, product=DOOR, objects=CLOSED))
    air.now += 120.0
    outcomes = [air.say(sealed(first + n, product=DOOR, objects=OPEN), after=step) for n in range(24)]
    assert outcomes == [Outcome.LATE] * late + [Outcome.DECODED] * (24 - late)
    assert air.status().values["opening"][0] is True


def test_13_a_restart_above_the_highest_counter_is_a_newer_frame():
    """A device that restarts with a higher counter needs no detection of the restart."""
    air = Air(keyed())
    air.say(sealed(5000))
    assert air.say(sealed(0x00FF0000), after=130) is Outcome.DECODED


def test_14_replays_during_a_restart_are_rejected_and_the_restart_is_detected():
    """Ten recorded frames between any two genuine ones do not delay the restart."""
    air = Air(keyed())
    old = [sealed(counter, 300) for counter in range(4900, 5001)]
    for frame in old:
        air.say(frame, after=1)
    before = len(air.readings)
    for step in range(1, 300):
        for frame in old[step % 91 : step % 91 + 10]:
            air.say(frame, after=0.1)
        if step > 130:
            air.say(sealed(step, 200))
    genuine = air.readings[before:]
    assert [reading.counter for reading in genuine] == list(range(131, 300))
    assert air.status().counter == 299


def test_15_and_16_after_a_restart_old_frames_are_replays_and_the_counter_may_climb_through_the_old_range():
    air = Air(keyed())
    for counter in (5000, 5001):
        air.say(sealed(counter, 300))
    for counter in (1, 2, 3):
        air.say(sealed(counter, 200), after=130)
    assert air.say(sealed(5000, 300), after=1) is Outcome.REPLAY
    assert air.say(sealed(4999, 300)) is Outcome.DECODED
    assert air.say(sealed(5000, 210)) is Outcome.DECODED


def test_17_a_restart_below_1024_loses_no_frame():
    """Where the counters of before and after the restart are near each other, all are readings."""
    air = Air(keyed())
    air.say(sealed(900))
    for counter in (1, 2, 3):
        air.say(sealed(counter, 100 + counter), after=130)
    assert temperatures(air)[1:] == [10.1, 10.2, 10.3]


def test_19_a_bad_tag_changes_nothing():
    air = Air(keyed())
    air.say(sealed(1000))
    before = air.status()
    forged = sealed(0x00FFFFFF, 999)[:-1] + b"\x00"
    assert air.say(forged, proxy="attic", rssi=-20) is Outcome.WRONG_BINDKEY
    assert air.status() == before
    assert air.say(sealed(1001), after=1) is Outcome.DECODED


def test_20_a_flood_of_forged_frames_is_rate_limited_and_reported_once():
    """Other proxies hear on meanwhile, and the flooded one does as soon as the flood is over."""
    air = Air(keyed())
    air.say(sealed(1000))
    seen = {air.say(sealed(5000 + n, key=NEW_KEY), proxy="attic", after=0.0001) for n in range(2000)}
    assert seen == {Outcome.WRONG_BINDKEY, Outcome.GUESSING}
    assert air.listener.outcomes[Outcome.WRONG_BINDKEY] <= 55
    assert [notice.kind for notice in air.notices].count("guessing") == 1
    assert air.say(sealed(1001), proxy="kitchen") is Outcome.DECODED
    assert air.say(sealed(1002), proxy="attic", after=10) is Outcome.DECODED


def test_21_and_22_plain_frames_of_a_keyed_device_are_downgraded_and_header_only_ones_ignored():
    air = Air(keyed())
    air.say(sealed(1000))
    before = air.status()
    assert air.say(plain(200, product=LYWSD03MMC)) is Outcome.DOWNGRADED
    assert air.say(plain(201, product=LYWSD03MMC, objects=b""), proxy="attic") is Outcome.EMPTY
    scale = frames.scale_v1(12000, datetime(2026, 1, 1))  # noqa: DTZ001
    assert air.say(scale, uuid=0x181D) is Outcome.DOWNGRADED
    assert air.status() == before


def test_21b_plain_frames_are_accepted_where_the_entry_allows_plaintext():
    air = Air(keyed(allow_plaintext=True))
    assert air.say(plain(200, product=LYWSD03MMC)) is Outcome.DECODED
    assert air.readings[0].trust == "claimed"


def test_23_a_legacy_frame_for_a_v5_key_is_downgraded():
    air = Air(keyed())
    press = frames.obj(0x1001, b"\x00\x01\x03")
    legacy = frames.frame(YLKG07YL, 7, press, mac=MAC, key=bytes.fromhex(LEGACY_KEY), version=3)
    assert air.say(legacy) is Outcome.DOWNGRADED


def test_24_a_legacy_key_opens_legacy_frames_only():
    air = Air(keyed(LEGACY_KEY))
    press = frames.obj(0x1001, b"\x00\x01\x03")
    legacy = frames.frame(YLKG07YL, 7, press, mac=MAC, key=bytes.fromhex(LEGACY_KEY), version=3)
    assert air.say(sealed(7)) is Outcome.DOWNGRADED
    assert air.say(legacy) is Outcome.DECODED
    assert air.readings[0].trust == "encrypted"


def test_25_the_old_key_works_beside_the_new_one_and_retires_a_day_after_it():
    air = Air(keyed(NEW_KEY, KEY))
    assert air.say(sealed(1000, key=KEY)) is Outcome.DECODED
    assert air.say(sealed(1, key=NEW_KEY)) is Outcome.DECODED
    assert air.say(sealed(1001, key=KEY), after=3600) is Outcome.DECODED
    assert air.say(sealed(1002, key=KEY), after=86_400) is Outcome.WRONG_BINDKEY


def test_26_a_wrong_key_is_reported_once_after_twenty_failures_over_ten_minutes():
    """A key that never verified: nineteen failures do not suffice."""
    air = Air(keyed())
    for n in range(19):
        air.say(sealed(n, key=NEW_KEY), after=30)
    assert air.status().key is KeyState.WAITING
    for n in range(19, 60):
        air.say(sealed(n, key=NEW_KEY), after=30)
    assert air.status().key is KeyState.WRONG
    assert [notice.kind for notice in air.notices] == ["key_wrong"]


@pytest.mark.parametrize(
    ("product", "objects", "hours"),
    [(LYWSD03MMC, frames.obj(0x1004, b"\xd7\x00"), 2), (DOOR, OPEN, 24)],
    ids=["speaks often", "sleepy"],
)
def test_26c_a_key_that_verified_is_doubted_after_a_longer_time(product, objects, hours):
    """Twice the normal silence, or a day: failures of less time may be forged."""
    air = Air(keyed())
    air.say(sealed(1, product=product, objects=objects))
    for n in range(hours * 60):
        air.say(sealed(n, key=NEW_KEY), after=60)
    assert air.status().key is KeyState.VERIFIED
    air.say(sealed(5000, key=NEW_KEY), after=60)
    assert air.status().key is KeyState.WRONG


def test_26b_one_good_frame_between_damaged_ones_keeps_the_key_good():
    air = Air(keyed())
    air.say(sealed(0))
    for n in range(1, 60):
        air.say(sealed(n, key=NEW_KEY), after=60)
        if n % 15 == 0:
            air.say(sealed(n))
    assert air.status().key is KeyState.VERIFIED


def test_27_after_a_restart_of_the_service_the_last_frame_is_known():
    air = Air(keyed())
    air.say(sealed(1000))
    again = air.restarted(keyed())
    assert again.say(sealed(1000)) is Outcome.REPEAT
    assert again.readings == []


def test_27b_a_frame_older_than_the_newest_64_is_known_by_the_index():
    air = Air(keyed())
    for counter in range(1000, 1100):
        air.say(sealed(counter))
    again = air.restarted(keyed())
    assert again.say(sealed(1000)) is Outcome.REPLAY
    assert again.say(sealed(1100)) is Outcome.DECODED


def test_28_a_device_that_restarted_while_the_service_was_down_loses_nothing():
    air = Air(keyed())
    air.say(sealed(5000))
    again = air.restarted(keyed())
    assert again.say(sealed(1), after=5) is Outcome.LATE
    assert again.say(sealed(2), after=5) is Outcome.LATE
    assert again.say(sealed(3), after=120) is Outcome.LATE
    assert again.say(sealed(4), after=5) is Outcome.DECODED
    assert [reading.counter for reading in again.readings] == [1, 2, 3, 4]


def test_29_without_a_history_the_first_good_frame_is_accepted():
    air = Air(keyed())
    air.say(sealed(1000))
    assert Air(keyed()).say(sealed(1000)) is Outcome.DECODED


def test_30_a_plain_frame_from_eight_rooms_within_four_minutes_is_one_reading():
    air = Air()
    outcomes = [air.say(plain(7), proxy=f"room{n}", after=30) for n in range(8)]
    assert outcomes == [Outcome.DECODED] + [Outcome.REPEAT] * 7


def test_31_a_late_copy_after_a_newer_frame_does_not_fire_again():
    air = Air()
    assert [air.say(plain(1)), air.say(plain(2, 216)), air.say(plain(1))] == [
        Outcome.DECODED,
        Outcome.DECODED,
        Outcome.REPEAT,
    ]


def test_32_another_object_under_the_same_counter_is_accepted():
    air = Air()
    air.say(plain(7))
    assert air.say(plain(7, objects=frames.obj(0x1006, struct.pack("<H", 467)))) is Outcome.DECODED
    assert air.say(plain(7)) is Outcome.REPEAT


def test_33_a_header_only_frame_does_not_hide_the_object_frame_with_the_same_counter():
    air = Air()
    assert air.say(plain(7, objects=b"")) is Outcome.EMPTY
    assert air.say(plain(7)) is Outcome.DECODED


@pytest.mark.parametrize("last", [10, 110, 200])
def test_34_a_plain_device_that_restarts_moves_the_state_at_once(last):
    """Its frames are new, wherever its counter was."""
    air = Air()
    for counter in range(last, last + 10):
        air.say(plain(counter, 300), after=2)
    air.now += 10.0
    for counter in range(20):
        assert air.say(plain(counter, 250 + counter), after=2) is Outcome.DECODED
        assert air.status().values["temperature"][0] == (250 + counter) / 10


def test_34b_a_forged_counter_far_ahead_makes_no_genuine_frame_late():
    """The frames that follow are new, and move the state."""
    air = Air()
    air.say(plain(10, 203))
    air.say(plain(130, 203), after=1)
    for counter in range(11, 60):
        assert air.say(plain(counter, 200 + counter), after=6) is Outcome.DECODED
        assert air.status().values["temperature"][0] == (200 + counter) / 10


@pytest.mark.parametrize("step", [0, 1])
def test_36_a_plain_devices_unchanged_value_is_a_row_every_fifteen_minutes(step):
    """Its counter stands still, or comes round in 256 s: the history has no gap in which the device was heard."""
    air = Air()
    seconds = range(7200)
    rows = [second for second in seconds if air.say(plain(second * step % 256), after=1.0) is Outcome.DECODED]
    assert max(later - row for row, later in pairwise([*rows, 7200])) <= 900
    assert len(rows) < 7200 / 2
    assert air.devices.by_address[MAC].heard == air.now


def test_35_a_counter_that_does_not_move_makes_a_returning_value_a_repeat_within_300_seconds():
    """Of a product that is known never to move it, see test_dedup: there the value may return."""
    air = Air()
    unmarked = [air.say(plain(7, tenths), after=10) for tenths in (200, 300, 200)]
    assert unmarked == [Outcome.DECODED, Outcome.DECODED, Outcome.REPEAT]


def test_37_five_hundred_copies_of_a_weighing_around_a_restart_are_one_reading():
    frame = frames.scale_v1(12350, datetime(2022, 2, 14, 16, 41, 58))  # noqa: DTZ001
    air = Air()
    for _ in range(250):
        air.say(frame, uuid=0x181D, after=0.5)
    again = air.restarted(pause=300)
    for _ in range(250):
        again.say(frame, uuid=0x181D, after=0.5)
    assert len(air.readings) == 1
    assert again.readings == []
    assert air.readings[0].values["mass"] == 61.75
    assert air.readings[0].values["weighing"] == "2022-02-14T16:41:58"


def test_38_only_the_settled_weight_is_a_mass_and_a_second_reading_may_add_the_impedance():
    when = datetime(2022, 2, 14, 16, 41, 58)  # noqa: DTZ001
    air = Air()
    for raw, impedance, controls in (
        (14000, 0, (0x02, 0x04)),
        (14490, 0, (0x02, 0x24)),
        (14490, 503, (0x02, 0x26)),
        (14490, 503, (0x02, 0xA6)),
    ):
        air.say(frames.scale_v2(raw, when, impedance, controls), uuid=0x181B, after=1)
    masses = [reading.values.get("mass") for reading in air.readings]
    assert masses == [None, 72.45, 72.45, None]
    assert air.readings[2].values["impedance"] == 503
    assert air.readings[1].values["weighing"] == air.readings[2].values["weighing"]


def test_39_a_scale_whose_clock_stands_still_weighs_anew_after_eleven_minutes_of_silence():
    frame = frames.scale_v1(12350, datetime(1970, 1, 1))  # noqa: DTZ001
    air = Air()
    assert air.say(frame, uuid=0x181D) is Outcome.DECODED
    assert air.say(frame, uuid=0x181D, after=500) is Outcome.REPEAT
    assert air.say(frame, uuid=0x181D, after=500) is Outcome.REPEAT
    assert air.say(frame, uuid=0x181D, after=661) is Outcome.DECODED


@pytest.mark.parametrize(
    "objects",
    [
        frames.obj(0x100D, struct.pack("<hH", 215, 467)),
        frames.obj(0x1004, struct.pack("<h", 215)) + frames.obj(0x1006, struct.pack("<H", 467)),
    ],
)
def test_40_temperature_and_humidity_of_one_advertisement_are_one_reading(objects):
    air = Air()
    air.say(plain(7, objects=objects))
    assert [reading.values for reading in air.readings] == [{"temperature": 21.5, "humidity": 46.7}]


def test_41_a_cut_object_list_gives_what_is_whole_if_plain_and_nothing_if_authenticated():
    cut = frames.obj(0x1004, struct.pack("<h", 215)) + frames.obj(0x1006, struct.pack("<H", 467))[:-1]
    air = Air()
    air.say(plain(7, objects=cut))
    assert [reading.values for reading in air.readings] == [{"temperature": 21.5}]
    air = Air(keyed())
    assert air.say(sealed(7, objects=cut)) is Outcome.MALFORMED
    assert air.readings == []
    assert air.say(sealed(7)) is Outcome.DECODED


def test_42_a_proxy_that_replays_thirty_seconds_later_adds_nothing():
    air = Air(keyed())
    air.say(sealed(1000), proxy="kitchen")
    assert air.say(sealed(1000), proxy="rogue", rssi=-10, after=30) is Outcome.REPEAT
    assert {heard.proxy for heard in air.status().heard} == {"kitchen"}


def test_43_two_devices_with_one_counter_are_independent():
    air = Air(keyed(), keyed(mac=OTHER))
    air.say(sealed(1000))
    assert air.say(sealed(1000, mac=OTHER), mac=OTHER) is Outcome.DECODED


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_44_a_step_of_the_wall_clock_changes_no_decision(step):
    def outcomes(step: float) -> list[Outcome]:
        air = Air(keyed())
        said = [air.say(sealed(1000)), air.say(sealed(1001), after=1)]
        air.wall += step
        return [*said, air.say(sealed(1001)), air.say(sealed(1002), after=1), air.say(sealed(1000), after=400)]

    assert outcomes(step) == outcomes(0.0)
