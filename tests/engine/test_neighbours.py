"""The listener with formats beside Xiaomi's: several under one address, keys, devices that change their format."""

import struct

from support.listening import MAC, Air

from proxy_listener.formats import atc
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import KeyState
from proxy_listener.simulator import frames

ATC, MIBEACON = atc.UUID, 0xFE95
LYWSD03MMC = 0x055B
KEY = "e9ea895fac7cca6d30532432a516f3a8"
SECRET = bytes.fromhex(KEY)


def entry(**more) -> DeviceSettings:
    return DeviceSettings(mac=MAC, name="Bedroom climate", bindkey=(Secret(KEY),), **more)


def mi(counter, tenths, key=None):
    return frames.frame(LYWSD03MMC, counter, frames.obj(0x1004, struct.pack("<h", tenths)), mac=MAC, key=key)


def pvvx(counter, celsius=23.42, humidity=45.67):
    return frames.pvvx(MAC, counter, celsius, humidity, 80, 3.0)


def notices(air, kind):
    return [notice.detail for notice in air.notices if notice.kind == kind]


def test_two_formats_in_turns_are_one_device():
    """The values merge, the finer ones stay, each format counts by itself, and no second sender is suspected."""
    air = Air()
    for round_ in range(40):
        assert air.say(pvvx(round_), uuid=ATC, after=2.5) is Outcome.DECODED
        assert air.say(mi(round_ + 100, 234), after=2.5) is Outcome.REPEAT
        assert air.status().values["temperature"][0] == 23.42
    assert notices(air, "conflict") == []
    assert notices(air, "format") == ["MiBeacon, before ATC and pvvx"]
    assert air.status().model == "LYWSD03MMC"
    assert {reading.model for reading in air.readings[1:]} == {"LYWSD03MMC"}


def test_the_product_stays_over_a_restart_and_the_format_too():
    """A generic model never takes its place, and what the history knows is no news."""
    air = Air()
    air.say(pvvx(1), uuid=ATC)
    air.say(frames.frame(LYWSD03MMC, 1, frames.obj(0x100A, b"P"), mac=MAC), after=1.0)
    air.memory.models[MAC] = LYWSD03MMC
    again = air.restarted()
    again.devices.configure([DeviceSettings(mac=MAC)], "emit")
    assert again.say(pvvx(2, 24.11), uuid=ATC, after=5.0) is Outcome.DECODED
    assert (again.status().model, notices(again, "format")) == ("LYWSD03MMC", [])


def test_a_frame_is_known_after_a_restart():
    """Its identity has the format's mark."""
    air = Air()
    air.say(pvvx(1), uuid=ATC)
    again = air.restarted()
    assert again.say(pvvx(1), uuid=ATC, after=5.0) is Outcome.REPEAT


def test_plain_frames_of_new_firmware_under_an_old_key_are_told_once():
    """They are refused as a downgrade, and the owner learns what to do; without the key they are taken."""
    air = Air(entry())
    air.say(mi(1, 234, SECRET))
    for counter in range(5):
        assert air.say(pvvx(counter), uuid=ATC, after=3.0) is Outcome.DOWNGRADED
    assert notices(air, "format") == ["ATC and pvvx, before MiBeacon"]
    air.devices.configure([DeviceSettings(mac=MAC)], "emit", (air.wall + air.now, air.now))
    assert air.say(pvvx(9), uuid=ATC, after=3.0) is Outcome.DECODED
    assert notices(air, "format") == ["ATC and pvvx, before MiBeacon"]


def test_an_encrypted_frame_of_pvvx_verifies_the_key_and_proves_no_time():
    """Its nonce returns, so the reading is `encrypted`; a repeat within minutes is one."""
    air = Air(entry())
    sealed = frames.pvvx_sealed(MAC, 7, 21.5, 48.2, 90, 0, SECRET)
    assert air.say(sealed, uuid=ATC) is Outcome.DECODED
    assert air.say(sealed, uuid=ATC, proxy="hall", after=0.1) is Outcome.REPEAT
    assert (air.readings[0].trust, air.status().key, air.status().counter) == ("encrypted", KeyState.VERIFIED, 7)
    assert air.say(pvvx(8), uuid=ATC, after=3.0) is Outcome.DOWNGRADED


def test_without_its_key_an_encrypted_frame_is_kept():
    """As Xiaomi's are."""
    air = Air()
    sealed = frames.pvvx_sealed(MAC, 7, 21.5, 48.2, 90, 0, SECRET)
    assert air.say(sealed, uuid=ATC) is Outcome.NO_BINDKEY
    assert (air.status().key, air.memory.sealed) == (KeyState.MISSING, [sealed])


