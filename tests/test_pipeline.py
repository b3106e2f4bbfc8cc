"""The listener over the journal: what is known after a restart, and frames that were kept for a bindkey."""

import asyncio
import struct
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.disk import full_disk

from proxy_listener.config import Config
from proxy_listener.history import Journal
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.timing import NEVER
from proxy_listener.pipeline import Pipeline
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
        self.pipeline = Pipeline(Config(), journal, room=str.title, heard=0.0, time=T0 + now, at_once=True)

    def hear(self, data, now, mac=PLANT, proxy="hall"):
        return self.pipeline.hear(proxy, mac, 0, -60, data, T0 + now, now - self.began)


@asynccontextmanager
async def life(path, now):
    """From a start to a ``kill -9`` after the last commit: nothing is noted at the end."""
    journal = Journal(path)
    try:
        yield Life(journal, now)
        await journal.flush()
    finally:
        await journal.close()


@pytest.mark.parametrize(("mac", "data", "ttl"), [(PLANT, plant(7), 300), (SCALE, WEIGHT, 600)])
async def test_a_frame_that_its_device_goes_on_repeating_is_accepted_once_over_restarts(tmp_path, mac, data, ttl):
    """After each start it is known for its TTL, although its row is much older; and not for longer. Only the plant's
    unchanged value is a row after fifteen minutes; a weighing is not.
    """
    path = tmp_path / "h.db"
    async with life(path, 0) as first:
        assert first.hear(data, 0, mac) is Outcome.DECODED
        again = [now for now in range(10, 1001, 10) if first.hear(data, now, mac) is not Outcome.REPEAT]
        assert again == ([900] if mac == PLANT else [])
    async with life(path, 1010) as second:
        assert second.hear(data, 1000 + ttl, mac, "cellar") is Outcome.REPEAT
    async with life(path, 5000) as third:
        assert third.hear(data, 5000 + ttl, mac) is Outcome.REPEAT
    async with life(path, 9000) as fourth:
        assert fourth.hear(data, 9001 + ttl, mac) is Outcome.DECODED


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
        house.pipeline.devices.configure([KEYED], "emit")
        with full_disk(path, 5_000):
            with pytest.raises(ProxyListenerError, match="stay kept"):
                await house.pipeline.open_kept()
            assert house.journal.sealed_counts == {KEYED.mac: 300}
        assert await house.journal.flush()
        assert house.journal.sealed_counts == {KEYED.mac: 300}
        assert await house.pipeline.open_kept() == 300
        await house.journal.flush()
        assert house.journal.sealed_counts == {}
        told = [row.reading.counter async for row in house.journal.reader.export()]
        assert sorted(told) == list(range(300))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("step", [-3600, 3600])
async def test_the_wall_clock_may_be_set_while_the_service_runs(tmp_path, step):
    """Computers without a clock of their own start with a wrong time, and are told the right one later."""
    path = tmp_path / "h.db"
    async with life(path, step) as before:
        before.began = 0
        for now in range(0, 601, 10):
            before.pipeline.hear("hall", PLANT, 0, -60, plant(7), T0 + step + now, now)
    async with life(path, 610) as after:
        assert after.hear(plant(7), 620) is Outcome.REPEAT


async def test_a_device_that_was_dropped_is_remembered_when_it_comes_back(tmp_path):
    """Taken out of the configuration while unlisted ones are ignored, and an hour later heard again."""
    async with life(tmp_path / "h.db", 0) as house:
        devices = house.pipeline.devices
        devices.configure([DeviceSettings(mac=PLANT)], "emit")
        for counter in range(5):
            assert house.hear(plant(counter), 3600 + counter) is Outcome.DECODED
        await house.journal.flush()
        devices.configure([], "ignore")
        assert house.hear(plant(5), 3605) is Outcome.IGNORED
        devices.configure([], "emit")
        for counter in range(5):
            assert house.hear(plant(counter), 3606) is Outcome.REPEAT


async def test_kept_frames_whose_readings_the_full_buffer_lost_are_told_again(tmp_path):
    """Lost between two attempts, to readings of others, while the disk was full."""
    path = tmp_path / "h.db"
    journal = Journal(path, buffer=320)
    house, running = Life(journal, 0), asyncio.create_task(journal.run())
    for counter in range(300):
        house.hear(sealed(counter), counter, KEYED.mac)
    await journal.flush()
    house.pipeline.devices.configure([KEYED], "emit")
    with full_disk(path, 5_000):
        with pytest.raises(ProxyListenerError, match="stay kept"):
            await house.pipeline.open_kept()
        for now in range(256):
            house.hear(plant(now), 400 + now)
    await journal.flush()
    with pytest.raises(ProxyListenerError, match="readings were lost"):
        await house.pipeline.open_kept()
    await house.pipeline.open_kept()
    await journal.flush()
    assert journal.sealed_counts == {}
    told = [row.reading.counter async for row in journal.reader.export(KEYED.mac)]
    assert sorted(told) == list(range(300))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await journal.close()


