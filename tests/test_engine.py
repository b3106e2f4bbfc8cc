"""The engine over restarts of the service: what the history and one small note of it remember of frames that prove
nothing.
"""

import asyncio
import json
import struct
from contextlib import asynccontextmanager

import pytest
from disk import full_disk
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from proxy_listener.config import Config
from proxy_listener.engine import LASTING_NOTE, Engine
from proxy_listener.errors import ProxyListenerError
from proxy_listener.history import Journal
from proxy_listener.outcome import Outcome
from proxy_listener.secret import Secret
from proxy_listener.settings import DeviceSettings
from proxy_listener.simulator import frames

PLANT, SCALE = 0xC47C8D6A0001, 0xC45D83000001
T0 = 1_700_000_000.0
HHCCJCY01 = 0x0098


def plant(counter, tenths=215):
    data = frames.obj(0x1004, struct.pack("<h", tenths))
    return frames.advertisement(frames.frame(HHCCJCY01, counter, data, mac=PLANT, version=2))


WEIGHT = frames.advertisement(bytes.fromhex("22d4380307070301122a"[:20]), 0x181D)


KEY = "e9ea895fac7cca6d30532432a516f3a8"
KEYED = DeviceSettings(mac=0xA4C1380283F4, bindkey=(Secret(KEY),))