def test_two_frames_in_one_advertisement_are_both_read_and_both_repeats():
    """Also after many copies: neither is told a second time."""
    air = Air()
    data = frames.advertisement(mi(1, 234)) + frames.advertisement(pvvx(1), ATC, flags=False)

    def say(after):
        air.now += after
        return air.listener.hear("kitchen", MAC, 0, -60, data, air.wall + air.now, air.now)

    assert say(0.0) is Outcome.DECODED
    assert len(air.readings) == 2
    for _ in range(80):
        assert say(10.0) is Outcome.REPEAT
    assert len(air.readings) == 2


BTHOME = 0xFCD2


def bthome(objects, **more):
    return frames.bthome_v2(bytes.fromhex(objects), mac=MAC, **more)


def test_a_packet_id_is_told_once_for_minutes():
    """The same press is in the beacon for four minutes: it fires once. The next id with other content is new."""
    air = Air()
    for _ in range(60):
        air.say(bthome("000901603a01"), uuid=BTHOME, after=4.0)
    assert [len(reading.events) for reading in air.readings] == [1]
    air.say(bthome("000a01603a00"), uuid=BTHOME, after=4.0)
    air.say(bthome("000b01603a01"), uuid=BTHOME, after=1.0)
    assert [len(reading.events) for reading in air.readings] == [1, 0, 1]


def test_a_packet_id_that_moves_without_news_fires_no_press_that_nobody_made():
    """One that stays in the beacon under ever new ids fires twice, not for each id (home-assistant/core#92758)."""
    air = Air()
    for counter in range(30):
        air.say(bthome(f"00{counter:02x}01603a01"), uuid=BTHOME, after=8.0)
    assert [reading.fires for reading in air.readings] == [True, True] + [False] * 28
    assert {(reading.late, len(reading.events)) for reading in air.readings[2:]} == {(True, 1)}


def test_two_payloads_under_one_packet_id_are_both_read():
    """As pvvx sends them (theengs/gateway#312)."""
    air = Air()
    for payload in ("0013015e02a709035b08", "00130c8e0b10001101"):
        assert air.say(bthome(payload), uuid=BTHOME, after=0.5) is Outcome.DECODED
        assert air.say(bthome(payload), uuid=BTHOME, after=0.5, proxy="hall") is Outcome.REPEAT


def test_without_a_packet_id_the_content_is_the_frame():
    """For five minutes after it was last heard."""
    air = Air()
    assert air.say(bthome("3a01"), uuid=BTHOME) is Outcome.DECODED
    assert air.say(bthome("3a01"), uuid=BTHOME, after=299.0) is Outcome.REPEAT
    assert air.say(bthome("3a01"), uuid=BTHOME, after=301.0) is Outcome.DECODED


def test_one_encryption_counter_with_two_payloads():
    """Both are read, and each once (pvvx#468, bthome-ble#99, #386)."""
    air = Air(entry())
    for objects in ("0160", "0c8e0b"):
        sealed = bthome(objects, counter=500, key=SECRET)
        assert air.say(sealed, uuid=BTHOME) is Outcome.DECODED or air.readings[-1].late
        assert air.say(sealed, uuid=BTHOME, proxy="hall", after=3.0) is Outcome.REPEAT
    assert [dict(reading.values) for reading in air.readings] == [{"battery": 96}, {"voltage": 2.958}]
    assert {reading.trust for reading in air.readings} == {"authenticated"}


def test_a_replay_is_refused_from_the_first_frame():
    """Also of counters below 100, which others let pass (bthome-ble#234)."""
    air = Air(entry())
    recorded = [bthome(f"01{50 + counter:02x}", counter=counter, key=SECRET) for counter in range(5)]
    for sealed in recorded:
        assert air.say(sealed, uuid=BTHOME, after=10.0) is Outcome.DECODED
    air.now += 3600.0
    assert [air.say(sealed, uuid=BTHOME, after=1.0) for sealed in recorded] == [Outcome.REPLAY] * 5
    again = air.restarted(entry())
    assert [again.say(sealed, uuid=BTHOME, after=1.0) for sealed in recorded] == [Outcome.REPLAY] * 5


def test_a_16_bit_counter_that_wraps_is_no_replay():
    """The values go on at once (home-assistant/core#118884)."""
    air = Air(entry())
    for counter in (65_533, 65_534, 65_535, 0, 1):
        sealed = bthome(f"01{counter % 90:02x}", counter=counter, key=SECRET)
        assert air.say(sealed, uuid=BTHOME, after=10.0) is Outcome.DECODED
    assert air.status().values["battery"][0] == 1


def test_a_trigger_based_device_is_available_however_long_it_is_silent():
    """It said so."""
    for triggered, available in ((True, True), (False, False)):
        air = Air()
        air.say(bthome("2d01", triggered=triggered), uuid=BTHOME)
        air.now += 100_000.0
        assert air.status().available is available


