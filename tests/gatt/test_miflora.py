"""The read of a plant sensor, over a sensor that behaves as the real one does."""

import struct
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.formats.xiaomi.models import MODELS
from proxy_listener.gatt import miflora, miflora_log
from proxy_listener.gatt.interface import RefusedError
from proxy_listener.gatt.miflora import PLANTS
from proxy_listener.gatt.miflora_log import EntryLog, LogEntry
from proxy_listener.model.errors import GattError

FLOWER, GARDEN, POT = PLANTS[0x0098], PLANTS[0x03BC], PLANTS[0x015D]
PLACEHOLDER = bytes.fromhex("aabbccddeeff99887766000000000000")
BATTERY = bytes.fromhex("6328332e312e39")
LIVE = bytes.fromhex("ea0000ab00000015b200023c00fb349b")
MAC = 0xC47C8D6A3E7A


def rc4(key, data):
    state, at = list(range(256)), 0
    for i in range(256):
        at = (at + state[i] + key[i % len(key)]) & 0xFF
        state[i], state[at] = state[at], state[i]
    out, at = [], 0
    for i, byte in enumerate(data, 1):
        at = (at + state[i]) & 0xFF
        state[i], state[at] = state[at], state[i]
        out.append(byte ^ state[(state[i] + state[at]) & 0xFF])
    return bytes(out)


class Sensor:
    """A MiFlora: live data only after the mode change, and only when it had time to measure; a log; a login."""

    def __init__(self, battery=BATTERY, live=LIVE, log=(), clock=2_158_345, needs=0.0, tells=1):
        self.battery, self.live, self.log, self.clock = battery, live, list(log), clock
        self.needs, self.tells = needs, tells
        self.waited, self.mode, self.asked = 0.0, None, None
        self.writes, self.pauses = [], []
        self.session = []

    async def read(self, characteristic):
        if characteristic == miflora.BATTERY:
            return self.battery
        if characteristic == miflora_log.CLOCK:
            return struct.pack("<I", self.clock)
        if characteristic == miflora.LIVE:
            if self.mode != b"\xa0\x1f" or self.waited < self.needs:
                return PLACEHOLDER
            return self.live
        if characteristic == miflora_log.LOG_DATA and self.asked == "count":
            return struct.pack("<H", len(self.log)) + bytes(14)
        if characteristic == miflora_log.LOG_DATA:
            return self.log[self.asked] if self.asked < len(self.log) else b"\xff" * 16
        raise GattError("error", characteristic)

    async def write(self, characteristic, data, response):
        self.writes.append((characteristic, data, response))
        if characteristic == miflora.MODE and response:
            self.mode = data
        elif characteristic == miflora_log.LOG_CONTROL and data[0] == 0xA0:
            self.asked = "count"
        elif characteristic == miflora_log.LOG_CONTROL and data[0] == 0xA1:
            self.asked = int.from_bytes(data[1:3], "little")
        elif characteristic in {miflora.SESSION, miflora.LOGIN}:
            self.session.append(data)
        else:
            raise AssertionError((characteristic, data))

    async def pause(self, seconds):
        self.pauses.append(seconds)
        self.waited += seconds


def entry(seconds, tenths=235, light=90, moisture=21, conductivity=179):
    return struct.pack("<IhxIBHxx", seconds, tenths, light, moisture, conductivity)


@pytest.mark.parametrize(
    ("raw", "values"),
    [
        ("ea0000ab00000015b200023c00fb349b", (23.4, 171, 21, 178)),
        ("250100f7260000280e01023c00fb349b", (29.3, 9975, 40, 270)),
        ("f200007900000010650000000000", (24.2, 121, 16, 101)),
        ("fe0000ee000000243803023c00fb349b", (25.4, 238, 36, 824)),
        ("fb0000c600000026af05023c00fb349b", (25.1, 198, 38, 1455)),
        ("000100ce000000150205023c00fb349b", (25.6, 206, 21, 1282)),
        ("bb0000ffff0000200d03023c00fb349b", (18.7, 65535, 32, 781)),
        ("53ff00ab00000015b200023c00fb349b", (-17.3, 171, 21, 178)),
    ],
)
async def test_live_data_of_the_tables(raw, values):
    """Every recorded answer gives the values that its app showed, below zero and above 16 bits of light too."""
    answer = await miflora.read(Sensor(live=bytes.fromhex(raw)), FLOWER)
    names = ("temperature", "illuminance", "moisture", "conductivity")
    assert {name: answer.values[name] for name in names} == dict(zip(names, values, strict=True))
    assert answer.refused == ()


