"""Frames forged or replayed in the name of a device have no effect (docs/protocol/threats.md, R1 to R14)."""

import random
import struct
from datetime import datetime

import attrs
import pytest
from support.listening import MAC, Air

from proxy_listener.model.outcome import Outcome
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.simulator import frames

KEY, NEW_KEY = "e9ea895fac7cca6d30532432a516f3a8", "00112233445566778899aabbccddeeff"
LYWSD03MMC, LYWSDCGQ, SLEEPY_DOOR = 0x055B, 0x01AA, 0x098B
LEGACY_KEY, YLKG07YL = "b853075158487ca39a5b5ea9", 0x03B6
HEADERS = [bound | auth for bound in (0, 0x0100, 0x0200, 0x0300) for auth in (0, 0x0400, 0x0800, 0x0C00)]


def keyed(*keys: str, **more) -> DeviceSettings:
    return DeviceSettings(mac=MAC, name="Bedroom", bindkey=tuple(map(Secret, keys or (KEY,))), **more)


def temperature(tenths: int) -> bytes:
    return frames.obj(0x1004, struct.pack("<h", tenths))


def sealed(counter: int, tenths: int = 215, *, key=KEY, **more) -> bytes:
    more.setdefault("mac", MAC)
    body = temperature(tenths)
    return frames.frame(LYWSD03MMC, counter & 255, body, key=bytes.fromhex(key), extended=counter >> 8, **more)


def plain(counter: int, tenths: int = 215, *, product=LYWSD03MMC, **more) -> bytes:
    return frames.frame(product, counter & 255, temperature(tenths), mac=MAC, version=4, **more)


def state(air: Air):
    """Everything that is known of the device, but for its age."""
    status = air.status()
    heard = [attrs.evolve(heard, age=0.0) for heard in status.heard]
    return attrs.evolve(status, heard_age=air.devices.by_address[MAC].heard, heard=heard)


def garbled(chance: random.Random, counter: int) -> bytes:
    """A frame in the name of the device that its key does not verify: plain, of an older version, or damaged."""
    kind, product = chance.randrange(4), chance.choice((LYWSD03MMC, LYWSDCGQ, YLKG07YL, chance.getrandbits(16)))
    if kind == 0:
        return plain(counter, chance.randrange(-400, 600), product=product, header_bits=chance.choice(HEADERS))
    if kind == 1:
        version, key = chance.choice((2, 3)), bytes.fromhex(LEGACY_KEY)
        return frames.frame(product, counter & 255, chance.randbytes(6), mac=MAC, key=key, version=version)
    if kind == 2:
        head = struct.pack("<HHB", chance.choice((0x2058, 0x3058, 0x4058, 0x5058)), product, counter & 255)
        return head + MAC.to_bytes(6, "little") + chance.randbytes(chance.randrange(10, 20))
    broken = bytearray(sealed(1000 + counter))
    at = chance.choice([2, 3, 4, *range(11, len(broken))])
    broken[at] ^= 1 << chance.randrange(8)
    return bytes(broken)


def forge(count: int, seed: int) -> None:
    """``count`` such frames through eight proxies at changing speed: no value, and no state moves."""
    air, chance = Air(keyed()), random.Random(seed)
    air.say(sealed(500, 210))
    before = state(air)
    pool = [(proxy := f"room{n % 8}", frames.advertisement(garbled(chance, n))) for n in range(min(count, 200_000))]
    hear, devices = air.listener.hear, air.devices.by_address
    for n in range(count):
        proxy, data = pool[n % len(pool)]
        air.now += 0.000_1 if n % 1000 else 2.0
        hear(proxy, MAC, 0, -30, data, air.wall + air.now, air.now)
    assert len(air.readings) == 1
    assert len(devices) == 1
    assert attrs.evolve(state(air), available=True, key=before.key) == before
    assert air.say(sealed(501), after=60.0) is Outcome.DECODED


def test_forged_frames_give_no_value_and_move_no_state():
    """R2, R3, R5: plain, older versions, broken tags."""
    forge(30_000, 1)


@pytest.mark.long
def test_ten_million_forged_frames_give_no_value():
    """The long form: minutes."""
    forge(10_000_000, 2)


