"""LYWSD02's log through a real client and a node: each record once, whatever gets lost."""

import json
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import attrs
import pytest
from aioesphomeapi import APIClient
from support.faulty_node import FaultyNode, faster

from proxy_listener.gatt import lywsd02
from proxy_listener.gatt.interface import (
    ClockSet,
    LocalTime,
    LogProgress,
    ReadTarget,
    RefusedError,
    covered_from,
    covered_text,
)
from proxy_listener.gatt.lywsd02 import PRODUCTS
from proxy_listener.gatt.lywsd02_log import (
    CoveredRecords,
    RecordDownload,
    RecordLog,
    fitting_divisor,
    parse_count,
    parse_record,
)
from proxy_listener.model.errors import GattError
from proxy_listener.node import firmware as generations
from proxy_listener.node.settings import NodeSettings
from proxy_listener.proxies.connection import connection
from proxy_listener.proxies.handle_cache import HandleCache
from proxy_listener.proxies.timing import GattTiming
from proxy_listener.simulator import lywsd02_table as table
from proxy_listener.simulator.lywsd02 import ClockSensor

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "lywsd02.json").read_text())
MAC = 0xE72E01ABCDEF
NOW = 1_700_000_000.0
FAST = GattTiming(connect=2.0, services=2.0, operation=2.0, disconnect=0.3, release=0.6, settle=0.03, slots=0.3)
NODE = faster(20, open=1.0, operation=5.0)


@attrs.define
class Connector:
    """What a connection needs of a proxy."""

    name: str
    client: APIClient
    features: int
    connecting: bool = False
    round_trip: float = 0.0
    links: set = attrs.field(factory=set)
    tap: object = None

    def measured(self, seconds):
        self.round_trip = seconds


class Kept(dict):
    """Notes."""

    def save(self, name, value):
        if value is None:
            self.pop(name, None)
        else:
            self[name] = value


@attrs.define
class Room:
    """A clock, a proxy, and what a download stored of its log."""

    clock: ClockSensor
    proxy: Connector
    tables: HandleCache
    stored: dict = attrs.field(factory=dict)
    progress: LogProgress | None = None

    def connect(self):
        return connection(self.proxy, MAC, 0, self.tables, FAST)

    def download(self, product=0x045B, since=NOW - 10_000_000, before=None):
        quick = attrs.evolve(PRODUCTS[product], silence=0.5)
        text = None if before is None else covered_text(before)
        self.progress = LogProgress(since, self.store, list(self.stored), text)
        return RecordDownload(quick, ReadTarget(MAC, product, lambda: LocalTime(NOW, 0)), self.progress)

    def store(self, at, values):
        self.stored[at] = values


@asynccontextmanager
async def room(product=0x045B, firmware=generations.ESPHOME_2026_10, hours=24, **more):
    clock = ClockSensor(MAC, product, lambda: NOW, step=0.001, interval=0.01, pace=0.001, **more)
    clock.fill_log(hours, Random(3))

    class Air:
        async def open(self, _address, _address_type, lost, notified):
            return await clock.open(lost, notified)

    node = FaultyNode(NodeSettings("hall-proxy", 0xA0B1C2D3E4F5), firmware, Air(), NODE)
    await node.start()
    client = APIClient("127.0.0.1", node.port, "")
    try:
        await client.connect(login=True)
        info = await client.device_info()
        client.subscribe_bluetooth_le_raw_advertisements(lambda _batch: None)
        await client.device_info()
        notes = Kept()
        features = info.bluetooth_proxy_feature_flags_compat(client.api_version)
        yield Room(clock, Connector("hall-proxy", client, features), HandleCache(notes.get, notes.save))
    finally:
        await client.disconnect(force=True)
        await node.power_off()


async def fetch(house, download):
    told = []
    async with house.connect() as link:
        await download.advance(link, lambda *step: told.append(step))
    return told


def covered(download):
    return covered_from(CoveredRecords, download.covered())


def expected(clock, divisor=100):
    """What the journal should have: time -> values."""
    return {
        float(one.seconds): {
            "temperature_min": one.lowest / divisor,
            "temperature_max": one.highest / divisor,
            "humidity_min": one.least,
            "humidity_max": one.most,
        }
        for one in clock.log
    }