@pytest.mark.parametrize("length", [10, 24])
async def test_a_ropot_measures_no_light(length):
    """HHCCPOT002 answers with 10 or 24 bytes; what stands where others have light is not published."""
    live = bytes.fromhex("c80000112233ff051e00").ljust(length, b"\0")
    answer = await miflora.read(Sensor(bytes.fromhex("6414322e362e36"), live), POT)
    assert answer.values == {
        "temperature": 20.0,
        "moisture": 5,
        "conductivity": 30,
        "battery": 100,
        "firmware": "2.6.6",
    }


@pytest.mark.parametrize(
    ("raw", "battery", "firmware"),
    [
        ("6328332e312e39", 99, "3.1.9"),
        ("6413322e362e35", 100, "2.6.5"),
        ("002a332e322e31", 0, "3.2.1"),
        ("6328332e3200000000", 99, "3.2"),
        ("6528332e312e39", None, "3.1.9"),
        ("6328331b5b316d39", 99, None),
        ("632833", None, None),
        ("", None, None),
        ("ffffffffffffff", None, None),
        ("00000000000000", None, None),
    ],
)
def test_battery_and_firmware(raw, battery, firmware):
    """Battery is 0 to 100 %, firmware is a version; what is not is None and named, and never shown."""
    refused = []
    assert miflora.parse_battery(bytes.fromhex(raw), refused) == (battery, firmware)
    assert bool(refused) == (battery is None or firmware is None)


def test_versions_compare_as_numbers():
    """2.10 is newer than 2.6.6, which text would deny."""
    assert miflora.version_numbers("2.10.1") > miflora.version_numbers("2.6.6")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (PLACEHOLDER.hex(), "the placeholder from before the mode change"),
        ("00" * 16, "all bytes are the same"),
        ("ff" * 16, "all bytes are the same"),
        ("ea0000ab00000065b200023c00fb349b", "moisture 101 is out of range"),
        ("a00f00ab00000015b200023c00fb349b", "temperature 400.0 is out of range"),
        ("ea0000ab00000015b200000000000000", "the tail is empty, nothing was measured yet"),
        ("ea0000ab00000015b2", "9 bytes, expected 10 or more"),
        ("", "0 bytes, expected 10 or more"),
    ],
)
async def test_no_reading_is_made_up(raw, why):
    """Placeholder, zeros, ones, impossible values, missing tail and short answers are refused; the battery stands."""
    sensor = Sensor(live=bytes.fromhex(raw))
    answer = await miflora.read(sensor, FLOWER)
    assert answer.values == {"battery": 99, "firmware": "3.1.9"}
    assert answer.refused[0].startswith("live data: ")
    assert answer.refused[0].endswith(why)
    assert len([1 for where, *_ in sensor.writes if where == miflora.MODE]) == 3


async def test_nothing_believable_is_an_error():
    """A sensor of which nothing can be believed gives no answer at all."""
    with pytest.raises(RefusedError, match="battery: 0 bytes"):
        await miflora.read(Sensor(battery=b"", live=b""), FLOWER)


async def test_old_firmware_has_no_tail():
    """Before 2.6.6 the bytes after the values are zero and the values are good."""
    live = bytes.fromhex("ea0000ab00000015b200000000000000")
    answer = await miflora.read(Sensor(bytes.fromhex("6413322e362e35"), live), FLOWER)
    assert answer.values["temperature"] == 23.4


@pytest.mark.parametrize(("plant", "wait"), [(FLOWER, 0.5), (GARDEN, 1.0), (POT, 0.5)])
async def test_each_model_gets_its_time(plant, wait):
    """The mode change is written with response, then the model's own time is given before the first read."""
    sensor = Sensor()
    await miflora.read(sensor, plant)
    assert sensor.writes == [(miflora.MODE, b"\xa0\x1f", True)]
    assert sensor.pauses == [wait]