def sealed(counter):
    data = frames.obj(0x1004, struct.pack("<h", 215))
    whole = {"mac": KEYED.mac, "key": bytes.fromhex(KEY), "extended": counter // 256}
    return frames.advertisement(frames.frame(0x055B, counter % 256, data, **whole))


class Life:
    """A journal and its engine; ``now`` is seconds since the first start, and the monotonic clock begins at 0 anew."""

    def __init__(self, journal, now):
        self.journal = journal
        self.began = now
        self.engine = Engine(Config(), journal, room=str.title, heard=0.0, time=T0 + now)

    def hear(self, data, now, mac=PLANT, proxy="hall"):
        return self.engine.hear(proxy, mac, 0, -60, data, T0 + now, now - self.began)

    def note(self, now):
        self.engine.note_lasting(now - self.began)


@asynccontextmanager
async def life(path, now):
    """From a start to a ``kill -9`` after the last commit: nothing is noted at the end."""
    journal = Journal(path)
    try:
        yield Life(journal, now)
        await journal.flush()
    finally:
        await journal.close()


@pytest.mark.parametrize(("mac", "data", "lapses"), [(PLANT, plant(7), 300), (SCALE, WEIGHT, 600)])
async def test_a_frame_that_its_device_goes_on_with_is_told_once_over_restarts(tmp_path, mac, data, lapses):
    """It is known for as long after its last copy as if there had been no restart, and not for longer; also where the
    service was killed twice within a minute.
    """
    path = tmp_path / "h.db"
    async with life(path, 0) as first:
        assert first.hear(data, 0, mac) is Outcome.DECODED
        for now in range(10, 1001, 10):
            assert first.hear(data, now, mac) is Outcome.REPEAT
        first.note(1000)
    async with life(path, 1010) as second:
        assert second.hear(data, 1000 + lapses - 20, mac, "cellar") is Outcome.REPEAT
        second.note(1000 + lapses - 10)
    async with life(path, 1000 + lapses) as third:
        assert third.hear(data, 1000 + 2 * lapses - 30, mac) is Outcome.REPEAT
        third.note(1000 + 2 * lapses)
    async with life(path, 1000 + 4 * lapses) as fourth:
        assert fourth.hear(data, 1001 + 4 * lapses, mac) is Outcome.DECODED


async def test_the_backlog_of_a_stalled_proxy_is_known_after_a_restart(tmp_path):
    """A sensor that steps every two seconds, and a proxy that delivers four minutes of it when the service is back."""
    path = tmp_path / "h.db"
    async with life(path, 0) as before:
        for now in range(0, 400, 2):
            assert before.hear(plant(now // 2), now) is Outcome.DECODED
    async with life(path, 405) as after:
        for late in range(166, 400, 2):
            assert after.hear(plant(late // 2), 406, proxy="cellar") is Outcome.REPEAT


async def test_kept_frames_stay_kept_until_their_readings_are_committed(tmp_path):
    """The key comes while the disk is full: nothing is forgotten, and the next attempt tells each once."""
    path = tmp_path / "h.db"
    async with life(path, 0) as house:
        running = asyncio.create_task(house.journal.run())
        for counter in range(300):
            assert house.hear(sealed(counter), counter, KEYED.mac) is Outcome.NO_BINDKEY
        await house.journal.flush()
        house.engine.devices.configure([KEYED], "emit")
        with full_disk(path, 20_000):
            with pytest.raises(ProxyListenerError, match="stay kept"):
                await house.engine.unseal()
            assert house.journal.sealed_counts == {KEYED.mac: 300}
        assert await house.journal.flush()
        assert house.journal.sealed_counts == {KEYED.mac: 300}
        assert await house.engine.unseal() == 0
        await house.journal.flush()
        assert house.journal.sealed_counts == {}
        told = [row.reading.counter async for row in house.journal.export()]
        assert sorted(told) == list(range(300))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_devices_that_step_leave_no_note(tmp_path):
    """The note is written every minute: were all frames in it, a hundred sensors would wear a card out with it."""
    async with life(tmp_path / "h.db", 0) as house:
        for now in range(0, 3000, 10):
            house.hear(plant(now // 10 % 256), now)
            house.hear(plant(now // 10 % 256), now + 1, proxy="cellar")
        house.note(3000)
        assert house.journal.noted(LASTING_NOTE) == "{}"


async def test_of_a_flood_in_one_name_the_note_holds_little(tmp_path):
    async with life(tmp_path / "h.db", 0) as house:
        for again in range(3):
            for counter in range(256):
                house.hear(plant(counter), again * 100 + counter / 10)
        house.note(300)
        (kept,) = json.loads(house.journal.noted(LASTING_NOTE)).values()
        assert len(kept) == 32


@pytest.mark.parametrize("note", ["", "[]", '{"x": 1}', '{"C4:7C:8D:6A:00:01": {"zz": 1}}', '{"C4:7C:8D:6A:00:01": 7}'])
async def test_a_damaged_note_is_told_and_harms_nothing_else(tmp_path, note):
    path = tmp_path / "h.db"
    async with life(path, 0) as before:
        before.hear(plant(7), 0)
        before.journal.note(LASTING_NOTE, note)
    with capture_logs() as logged:
        async with life(path, 10) as after:
            assert after.hear(plant(7), 11) is Outcome.REPEAT
            assert after.hear(plant(8), 11) is Outcome.DECODED
    assert [entry["event"] for entry in logged if "note" in entry] == [
        "a note in the history is damaged; frames of the last minutes may be told twice"
    ]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(1, 90)), min_size=5, max_size=60),
    st.sets(st.integers(0, 60), max_size=3),
)
async def test_restarts_change_nothing_of_what_is_told(tmp_path_factory, heard, restarts):
    """Whatever a device repeats, in whatever turns: with the service killed in between (the note is up to a minute old)
    the same frames become readings as without. One that was last heard 240 to 300 s ago may be told again: that is the
    minute by which a row's time may be short.
    """
    path = tmp_path_factory.mktemp("engine") / "h.db"
    whole = Journal(None)
    steady = Life(whole, 0)
    now, last, current = 0, {}, None
    journal = Journal(path)
    try:
        current = Life(journal, 0)
        for n, (counter, payload, pause) in enumerate(heard):
            if n in restarts:
                current.note(now)
                await journal.flush()
                await journal.close()
                journal = Journal(path)
                current = Life(journal, now)
            now += pause
            data = plant(counter, 200 + payload)
            told = steady.hear(data, now) is not Outcome.REPEAT, current.hear(data, now) is not Outcome.REPEAT
            silent = now - last.get((counter, payload), -1000)
            if not 240 <= silent <= 301:
                assert told[0] == told[1]
            last[counter, payload] = now
    finally:
        await journal.close()
        await whole.close()