async def test_kept_legacy_frames_are_told_once_however_often_the_disk_fails(tmp_path):
    """They have no identity by which the history would know them."""
    path, key = tmp_path / "h.db", "b853075158487ca39a5b5ea9"
    keyed = DeviceSettings(mac=0xF82441C5988B, bindkey=(Secret(key),))
    data = frames.advertisement(bytes.fromhex("5830b603368b98c54124f88bb8f2661351000000d6"))
    async with life(path, 0) as house:
        running = asyncio.create_task(house.journal.run())
        assert house.hear(data, 0, keyed.mac) is Outcome.NO_BINDKEY
        await house.journal.flush()
        house.pipeline.devices.configure([keyed], "emit")
        log = path.with_name("h.db-wal").stat().st_size
        with full_disk(path, log - max(log, path.stat().st_size)):
            for _ in range(3):
                with pytest.raises(ProxyListenerError, match="stay kept"):
                    await house.pipeline.open_kept()
        assert await house.journal.flush()
        assert await house.pipeline.open_kept() == 1
        await house.journal.flush()
        assert house.journal.sealed_counts == {}
        assert [row.reading.trust async for row in house.journal.reader.export()] == ["encrypted"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def read_of_a_plant(time, source="read", **values):
    fields = {"mac": PLANT, "name": "Basil", "model": "HHCCJCY01", "proxy": "hall", "room": "Hall", "rssi": None}
    return Reading(time=time, source=source, counter=None, trust="claimed", late=False, values=values, **fields)


async def test_what_a_read_brings_is_in_the_live_state_at_once(tmp_path):
    """Beside what the device advertises, in the journal, and unchanged after a restart. The newer value counts."""
    path = tmp_path / "h.db"
    async with life(path, 0) as house:
        devices = house.pipeline.devices
        devices.configure([DeviceSettings(mac=PLANT)], "emit")
        assert house.hear(plant(7), 10) is Outcome.DECODED
        house.pipeline.record_read(read_of_a_plant(T0 + 20, battery=84, temperature=23.5))
        status = devices.status(PLANT, 21)
        assert {name: value for name, (value, _) in status.values.items()} == {"battery": 84, "temperature": 23.5}
        assert status.readings == 2
        house.hear(plant(8, 220), 30)
        house.pipeline.record_read(read_of_a_plant(T0 + 25, temperature=19.0))
        house.pipeline.record_read(read_of_a_plant(T0 + 40, source="history", temperature=3.0))
        values = devices.status(PLANT, 41).values
        assert {name: value for name, (value, _) in values.items()} == {"battery": 84, "temperature": 22.0}
        assert values["battery"][1] == T0 + 20
        await house.journal.flush()
        assert [row.reading.source async for row in house.journal.reader.export()] == [
            "advertisement",
            "read",
            "read",
            "advertisement",
            "history",
        ]


async def test_a_plant_that_only_reads_bring_values_of_stays_without_values_of_its_own(tmp_path):
    """The advice to update its firmware depends on that, also after a restart."""
    path = tmp_path / "h.db"
    silent = frames.advertisement(
        frames.frame(HHCCJCY01, 7, b"", mac=PLANT, version=0, capability=0x0D, header_bits=0x0201)
    )
    for now in (0, 100):
        async with life(path, now) as house:
            devices = house.pipeline.devices
            devices.configure([DeviceSettings(mac=PLANT)], "emit")
            assert house.hear(silent, now + 1) is Outcome.EMPTY
            house.pipeline.record_read(read_of_a_plant(T0 + now + 2, battery=84))
            assert devices.valueless(PLANT)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(1, 90)), min_size=5, max_size=80),
    st.sets(st.integers(0, 80), max_size=4),
)
async def test_a_restart_accepts_no_frame_again_and_misses_one_only_within_its_ttl(tmp_path_factory, heard, kills):
    """Whatever a device repeats, in whatever order, with the service killed in between: a frame is accepted only where
    a service without restarts accepts it; one that this service misses comes within 300 s of its start.
    """
    path = tmp_path_factory.mktemp("pipeline") / "h.db"
    whole = Journal(None)
    steady = Life(whole, 0)
    journal = Journal(path)
    current, now, started = Life(journal, 0), 0, NEVER
    try:
        for n, (counter, payload, pause) in enumerate(heard):
            if n in kills:
                await journal.flush()
                await journal.close()
                journal = Journal(path)
                current, started = Life(journal, now), now
            now += pause
            data = plant(counter, 200 + payload)
            accepted = current.hear(data, now) is not Outcome.REPEAT
            new = steady.hear(data, now) is not Outcome.REPEAT
            assert new or not accepted
            assert accepted or not new or now - started <= 300
    finally:
        await journal.close()
        await whole.close()
