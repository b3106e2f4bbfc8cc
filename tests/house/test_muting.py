"""A sender in a device's name neither mutes the device nor speaks for it (docs/protocol/threats.md, R1, R6, R9, R10).

Each test has the figures with which the attack was tried, in virtual time.
"""

import random
import struct

import pytest
from support.listening import MAC, Air

from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import KeyState
from proxy_listener.simulator import frames

KEY = "e9ea895fac7cca6d30532432a516f3a8"
LYWSD03MMC, LYWSDCGQ, BUTTON, DOOR, LOCK, LEAK, PLAIN_SWITCH = 0x055B, 0x01AA, 0x2387, 0x098B, 0x0E39, 0x0863, 0x07BF
ROOMS = [f"room{n}" for n in range(8)]
PRESS = frames.obj(0x4E0C, b"")
CLASSIC_PRESS = frames.obj(0x1001, b"\x00\x00\x00")


def keyed() -> DeviceSettings:
    return DeviceSettings(mac=MAC, name="Device", bindkey=(Secret(KEY),))


def temperature(tenths: int) -> bytes:
    return frames.obj(0x1004, struct.pack("<h", tenths))


def sealed(counter: int, objects: bytes = PRESS, product: int = BUTTON) -> bytes:
    return frames.frame(product, counter & 255, objects, mac=MAC, key=bytes.fromhex(KEY), extended=counter >> 8)


def plain(counter: int, objects: bytes, product: int = LYWSDCGQ) -> bytes:
    return frames.frame(product, counter & 255, objects, mac=MAC, version=4)


def wrong(chance: random.Random, counter: int) -> bytes:
    return sealed(counter)[:-4] + chance.randbytes(4)


def notices(air: Air) -> list[str]:
    return [notice.kind for notice in air.notices if notice.kind not in {"room", "admitted", "key_verified"}]


def forged_counter(kind: str, chance: random.Random, counter: int) -> int:
    """A counter that a forger may choose while the device is at ``counter``."""
    return {"ahead": counter + 100, "near": counter + 12, "behind": counter - 60, "random": chance.randrange(256)}[kind]


@pytest.mark.parametrize("kind", ["ahead", "near", "behind", "random"])
def test_one_forged_plain_frame_every_200_seconds_mutes_no_plain_button(kind):
    """120 presses, one every 20 to 100 s: all that are further than an instant from a forged frame fire, and so do
    the others.
    """
    air, chance, forged = Air(), random.Random(kind), 0.0
    fired = 0
    for counter in range(120):
        air.now += chance.uniform(20, 100)
        if air.now > forged:
            air.say(plain(forged_counter(kind, chance, counter), frames.obj(0x1001, b"\x01\x00\x00"), PLAIN_SWITCH))
            forged = air.now + 200
            air.now += 1.0
        before = len(air.readings)
        air.say(plain(counter, CLASSIC_PRESS, PLAIN_SWITCH))
        fired += any(reading.events and reading.fires for reading in air.readings[before:])
    assert fired == 120
    if kind in {"ahead", "random"}:
        assert "conflict" in notices(air)


@pytest.mark.parametrize("kind", ["ahead", "near", "behind", "random"])
def test_one_forged_plain_frame_every_200_seconds_stops_no_thermometer(kind):
    """The air rises from 20.3 to 31.9 °C in two hours; the live value follows within the frames of half a minute."""
    air, chance = Air(), random.Random(kind)
    lag = []
    for n in range(720):
        tenths = 203 + round(116 * n / 719)
        air.say(plain(n, temperature(tenths)), after=10)
        if n % 20 == 19:
            air.say(plain(forged_counter(kind, chance, n), temperature(203)), after=1)
        elif n % 20 > 2:
            lag.append(tenths / 10 - air.status().values["temperature"][0])
    assert max(lag) == pytest.approx(0)
    if kind in {"ahead", "random"}:
        assert "conflict" in notices(air)


@pytest.mark.parametrize("gap", [30.0, 130.0, 7200.0])
def test_after_a_battery_change_the_first_press_fires(gap):
    """The counter begins at zero again, below the highest that was heard."""
    air = Air(keyed())
    for counter in range(5000, 5005):
        air.say(sealed(counter), after=10)
    air.now += gap
    for counter in range(5):
        assert air.say(sealed(counter), after=3) is Outcome.DECODED
    assert all(reading.fires for reading in air.readings)
    assert air.say(sealed(5005), after=1) is Outcome.DECODED