def test_no_way_of_writing_a_recorded_frame_makes_it_new():
    """R1, R7: every header bit that is not authenticated, capability, MAC in or out, at odd times, through every proxy,
    in turns with live frames, and after restarts of the service."""
    air, chance = Air(keyed()), random.Random(3)
    recorded = [
        sealed(counter, header_bits=bits, capability=capability, include_mac=mac)
        for counter in range(100, 104)
        for bits in HEADERS
        for capability in (None, 0x00, 0x08, 0xDF)
        for mac in (True, False)
    ]
    for counter in range(100, 104):
        air.say(sealed(counter), after=5)
    for round_ in range(3):
        chance.shuffle(recorded)
        for n, payload in enumerate(recorded):
            if n % 50 == 0:
                assert air.say(sealed(1000 * (1 + round_) + n, 200), after=1) is Outcome.DECODED
            pause = chance.choice((0.0, 0.3, 1.9, 2.1, 130.0, 301.0))
            proxy = f"room{chance.randrange(20)}"
            assert air.say(payload, proxy=proxy, after=pause) in {Outcome.REPEAT, Outcome.REPLAY}
        air = air.restarted(keyed(), pause=chance.choice((0.0, 1.0, 400.0)))
        assert air.say(recorded[0]) in {Outcome.REPEAT, Outcome.REPLAY}
    assert len(air.memory.rows[MAC]) == 4 + 3 * len(range(0, len(recorded), 50))


def test_replays_in_turns_never_come_through():
    """A, B, A with the device silent, alive, restarted, and over restarts of the service."""
    air = Air(keyed())
    for counter in range(2000, 2100):
        air.say(sealed(counter), after=10)
    for round_ in range(50):
        for counter in (2000, 2050, 2099):
            assert air.say(sealed(counter), after=7) in {Outcome.REPEAT, Outcome.REPLAY}
        if round_ % 10 == 9:
            air = air.restarted(keyed())
    assert len(air.memory.rows[MAC]) == 100


def test_replays_do_not_set_a_silent_device_back():
    """What no room heard can be played once, late; it fires nothing and does not become the new order by itself."""
    air = Air(keyed())
    air.say(sealed(5000, 210))
    assert air.say(sealed(10, 500), after=1000) is Outcome.LATE
    assert air.say(sealed(10, 500), after=1000) is Outcome.REPLAY
    assert air.status().values["temperature"][0] == 21.0
    assert not air.readings[1].fires


def test_a_jump_ahead_with_a_bad_tag_locks_no_device_out():
    """R5: a counter at the end of its range, forged."""
    air = Air(keyed())
    air.say(sealed(1000))
    ahead = bytearray(sealed(0xFFFFFFFF))
    ahead[-1] ^= 1
    before = state(air)
    assert air.say(bytes(ahead), after=1) is Outcome.WRONG_BINDKEY
    assert state(air) == before
    assert air.say(sealed(1001), after=1) is Outcome.DECODED