def test_the_mac_inside_is_the_device():
    """Whoever sends the frame."""
    air = Air(entry())
    sealed = frames.bthome_v2(bytes.fromhex("0160"), mac=MAC, counter=7, key=SECRET, include_mac=True)
    assert air.say(sealed, uuid=BTHOME, mac=0x111111111111) is Outcome.DECODED
    assert air.say(sealed, uuid=BTHOME, mac=0x222222222222, after=1.0) is Outcome.REPEAT
    assert [reading.mac for reading in air.readings] == [MAC]
    assert 0x111111111111 not in air.devices.by_address


def test_the_local_name_says_which_product_it_is():
    """Also in frames without it; and a generic model gives way at once."""
    air = Air()
    air.say(bthome("00010160"), uuid=BTHOME)
    assert air.status().model == "BTHome sensor"
    data = frames.advertisement(bthome("00020161"), BTHOME, name="SBBT-002C")
    air.listener.hear("kitchen", MAC, 0, -60, data, air.wall + air.now + 5, air.now + 5)
    air.say(bthome("00030162"), uuid=BTHOME, after=10.0)
    assert [reading.model for reading in air.readings] == ["BTHome sensor", "SBBT-002C", "SBBT-002C"]


def test_the_name_of_custom_firmware_gives_way_to_a_product():
    """ATC is any hardware; a product that the device's MiBeacon frames name stays, also in the readings."""
    air = Air()
    data = frames.advertisement(bthome("00020161"), BTHOME, name="ATC_0283F4")
    air.listener.hear("kitchen", MAC, 0, -60, data, air.wall + air.now, air.now)
    air.say(mi(1, 234), after=5.0)
    data = frames.advertisement(bthome("00030162"), BTHOME, name="ATC_0283F4")
    air.listener.hear("kitchen", MAC, 0, -60, data, air.wall + air.now + 5, air.now + 5)
    assert [reading.model for reading in air.readings] == ["ATC", "LYWSD03MMC", "LYWSD03MMC"]


def test_a_heartbeat_says_that_the_device_lives():
    """Plain and encrypted; it is no reading."""
    air = Air(entry(allow_plaintext=True))
    air.say(bthome("00010160", counter=1, key=SECRET), uuid=BTHOME)
    air.now += 1000.0
    assert not air.status().available
    assert air.say(bthome("00023a00", counter=2, key=SECRET), uuid=BTHOME) is Outcome.EMPTY
    assert air.status().available
    assert len(air.readings) == 1


def test_a_wrong_key_and_a_missing_one():
    """Counted and kept, as Xiaomi's frames are; plain values in the name of a device with a key are refused."""
    wrong = Air(DeviceSettings(mac=MAC, bindkey=(Secret("ab" * 16),)))
    missing = Air()
    sealed = bthome("0160", counter=7, key=SECRET)
    assert wrong.say(sealed, uuid=BTHOME) is Outcome.WRONG_BINDKEY
    assert missing.say(sealed, uuid=BTHOME) is Outcome.NO_BINDKEY
    assert missing.memory.sealed == [sealed]
    assert wrong.say(bthome("0160"), uuid=BTHOME) is Outcome.DOWNGRADED


def test_the_live_state_of_a_device_is_bounded():
    """Anyone can invent numbered values: beyond a limit no new quantity is taken, and the known ones go on."""
    air = Air()
    ids = ("0160", "02ca09", "03bf13", "0960", "0c020c", "0d120c", "0e021c", "12e204", "14020c", "133301", "434e34")
    for count, objects in ((count, objects) for count in range(1, 17) for objects in ids):
        air.say(bthome(objects * count), uuid=BTHOME, after=1.0)
    assert len(air.status().values) <= 128


def test_a_beacon_of_encrypted_presses_fires_no_more_than_a_plain_one():
    """Each is kept as what it was, and none of them can be played again."""
    air = Air(entry())
    recorded = [bthome("3a01", counter=100 + number, key=SECRET) for number in range(10)]
    for sealed in recorded:
        air.say(sealed, uuid=BTHOME, after=8.0)
    assert [reading.fires for reading in air.readings] == [True, True] + [False] * 8
    again = air.restarted(entry())
    assert [again.say(sealed, uuid=BTHOME, after=400.0) for sealed in recorded] == [Outcome.REPLAY] * 10


def test_a_door_s_16_bit_counter_wraps_as_well():
    """Its state goes on at once."""
    air = Air(entry())
    for counter, opened in ((65_534, 1), (65_535, 0), (0, 1)):
        sealed = bthome(f"2d{opened:02x}", counter=counter, key=SECRET)
        assert air.say(sealed, uuid=BTHOME, after=10.0) is Outcome.DECODED
    assert air.status().values["window"][0] is True
