"""The listener with Qingping's devices: two formats in one advertisement, keys, packet numbers, signs of life."""

import struct

from support.listening import Air

from proxy_listener.formats.qingping import UUID
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.simulator import frames

MAC = 0x582D34605E00
CGG1, CGG1_M, CGPR1 = 0x0347, 0x0B48, 0x0A83
KEY = "e9ea895fac7cca6d30532432a516f3a8"
SECRET = bytes.fromhex(KEY)


def mi(product, counter, objects, key=None):
    return frames.frame(product, counter, objects, mac=MAC, key=key)


def motion(counter):
    return mi(CGPR1, counter, frames.obj(0x000F, (100).to_bytes(3, "little")), SECRET)


def notices(air, kind):
    return [notice.detail for notice in air.notices if notice.kind == kind]


def entry(**more):
    return DeviceSettings(mac=MAC, name="Hall motion", bindkey=(Secret(KEY),), **more)


def test_both_formats_in_one_advertisement_are_one_device():
    """One model, no conflict, no value that goes to and fro; its owner is told once that it sends in both."""
    air = Air()
    outcomes = []
    for round_ in range(30):
        tenths = 210 + round_
        data = frames.advertisement(mi(CGG1, round_, frames.obj(0x1004, struct.pack("<h", tenths))))
        data += frames.advertisement(
            frames.qingping(MAC, 0x16, {"temperature": tenths / 10, "humidity": 40.0}), UUID, flags=False
        )
        air.now += 10.0
        outcomes.append(air.listener.hear("kitchen", MAC, 0, -60, data, air.wall + air.now, air.now))
        assert air.status(MAC).values["temperature"][0] == tenths / 10
    assert set(outcomes) == {Outcome.DECODED}
    assert {reading.model for reading in air.readings} == {"CGG1"}
    assert (notices(air, "conflict"), notices(air, "format")) == ([], ["Qingping, before MiBeacon"])


def test_the_plain_frames_of_a_device_with_a_key_are_refused_and_told_once():
    """CGPR1 sends both (home-assistant/core#97177)."""
    air = Air(entry())
    assert air.say(motion(1), mac=MAC) is Outcome.DECODED
    for packet in range(5):
        plain = frames.qingping(MAC, 0x12, {"battery": 90, "illuminance": 5}, packet=packet)
        assert air.say(plain, mac=MAC, uuid=UUID, after=10.0) is Outcome.DOWNGRADED
    assert notices(air, "format") == ["Qingping, before MiBeacon"]
    assert "battery" not in air.status(MAC).values


def test_they_are_taken_where_the_owner_allows_it():
    """As the same device: the frame is CGPR1's in both formats. Its battery is no counter, and counts at once."""
    air = Air(entry(allow_plaintext=True))
    air.say(motion(1), mac=MAC)
    plain = frames.qingping(MAC, 0x12, {"battery": 90, "illuminance": 5}, packet=7)
    assert air.say(plain, mac=MAC, uuid=UUID, after=10.0) is Outcome.DECODED
    assert (air.readings[-1].trust, air.readings[-1].counter) == ("claimed", 7)
    assert air.readings[-1].values == {"battery": 90, "illuminance": 5}
    other = frames.qingping(MAC, 0x16, {"temperature": 20.0, "humidity": 40.0})
    assert air.say(other, mac=MAC, uuid=UUID, after=10.0) is Outcome.CONFLICT


def test_a_product_with_two_names_contradicts_itself_in_no_format():
    """CGG1-M is 0x0B48 in MiBeacon, and device 0x16 here. The name that the key verified stays."""
    air = Air(entry(allow_plaintext=True))
    air.say(mi(CGG1_M, 1, frames.obj(0x1004, struct.pack("<h", 210)), SECRET), mac=MAC)
    plain = frames.qingping(MAC, 0x16, {"temperature": 21.5, "humidity": 40.0})
    assert air.say(plain, mac=MAC, uuid=UUID, after=10.0) is Outcome.DECODED
    assert air.status(MAC).model == "CGG1-ENCRYPTED"


def test_the_packet_number_is_the_counter():
    """A copy is a repeat in every room; the next packet is none, though it says the same; one without objects lives."""
    air = Air()

    def event(packet):
        return frames.qingping(MAC, 0x12, {"motion": True, "illuminance": 1}, packet=packet, control=0x48)

    assert air.say(event(255), mac=MAC, uuid=UUID) is Outcome.DECODED
    assert air.say(event(255), mac=MAC, uuid=UUID, proxy="hall", after=0.3) is Outcome.REPEAT
    assert air.say(event(0), mac=MAC, uuid=UUID, after=20.0) is Outcome.DECODED
    assert [reading.values for reading in air.readings] == [{"motion": True}] * 2
    assert air.say(frames.qingping(MAC, 0x12), mac=MAC, uuid=UUID, after=60.0) is Outcome.EMPTY
    assert air.status(MAC).heard[0].age == 0.0


def test_another_sender_s_frame_moves_nothing():
    """The MAC inside is compared; of CGDN1 with the two below."""
    air = Air()
    assert air.say(frames.qingping(MAC, 0x16, {"battery": 5}), mac=MAC + 2, uuid=UUID) is Outcome.WRONG_MAC
    assert air.devices.statuses(air.now) == []
    air_monitor = frames.qingping(MAC, 0x0E, {"carbon_dioxide": 700})
    assert air.say(air_monitor, mac=MAC + 2, uuid=UUID) is Outcome.DECODED
    assert air.readings[0].mac == MAC + 2


def test_it_is_known_after_a_restart():
    """Its model by its name, its last frame by its identity."""
    air = Air()
    frame = frames.qingping(MAC, 0x33, {"carbon_dioxide": 700}, packet=3)
    air.say(frame, mac=MAC, uuid=UUID)
    assert air.restarted().say(frame, mac=MAC, uuid=UUID, after=5.0) is Outcome.REPEAT
