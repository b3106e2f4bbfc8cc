"""LYWSD02's clock, live values and battery: published bytes, and a clock that behaves as the real one does."""

import json
import struct
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.gatt import lywsd02
from proxy_listener.gatt.interface import ClockSet, LocalTime, RefusedError
from proxy_listener.gatt.lywsd02 import ClockTime

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "lywsd02.json").read_text())
NOW = LocalTime(1_700_000_000.0, 3600)
BERLIN, KOLKATA, NEWFOUNDLAND = 3600, 19_800, -12_600


class Arriving:
    """What was sent, then silence."""

    def __init__(self, values):
        self.values = list(values)

    async def next(self, _seconds):
        return self.values.pop(0) if self.values else None


class Clock:
    """A LYWSD02 in memory. ``takes``: whether it takes a new time."""

    def __init__(self, time="00f1536501", live=("c30a36",), battery="4e", takes=True):
        self.values = {
            lywsd02.TIME: bytes.fromhex(time),
            lywsd02.BATTERY: bytes.fromhex(battery),
            lywsd02.FIRMWARE: b"1.1.2_0042",
        }
        self.live, self.takes, self.writes = [bytes.fromhex(one) for one in live], takes, []

    async def read(self, characteristic):
        return self.values[characteristic]

    async def write(self, characteristic, data, response):
        self.writes.append((characteristic, data, response))
        if self.takes:
            self.values[characteristic] = data

    async def pause(self, seconds):
        raise AssertionError(seconds)

    @asynccontextmanager
    async def notifications(self, characteristic):
        assert characteristic == lywsd02.LIVE
        yield Arriving(self.live)


@pytest.mark.parametrize("vector", VECTORS["time"], ids=lambda vector: vector["hex"])
def test_published_times(vector):
    """Seconds and signed hours, also where two bytes follow."""
    assert lywsd02.parse_time(bytes.fromhex(vector["hex"])) == ClockTime(vector["seconds"], vector["hours"])


@pytest.mark.parametrize("vector", VECTORS["live"], ids=lambda vector: vector["hex"])
def test_published_live_values(vector):
    """Signed hundredths of a degree, whole per cent, and the voltage where there is one."""
    refused = []
    wanted = {name: value for name, value in vector.items() if name not in {"hex", "source"}}
    assert lywsd02.parse_live(bytes.fromhex(vector["hex"]), refused) == wanted
    assert refused == []


def test_a_published_battery():
    """One byte, in per cent."""
    assert lywsd02.parse_battery(bytes.fromhex(VECTORS["battery"][0]["hex"]), []) == 78


@pytest.mark.parametrize(
    ("offset", "written"),
    [
        (BERLIN, "00f1536501"),
        (KOLKATA, "08f8536505"),  # 5 hours, and 1,800 s on top: 0x6553F808
        (NEWFOUNDLAND, "08f85365fc"),  # -4 hours, and 1,800 s on top
        (-3 * 3600, "00f15365fd"),
    ],
)
def test_time_as_it_is_written(offset, written):
    """Whole hours rounded down; the rest of a zone is part of the seconds, and the display is right."""
    data = lywsd02.pack_time(attrs.evolve(NOW, offset=offset))
    assert data.hex() == written
    assert lywsd02.parse_time(data).drift(attrs.evolve(NOW, offset=offset)) == 0


@given(st.integers(1_600_000_000, 4_000_000_000), st.integers(-48, 56).map(lambda quarters: quarters * 900))
def test_whatever_is_written_shows_local_time(seconds, offset):
    """For every zone of whole quarters of an hour the displayed time is the local one."""
    now = LocalTime(float(seconds), offset)
    assert lywsd02.parse_time(lywsd02.pack_time(now)).drift(now) == 0


def test_a_computer_without_time_sets_no_clock():
    """A wall clock of 1970 is refused, not written."""
    with pytest.raises(RefusedError, match="not set"):
        lywsd02.pack_time(LocalTime(1000.0, 0))


@pytest.mark.parametrize("data", ["", "952f6a5d", "952f6a5d7f", "952f6a5d80", "ffffffff00"])
def test_what_is_no_time(data):
    """Too short (LYWSD03MMC counts seconds since its start), a zone that does not exist, or all bits set."""
    with pytest.raises(RefusedError, match="clock"):
        lywsd02.parse_time(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("data", "values", "named"),
    [
        ("", {}, ["live values: 0 bytes, expected 3 or 5"]),
        ("c30a", {}, ["live values: 2 bytes, expected 3 or 5"]),
        ("c30aff", {"temperature": 27.55}, ["live values: humidity 255 is out of range"]),
        ("ffff36", {"humidity": 54}, ["live values: temperature -0.01 is out of range"]),
        ("ff7f36", {"humidity": 54}, ["live values: temperature 327.67 is out of range"]),
        ("c30a360000", {"temperature": 27.55, "humidity": 54}, ["live values: voltage 0.0 is out of range"]),
    ],
)
def test_live_values_that_are_none(data, values, named):
    """A field out of range is left out and named; the others stand."""
    refused = []
    assert lywsd02.parse_live(bytes.fromhex(data), refused) == values
    assert refused == named


@given(st.binary(max_size=20))
def test_no_bytes_break_a_parser(data):
    """Anything is parsed or refused by name."""
    refused = []
    try:
        lywsd02.parse_time(data)
    except RefusedError as refusal:
        refused.append(str(refusal))
    values = lywsd02.parse_live(data, refused)
    assert set(values) <= {"temperature", "humidity", "voltage"}
    assert lywsd02.parse_battery(data, refused) in {None, *range(101)}
    assert all(refused)


async def test_a_read():
    """Everything in one connection, and nothing is written."""
    clock = Clock(time="0af1536501")
    answer = await lywsd02.read(clock, lambda: NOW)
    assert answer.values == {
        "clock_drift": 10,
        "temperature": 27.55,
        "humidity": 54,
        "battery": 78,
        "firmware": "1.1.2_0042",
    }
    assert answer.refused == ()
    assert clock.writes == []


async def test_a_clock_that_sends_no_live_values():
    """The live values are missing, with the reason; drift and battery are there."""
    answer = await lywsd02.read(Clock(live=()), lambda: NOW)
    assert answer.values == {"clock_drift": 0, "battery": 78, "firmware": "1.1.2_0042"}
    assert answer.refused == ("live values: none within 10 s",)


async def test_a_read_with_a_clock_that_tells_no_time():
    """The drift is missing and named, the rest is there."""
    answer = await lywsd02.read(Clock(time="01000000"), lambda: NOW)
    assert "clock_drift" not in answer.values
    assert answer.refused == ("clock: 4 bytes, expected 5",)
    assert answer.values["humidity"] == 54


async def test_a_read_that_brings_nothing():
    """Neither battery nor live values: refused, with each reason."""
    with pytest.raises(RefusedError, match=r"battery: 255 % is over 100; live values: 1 bytes"):
        await lywsd02.read(Clock(live=("00",), battery="ff"), lambda: NOW)


async def test_setting_the_clock():
    """Five bytes with a response, and the time that is read back."""
    clock = Clock(time="0000000000")
    assert await lywsd02.set_clock(clock, lambda: NOW) == ClockSet(-1_700_003_600, 0)
    assert clock.writes == [(lywsd02.TIME, struct.pack("<Ib", 1_700_000_000, 1), True)]


async def test_a_clock_that_does_not_take_a_time():
    """It confirms the write and keeps its own: named, with the seconds."""
    with pytest.raises(RefusedError, match="-1000 s off"):
        await lywsd02.set_clock(Clock(time="18ed536501", takes=False), lambda: NOW)