def test_a_press_that_a_stalled_proxy_delivers_is_no_restart():
    """Low counters, just after a battery change: a later press was heard minutes ago, so order proves it late."""
    air = Air(keyed())
    for counter in (0, 1, 2, 3, 5):
        air.say(sealed(counter), after=20)
    assert air.say(sealed(4), proxy="stalled", after=60) is Outcome.LATE
    assert not air.readings[-1].fires


GUARDS = [
    pytest.param(DOOR, frames.obj(0x1019, b"\x00"), id="door"),
    pytest.param(LOCK, frames.obj(0x0B, b"\x20\x00\x00\x01\x00\x00\x00\x00\x00"), id="lock"),
    pytest.param(LEAK, frames.obj(0x1014, b"\x01"), id="leak"),
]


@pytest.mark.parametrize(("product", "objects"), GUARDS)
@pytest.mark.parametrize("restarted", [False, True], ids=["service", "restarted-service"])
def test_recordings_that_no_proxy_heard_neither_fire_nor_move_a_guard(product, objects, restarted):
    """Ten frames of a day ago, below the highest counter, played over nine minutes to a silent lock, door or leak
    sensor.
    """
    air = Air(keyed())
    air.say(sealed(5000, frames.obj(0x1019, b"\x01") if product == DOOR else objects, product))
    if restarted:
        air = air.restarted(keyed())
    live = dict(air.status().values)
    before = len(air.readings)
    air.now += 130.0
    for n in range(10):
        assert air.say(sealed(4900 + n, objects, product), after=60) is Outcome.LATE
    played = air.readings[before:]
    assert len(played) == 10
    assert not any(reading.fires for reading in played)
    assert not restarted or all(reading.stale == set(reading.values) for reading in played)
    assert restarted or air.status().values == live


def pressed_under_attack(rate: float, presses: int, counters: str, sent: int = 1) -> int:
    """How many presses come while all rooms hear ``rate`` wrong tags a second, each frame ``sent`` times. A press is
    sent five times in 0.3 s; one in three copies is lost. The flood begins two seconds before each press.
    """
    air, chance = Air(keyed()), random.Random(f"{rate} {counters}")
    air.say(sealed(1000))
    for counter in range(1001, 1001 + presses):
        heard = [(2.0 + 0.06 * copy, room, sealed(counter)) for copy in range(5) for room in ROOMS]
        for n in range(int(rate * 3.0 / sent)):
            forged = wrong(chance, counter + n % 4 if counters == "expected" else chance.getrandbits(32))
            heard += [(n * sent / rate + 0.1 * copy, room, forged) for copy in range(sent) for room in ROOMS]
        start = air.now = air.now + 8.0
        kept = [(at + chance.uniform(0.0, 0.2), room, data) for at, room, data in heard if chance.random() < 0.67]
        for at, room, data in sorted(kept):
            air.now = start + at
            air.say(data, proxy=room)
    assert "guessing" in notices(air)
    return len(air.readings) - 1


@pytest.mark.parametrize("counters", ["any", "expected"])
@pytest.mark.parametrize(("rate", "presses"), [(80.0, 60), (400.0, 30)])
def test_wrong_tags_heard_by_all_rooms_mute_no_button(rate, presses, counters):
    """R6: with the counters that the button sends next, and with others."""
    assert pressed_under_attack(rate, presses, counters) == presses


def test_twenty_five_forged_tags_in_twelve_minutes_are_no_wrong_key():
    """A silent button whose key verified before: nothing is reported. Failures of two days are."""
    air, chance = Air(keyed()), random.Random(1)
    air.say(sealed(1000))
    for n in range(25):
        air.say(wrong(chance, 1001 + n), after=29)
    assert air.status().key is KeyState.VERIFIED
    assert "key_wrong" not in notices(air)
    for n in range(25):
        air.say(wrong(chance, 2000 + n), after=7200)
    assert air.status().key is KeyState.WRONG
    assert notices(air).count("key_wrong") == 1