def test_guesses_are_few_and_other_rooms_hear_on():
    """R6: a thousand guesses a second for a minute through one proxy."""
    air, chance = Air(keyed()), random.Random(4)
    tried = 0
    for n in range(60_000):
        guess = sealed(1000 + n // 60)[:-4] + chance.randbytes(4)
        tried += air.say(guess, proxy="rogue", after=0.001) is Outcome.WRONG_BINDKEY
        if n % 6000 == 0:
            assert air.say(sealed(10_000 + n), proxy="kitchen") is Outcome.DECODED
    assert tried <= 50 + 10 * 60 + 1
    assert air.say(sealed(90_000), proxy="rogue") is Outcome.GUESSING
    assert [notice.kind for notice in air.notices].count("guessing") == 1
    assert air.say(sealed(90_001), proxy="rogue", after=10) is Outcome.DECODED


def test_two_damaged_frames_are_no_wrong_key_and_a_flood_of_them_is_one_line():
    """R9."""
    air, bad = Air(keyed()), sealed(7)[:-1] + b"\0"
    for _ in range(2):
        air.say(bad, after=700)
    assert [notice.kind for notice in air.notices] == []
    for _ in range(5000):
        air.say(bad, after=1.0)
    assert [notice.kind for notice in air.notices] == ["key_wrong"]


def test_a_header_only_flood_moves_nothing_of_a_keyed_device():
    """R2, R5, R8: with every product id, and with the room's strongest signal."""
    air = Air(keyed())
    air.say(sealed(1000))
    before = state(air)
    for product in range(0, 0x10000, 37):
        assert air.say(frames.frame(product, 1, b"", mac=MAC), rssi=-20, proxy="rogue", after=0.01) is Outcome.EMPTY
    assert state(air) == before
    assert air.notices[1:] == []


def test_a_keyed_device_that_may_speak_plainly_stays_the_product_that_its_key_verified():
    """R8: another product's plain frames are a conflict; its own are taken, as `claimed`."""
    air = Air(keyed(allow_plaintext=True))
    air.say(sealed(1000))
    before = state(air)
    for product in (SLEEPY_DOOR, 0x5A5A, 0x0098):
        assert air.say(plain(1, product=product), after=1) is Outcome.CONFLICT
    scale = frames.scale_v1(14_000, datetime(2026, 1, 1))  # noqa: DTZ001  a scale knows no zone
    assert air.say(scale, uuid=0x181D) is Outcome.CONFLICT
    assert state(air) == before
    assert air.say(plain(2), after=1) is Outcome.DECODED


def test_a_plain_device_is_not_renamed_by_one_frame():
    """R8: what it is stays for an hour; then it may have become another."""
    air = Air()
    air.say(plain(1, product=LYWSDCGQ))
    assert air.say(plain(2, product=0x5A5A), after=1) is Outcome.DECODED
    assert (air.status().model, air.status().name) == ("LYWSDCGQ", "LYWSDCGQ 83F4")
    assert air.say(plain(3, product=0x5A5A), after=3601) is Outcome.DECODED
    assert air.status().model == "0x5A5A"


def test_two_senders_under_one_address_are_told_once():
    """R10: a plain sensor and somebody who speaks in its name."""
    air = Air()
    for n in range(100):
        air.say(plain(n, 210, product=LYWSDCGQ), after=1)
        air.say(plain(150 + n, 400, product=LYWSDCGQ), after=1)
    assert [notice.kind for notice in air.notices if notice.kind != "room"] == ["admitted", "conflict"]


def test_a_value_that_leapt_is_kept_and_moves_no_state_until_a_second_agrees():
    """R13: one damaged frame in history is a dot on a curve; in the state it is an alarm."""
    air = Air()
    for counter, tenths in enumerate((210, 211, 853, 212)):
        assert air.say(plain(counter, tenths, product=LYWSDCGQ), after=2) is Outcome.DECODED
    assert [reading.stale for reading in air.readings] == [set(), set(), {"temperature"}, set()]
    assert air.status().values["temperature"][0] == 21.2
    air.say(plain(9, 853, product=LYWSDCGQ), after=2)
    assert air.status().values["temperature"][0] == 21.2
    air.say(plain(10, 850, product=LYWSDCGQ), after=2)
    assert air.status().values["temperature"][0] == 85.0


def test_authenticated_values_may_leap():
    air = Air(keyed())
    air.say(sealed(1, 210))
    air.say(sealed(2, 853), after=1)
    assert air.status().values["temperature"][0] == 85.3


def test_bytes_believed_before_a_key_was_entered_stand_for_nothing_after():
    air = Air()
    air.say(plain(1))
    air.devices.configure([keyed()], "emit")
    before = state(air)
    assert air.say(plain(1), proxy="rogue", after=1) is Outcome.DOWNGRADED
    assert state(air) == before


def test_replays_under_the_old_of_two_keys_stay_replays():
    """R14: while keys change, and after; a day later the old one is worth nothing at all."""
    air = Air(keyed(KEY))
    air.say(sealed(1000))
    air.devices.configure([keyed(NEW_KEY, KEY)], "emit")
    assert air.say(sealed(1000), after=400) is Outcome.REPLAY
    assert air.say(sealed(5, key=NEW_KEY), after=1) is Outcome.DECODED
    assert air.say(sealed(1000), after=400) is Outcome.REPLAY
    again = air.restarted(keyed(NEW_KEY, KEY))
    assert again.say(sealed(1000), after=400) is Outcome.REPLAY
    assert again.say(sealed(1001), after=2 * 86_400) is Outcome.WRONG_BINDKEY


def test_renamed_proxies_do_not_gather_in_a_device():
    """A node that lets itself be found under a new name, again and again."""
    air = Air(keyed())
    for n in range(1000):
        air.say(sealed(1000 + n), proxy=f"rogue-{n}", after=0.01)
    assert len(air.status().heard) == 128
    assert "rogue-999" in {heard.proxy for heard in air.status().heard}


def test_a_clock_that_starts_in_1970_stops_nothing():
    """A machine without a battery clock: rows of 1970 in the history, then the true time, then a restart."""
    air = Air(wall=0.0)
    air.say(plain(1, product=LYWSDCGQ))
    air.say(frames.scale_v1(14_000, datetime(2026, 1, 1)), uuid=0x181D)  # noqa: DTZ001  a scale knows no zone
    again = air.restarted(pause=1_800_000_000.0)
    assert again.say(plain(2, product=LYWSDCGQ), after=1) is Outcome.DECODED
    assert again.say(plain(3, product=LYWSDCGQ), after=1_800_000_000.0) is Outcome.DECODED