async def test_the_placeholder_is_read_again():
    """A sensor that needs longer than its model is given is asked again, not believed."""
    sensor = Sensor(needs=1.2)
    answer = await miflora.read(sensor, FLOWER)
    assert answer.values["moisture"] == 21
    assert sensor.pauses == [0.5, 1.0]


async def test_fields_that_were_not_measured_are_left_out():
    """Conductivity over 10,000 µS/cm and light over 100,000 lx mean "not measured"; the other values stand."""
    live = struct.pack("<hxIBH", 234, 100_001, 21, 10_001) + bytes.fromhex("023c00fb349b")
    answer = await miflora.read(Sensor(live=live), FLOWER)
    assert set(answer.values) == {"temperature", "moisture", "battery", "firmware"}
    assert [text.split()[2] for text in answer.refused] == ["illuminance", "conductivity"]


async def collect(sensor, log, start=0):
    async with aclosing(miflora_log.read_entries(sensor, FLOWER, log, start)) as entries:
        return [item async for item in entries]


async def test_the_log_newest_first():
    """Entries come from index 0 on, each with its seconds."""
    sensor = Sensor(log=[bytes.fromhex("70e72000eb00005a00000015b3000000"), entry(2_152_800, -55)], clock=2_158_345)
    log = await miflora_log.read_log(sensor)
    assert log == EntryLog(2_158_345, 2)
    first, second = await collect(sensor, log)
    assert first == LogEntry(
        0, 2_156_400, {"temperature": 23.5, "illuminance": 90, "moisture": 21, "conductivity": 179}, ()
    )
    assert (second.index, second.values["temperature"]) == (1, -5.5)


async def test_the_log_resumes_at_an_index():
    """Entries before the start index are not asked for."""
    sensor = Sensor(log=[entry(3600 * (10 - i)) for i in range(5)])
    assert [item.index for item in await collect(sensor, EntryLog(2_158_345, 5), 3)] == [3, 4]