@pytest.mark.parametrize("vector", VECTORS["record"], ids=lambda vector: vector["hex"])
def test_published_records(vector):
    """Index, time, and highest before lowest."""
    record = parse_record(bytes.fromhex(vector["hex"]))
    assert (record.index, record.seconds) == (vector["index"], vector["seconds"])
    names = ("temperature_max", "humidity_max", "temperature_min", "humidity_min")
    assert record.values(vector["divisor"]) == {name: vector[name] for name in names}


@pytest.mark.parametrize("vector", VECTORS["count"], ids=lambda vector: vector["hex"])
def test_published_counts(vector):
    """The newest index and the number of records, from which the oldest index follows."""
    log = parse_count(bytes.fromhex(vector["hex"]), 0.0)
    assert (log.newest, log.kept, log.oldest) == (vector["newest"], vector["kept"], vector["oldest"])


def test_a_record_that_is_none():
    """The wrong length is no record; a minimum above the maximum has no values."""
    assert parse_record(bytes(13)) is None
    assert parse_record(bytes(16)) is None
    upside_down = parse_record(bytes.fromhex("000000000086675d9c09505e0a50"))
    assert upside_down.values(100) == {}


@pytest.mark.parametrize(
    ("temperature", "divisor"),
    [(25.0, 100), (255.7, 10), (2.4, None), (0.0, None), (-3.0, None), (60.0, None)],
)
def test_the_scale_that_fits(temperature, divisor):
    """A record of 25.57 or 255.7 degrees: only a temperature near one of them, and far from the other, decides."""
    record = parse_record(bytes.fromhex("000000000086675d5e0a509c0950"))
    assert fitting_divisor(record, temperature) == divisor


@pytest.mark.parametrize("temperature", [0.4, 1.0, 4.0])
def test_near_freezing_no_scale_is_clear(temperature):
    """4.0 and 0.4 degrees are both near: nothing is decided."""
    record = attrs.evolve(parse_record(bytes(14)), highest=40, lowest=40)
    assert fitting_divisor(record, temperature) is None


@pytest.mark.parametrize("firmware", [generations.FIRST_RAW, generations.ESPHOME_2026_6, generations.ESPHOME_2026_10])
async def test_a_read_through_each_generation(firmware):
    """Live values arrive as notifications, with fresh and with kept handles, and the device sends no more after."""
    async with room(firmware=firmware) as house:
        for cached in (False, True):
            async with house.connect() as link:
                assert link.cached == cached
                answer = await lywsd02.read(link, lambda: LocalTime(NOW, 0))
                assert {name: answer.values[name] for name in house.clock.live} == house.clock.live
                assert house.clock.link._sending == {}


async def test_the_clock_drifts_and_is_set():
    """50 millionths for 20 days are 86 s; after it was set it is right, in its own time zone."""
    async with room() as house:
        house.clock.set_clock(NOW - 20 * 86_400)
        house.clock._set_at, house.clock.ppm = NOW - 20 * 86_400, 50.0
        async with house.connect() as link:
            assert (await lywsd02.read_time(link)).drift(LocalTime(NOW, 0)) == 86
            assert await lywsd02.set_clock(link, lambda: LocalTime(NOW, 7200)) == ClockSet(86 - 7200, 0)
            assert (await lywsd02.read(link, lambda: LocalTime(NOW, 7200))).values["clock_drift"] == 0
        assert house.clock.hours == 2
        assert [uuid for uuid, _ in house.clock.writes] == [table.TIME]


async def test_a_stubborn_clock():
    """It confirms a time and keeps its own: refused by name."""
    async with room() as house:
        house.clock.set_clock(NOW - 500)
        house.clock.faults.stubborn = True
        async with house.connect() as link:
            with pytest.raises(RefusedError, match="-500 s off"):
                await lywsd02.set_clock(link, lambda: LocalTime(NOW, 0))


async def test_a_whole_log():
    """Every record once, at its time, and the progress counts up to all."""
    async with room(hours=30) as house:
        download = house.download()
        told = await fetch(house, download)
        assert house.stored == expected(house.clock)
        assert told[0] == (0, 30)
        assert told[-1] == (30, 30)
        assert house.progress.complete
        assert covered(download) == CoveredRecords(0, 29, house.clock.log[-1].seconds)


