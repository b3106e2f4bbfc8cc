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