async def test_the_log_grows_while_it_is_read():
    """When an hour passes meanwhile the oldest entry moves one index up, and is still fetched."""
    sensor = Sensor(log=[entry(3600 * (10 - i)) for i in range(3)])
    seconds = []
    async with aclosing(miflora_log.read_entries(sensor, FLOWER, EntryLog(2_158_345, 3), 0)) as entries:
        async for item in entries:
            seconds.append(item.seconds // 3600)
            if item.index == 1:
                sensor.log.insert(0, entry(3600 * 11))
    assert seconds == [10, 9, 9, 8]


@pytest.mark.parametrize(
    "raw",
    [
        "ff" * 16,
        "00" * 16,
        "aabbccddeeff99887766554433221110",
        entry(0).hex(),
        entry(0xFFFFFFFF).hex(),
        "70e72000" + "00" * 12,
        entry(2_156_400, moisture=0xFF).hex(),
        entry(2_158_345 + 3601).hex(),
        "70e72000eb00",
        "",
    ],
)
def test_entries_that_are_none(raw):
    """Empty places, placeholders, impossible times and unmeasured entries have no values and say why."""
    item = miflora_log.parse_entry(bytes.fromhex(raw), FLOWER, 7, 2_158_345)
    assert item.index == 7
    assert item.values == {}
    assert item.refused
    assert not raw.startswith("aabb") or item.refused == ("no entry",)


def test_an_entry_without_light():
    """Light over 100,000 lx in an entry was not measured; the entry stands without it."""
    item = miflora_log.parse_entry(entry(2_156_400, light=0xFFFFFFFF), FLOWER, 0, 2_158_345)
    assert set(item.values) == {"temperature", "moisture", "conductivity"}


@pytest.mark.parametrize("raw", ["", "ffff", "aabbccddeeff99887766554433221110"])
async def test_a_count_that_is_none(raw):
    """A placeholder is no count: 48,042 entries were never there."""

    class Mute(Sensor):
        async def read(self, characteristic):
            return bytes.fromhex(raw) if characteristic == miflora_log.LOG_DATA else await super().read(characteristic)

    with pytest.raises(RefusedError, match="no count"):
        await miflora_log.read_log(Mute())


async def test_the_login():
    """The three writes: session, RC4(mixA, token), RC4(token, end); the sensor can check them."""
    sensor = Sensor()
    await miflora.log_in(sensor, FLOWER, MAC)
    start, token, end = sensor.session
    assert miflora.login_key(MAC, 0x0098) == bytes.fromhex("7a6ac498987cc43e")
    clear = rc4(bytes.fromhex("7a6ac498987cc43e"), token)
    assert (start.hex(), len(clear), rc4(clear, end).hex()) == ("90ca85de", 12, "92ab54fa")


async def test_a_sensor_without_login_is_read_all_the_same():
    """A sensor that lacks the characteristic goes on; a lost link is a lost link."""

    class Bare(Sensor):
        cause = "error"

        async def write(self, characteristic, data, response):
            raise GattError(self.cause, "no")

    bare = Bare()
    await miflora.log_in(bare, FLOWER, MAC)
    bare.cause = "connection_lost"
    with pytest.raises(GattError):
        await miflora.log_in(bare, FLOWER, MAC)


async def test_only_harmless_commands_are_sent():
    """Of a whole read with login and log, only these bytes reach the sensor: nothing erases, nothing resets."""
    sensor = Sensor(log=[entry(3600 * (400 - i)) for i in range(300)], needs=99)
    await miflora.log_in(sensor, FLOWER, MAC)
    await miflora.read(sensor, FLOWER)
    await collect(sensor, await miflora_log.read_log(sensor))
    sent = {(where, data[:1] if where == miflora_log.LOG_CONTROL else data) for where, data, _ in sensor.writes}
    harmless = {(miflora.MODE, b"\xa0\x1f"), (miflora_log.LOG_CONTROL, b"\xa0"), (miflora_log.LOG_CONTROL, b"\xa1")}
    assert {item for item in sent if item[0] not in {miflora.SESSION, miflora.LOGIN}} == harmless
    assert all(response for _, _, response in sensor.writes)


def test_an_entry_from_before_the_log():
    """A log has an entry an hour: one that is older than the longest log was never measured."""
    assert miflora_log.parse_entry(entry(3600), FLOWER, 0, 5_001 * 3600).values
    assert miflora_log.parse_entry(entry(3600), FLOWER, 0, 5_001 * 3600 + 1).refused == ("older than a log can be",)


def test_the_models_that_are_read():
    """The table of models and the table of plants name the same sensors."""
    assert {number for number, model in MODELS.items() if model.reader == "miflora"} == set(PLANTS)


LIMITS = {
    "temperature": (-40.0, 80.0),
    "illuminance": (0, 100_000),
    "moisture": (0, 100),
    "conductivity": (0, 10_000),
    "battery": (0, 100),
}


def within(values):
    return all(low <= values[name] <= high for name, (low, high) in LIMITS.items() if name in values)


@given(st.binary(max_size=40), st.sampled_from([FLOWER, GARDEN, POT]), st.sampled_from([None, "2.6.5", "3.2.1"]))
def test_any_live_answer(data, plant, firmware):
    """Whatever bytes come: values in range, all of moisture and temperature, or a refusal."""
    try:
        values = miflora.parse_live(data, plant, firmware, [])
    except RefusedError:
        return
    assert within(values)
    assert {"temperature", "moisture"} <= values.keys()
    assert "illuminance" not in values or plant.light


@given(st.binary(max_size=40), st.sampled_from([FLOWER, POT]), st.integers(0, 0xFFFFFFFF))
def test_any_entry(data, plant, clock):
    """Whatever bytes come: an entry with values in range and a time within the log, or one that says why not."""
    item = miflora_log.parse_entry(data, plant, 3, clock)
    assert within(item.values)
    assert item.refused or item.values
    assert not item.values or clock - 5_000 * 3600 <= item.seconds <= clock + 3600


@given(st.binary(max_size=40))
def test_any_battery_answer(data):
    """Whatever bytes come: a percentage and a version, or a word on each that is missing."""
    refused = []
    battery, firmware = miflora.parse_battery(data, refused)
    assert within({} if battery is None else {"battery": battery})
    assert firmware is None or all(part.isdecimal() for part in firmware.split("."))
    assert (battery is None or firmware is None) == bool(refused)