async def test_times_are_corrected_by_the_clocks_error():
    """A clock 90 s ahead stamps its records 90 s late; they are stored at the time they are of."""
    async with room(hours=0) as house:
        house.clock.set_clock(NOW + 90)
        house.clock.fill_log(3, Random(1))
        await fetch(house, house.download())
        assert sorted(house.stored) == [float(one.seconds - 90) for one in house.clock.log]


async def test_lost_notifications_are_asked_for_again():
    """Three records get lost on their way: each is sent again, once."""
    async with room(hours=20) as house:
        house.clock.faults.lost_once = {0, 7, 19}
        await fetch(house, house.download())
        assert house.stored == expected(house.clock)


async def test_records_that_do_not_exist_are_passed_over():
    """A record that is missing twice is skipped and counted; the rest comes."""
    async with room(hours=10) as house:
        house.clock.faults.missing = {4, 5}
        download = house.download()
        await fetch(house, download)
        assert len(house.stored) == 8
        assert (house.progress.stored, house.progress.skipped, house.progress.complete) == (8, 2, True)


async def test_a_lost_link_continues_where_it_stopped():
    """The link is lost after each 6 records: four connections, each record once."""
    async with room(hours=20) as house:
        house.clock.faults.drop_after_records = 6
        download = house.download()
        for _ in range(3):
            with pytest.raises(GattError) as caught:
                await fetch(house, download)
            assert caught.value.cause == "connection_lost"
        await fetch(house, download)
        assert house.stored == expected(house.clock)
        assert house.progress.done == 20


async def test_the_next_run_fetches_only_what_is_new():
    """Three hours later three records are asked for, after one look whether the numbering is the old one."""
    async with room(hours=10) as house:
        first = house.download()
        await fetch(house, first)
        house.clock.log.clear()
        house.clock.fill_log(13, Random(3))
        before = attrs.evolve(covered(first), seconds=house.clock.log[9].seconds)
        house.stored.clear()
        download = house.download(before=before)
        await fetch(house, download)
        assert sorted(house.stored) == [float(one.seconds) for one in list(house.clock.log)[-3:]]
        assert covered(download) == CoveredRecords(0, 12, house.clock.log[-1].seconds)


@pytest.mark.parametrize("newest", [3, 9, 15])
async def test_a_new_numbering_is_fetched_from_its_beginning(newest):
    """After a change of batteries an index is another hour: all records are fetched, known ones by their time."""
    async with room(hours=10) as house:
        download = house.download(before=CoveredRecords(0, newest, 12345))
        await fetch(house, download)
        assert house.stored == expected(house.clock)


async def test_only_what_is_wanted():
    """Records from before ``since`` are not asked for: the index says how many hours there are."""
    async with room(hours=100) as house:
        download = house.download(since=NOW - 5 * 3600)
        await fetch(house, download)
        assert len(house.stored) == 5
        assert house.progress.done <= 6


async def test_an_empty_log():
    """No record is no error."""
    async with room(hours=0) as house:
        download = house.download()
        await fetch(house, download)
        assert house.progress.complete
        assert house.progress.done == 0


@pytest.mark.parametrize("divisor", [10, 100])
async def test_a_product_whose_scale_is_not_known(divisor):
    """The newest record beside the present temperature says which it is."""
    async with room(product=0x2542, hours=0, record_divisor=divisor) as house:
        house.clock.fill_log(6, Random(2))
        newest = house.clock.log[-1]
        house.clock.hundredths = round((newest.highest + newest.lowest) / 2 * 100 / divisor)
        await fetch(house, house.download(product=0x2542))
        assert house.stored == expected(house.clock, divisor)


async def test_records_from_the_future_are_not_stored():
    """A clock that was a year ahead when it wrote, and was set since: counted, not believed."""
    async with room(hours=0) as house:
        house.clock.set_clock(NOW + 365 * 86_400)
        house.clock.fill_log(2, Random(1))
        house.clock.set_clock(NOW)
        download = house.download()
        await fetch(house, download)
        assert house.stored == {}
        assert (house.progress.skipped, house.progress.complete) == (2, True)


def test_time_of_a_record():
    """Its own seconds, less what the clock is ahead."""
    assert parse_record(bytes.fromhex(VECTORS["record"][0]["hex"])).time(RecordLog(1, 2, 12.4)) == 1_567_065_588.0
