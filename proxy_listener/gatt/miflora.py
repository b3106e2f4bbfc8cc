"""A plant sensor over a connection: characteristics and commands in, values out.

::

    battery 1a02   [battery %][separator][firmware, ASCII ...]
    live    1a01   [temperature s16][?][light u32][moisture u8][conductivity u16][tail, 6 bytes]     after mode A0 1F
    clock   1a12   [seconds since the battery went in, u32]
    count   1a11   [entries u16] ...                                                                after A0 00 00
    entry   1a11   [clock seconds u32][temperature s16][?][light u32][moisture u8][conductivity u16][2 ?] after A1 index

All numbers are little endian, temperature is in 0.1 °C. The rule of this file: an answer is what the sensor measured or
it is refused by name; nothing is made up, and nothing that erases the sensor's log or settings can be sent.
"""

import re
import struct
from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

import attrs
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher

from proxy_listener.model.advertisement import Address
from proxy_listener.model.errors import GattError, ProxyListenerError
from proxy_listener.model.reading import Value


class Gatt(Protocol):
    """A connection to a device. Each method raises GattError; ``characteristic`` is a UUID as lower-case text."""

    async def read(self, characteristic: str) -> bytes:
        """The characteristic's value."""
        ...

    async def write(self, characteristic: str, data: bytes, response: bool) -> None:
        """Write ``data``; with ``response``, return when the device confirmed it."""
        ...

    async def pause(self, seconds: float) -> None:
        """Let the device work. Raises at once where the link is lost meanwhile."""
        ...


def _uuid(short: str) -> str:
    return f"0000{short}-0000-1000-8000-00805f9b34fb"


LOGIN, SESSION = _uuid("0001"), _uuid("0010")
MODE, LIVE, BATTERY = _uuid("1a00"), _uuid("1a01"), _uuid("1a02")
LOG_CONTROL, LOG_DATA, CLOCK = _uuid("1a10"), _uuid("1a11"), _uuid("1a12")

_LIVE_ON = bytes.fromhex("a01f")
_LOG_COUNT = bytes.fromhex("a00000")
_LOG_ENTRY = 0xA1
_SESSION_START = bytes.fromhex("90ca85de")
_LOGIN_END = bytes.fromhex("92ab54fa")
_TOKEN = bytes.fromhex("012203040506060504030201")
"""Any 12 bytes log in: the token proves nothing to the sensor, it only keeps the link open (facts: WatchFlower). As a
key it is given twice: cryptography takes no RC4 key of 96 bits, and RC4 repeats a key anyway until it has 256 bytes."""

PLACEHOLDER = bytes.fromhex("aabbccddeeff99887766")
"""What 1a01 and 1a11 hold before the command that fills them."""

TAIL_SINCE = (2, 6, 6)
"""From this firmware on bytes 10 to 15 of live data are never all zero, and the mode change is needed."""

_FIRMWARE = re.compile(r"\d{1,3}(\.\d{1,3}){1,3}")
LIGHT_LIMIT, CONDUCTIVITY_LIMIT, MOISTURE_LIMIT = 100_000, 10_000, 100
TEMPERATURE_LIMITS = (-40.0, 80.0)
ENTRY_LIMIT = 5_000
"""Entries of a log that are asked for: 208 days at one an hour; no sensor is known to keep more."""

ENTRY_INTERVAL = 3_600
"""Seconds between two entries of a log, on the hour of the sensor's own clock."""

_LIVE_TRIES = 3


@attrs.frozen
class Plant:
    """What is particular about a model: ``settle`` and ``again`` are the seconds between mode change and read.

    ``light``: it measures light. ``tail``: its live answer ends in the constant tail.
    """

    product_id: int
    settle: float
    light: bool
    tail: bool
    again: float = 1.0  # where the first read came too early


PLANTS: Mapping[int, Plant] = {
    0x0098: Plant(0x0098, 0.5, light=True, tail=True),  # HHCCJCY01
    0x03BC: Plant(0x03BC, 1.0, light=True, tail=True),  # GCLS002; peers wait a full second
    0x015D: Plant(0x015D, 0.5, light=False, tail=False),  # HHCCPOT002, RoPot: 10 or 24 bytes, the light is no light
}


class RefusedError(ProxyListenerError):
    """The sensor answered, and the answer is no measurement. The text says which and why."""


@attrs.frozen
class Answer:
    """What one read brought. ``values`` has battery and firmware too; ``refused`` names what was not believed."""

    values: Mapping[str, Value]
    firmware: str | None
    battery: int | None
    refused: tuple[str, ...]


@attrs.frozen
class Log:
    """The sensor's log as it stood: its clock in seconds, and how many entries it keeps."""

    clock: int
    count: int


@attrs.frozen
class Entry:
    """One hour of the log. ``values`` is empty where ``refused`` says that the whole entry is no measurement."""

    index: int
    seconds: int  # of the sensor's clock
    values: Mapping[str, Value]
    refused: tuple[str, ...] = ()

    def time(self, log: Log, now: float) -> float:
        """Seconds since 1970, where ``now`` is the wall time at which ``log`` was read."""
        return now - (log.clock - self.seconds)


async def read(gatt: Gatt, plant: Plant) -> Answer:
    """Battery, firmware and live values, in one connection of under 5 s: then the sensor hangs up by itself.

    Raises RefusedError where neither the battery nor a live value could be believed, GattError as ``gatt`` does.
    """
    values: dict[str, Value] = {}
    refused: list[str] = []
    battery, firmware = parse_battery(await gatt.read(BATTERY), refused)
    try:
        values.update(await _read_live(gatt, plant, firmware, refused))
    except RefusedError as refusal:
        refused.append(str(refusal))
    if battery is not None:
        values["battery"] = battery
    if not values:
        raise RefusedError("; ".join(refused))
    if firmware is not None:
        values["firmware"] = firmware
    return Answer(values, firmware, battery, tuple(refused))


async def _read_live(gatt: Gatt, plant: Plant, firmware: str | None, refused: list[str]) -> dict[str, Value]:
    wait = plant.settle
    for last in (False,) * (_LIVE_TRIES - 1) + (True,):
        await gatt.write(MODE, _LIVE_ON, response=True)
        await gatt.pause(wait)
        data = await gatt.read(LIVE)
        try:
            return parse_live(data, plant, firmware, refused)
        except RefusedError:
            if last:
                raise
        wait = plant.again
    raise AssertionError


def parse_battery(data: bytes, refused: list[str]) -> tuple[int | None, str | None]:
    """Battery in % and firmware version of an answer from 1a02; None for each that is not one, named in ``refused``."""
    battery: int | None = None
    if len(data) < 7 or _no_answer(data):
        refused.append(f"battery: {len(data)} bytes that are no answer")
        return None, None
    if data[0] <= 100:
        battery = data[0]
    else:
        refused.append(f"battery: {data[0]} % is over 100")
    text = data[2:].split(b"\0")[0].decode("ascii", "replace").strip()
    if _FIRMWARE.fullmatch(text):
        return battery, text
    refused.append("firmware: not a version")
    return battery, None


def version_numbers(firmware: str) -> tuple[int, ...]:
    """``"3.1.9"`` -> ``(3, 1, 9)``: versions compare as numbers, 2.10 is newer than 2.9."""
    return tuple(map(int, firmware.split(".")))


def parse_live(data: bytes, plant: Plant, firmware: str | None, refused: list[str]) -> dict[str, Value]:
    """The values of an answer from 1a01. Raises RefusedError where the sensor had not measured yet, or cannot have."""
    if len(data) < 10:
        raise RefusedError(f"live data: {len(data)} bytes, expected 10 or more")
    if data.startswith(PLACEHOLDER):
        raise RefusedError("live data: the placeholder from before the mode change")
    if _no_answer(data):
        raise RefusedError("live data: all bytes are the same")
    newer = firmware is not None and version_numbers(firmware) >= TAIL_SINCE
    if plant.tail and newer and len(data) >= 16 and not any(data[10:16]):
        raise RefusedError("live data: the tail is empty, nothing was measured yet")
    values = _measured(data[:10], plant, "live data", refused)
    if "moisture" not in values or "temperature" not in values:
        raise RefusedError(f"live data: {refused.pop()}")
    return values


def _no_answer(data: bytes) -> bool:
    return not any(data) or data == b"\xff" * len(data)


def _measured(data: bytes, plant: Plant, what: str, refused: list[str]) -> dict[str, Value]:
    """The 10 bytes that live data and entries have in common. A field out of its range was not measured."""
    tenths, light, moisture, conductivity = struct.unpack("<hxIBH", data)
    fields: list[tuple[str, Value, bool]] = [
        ("temperature", tenths / 10, TEMPERATURE_LIMITS[0] <= tenths / 10 <= TEMPERATURE_LIMITS[1]),
        ("illuminance", light, light <= LIGHT_LIMIT),
        ("moisture", moisture, moisture <= MOISTURE_LIMIT),
        ("conductivity", conductivity, conductivity <= CONDUCTIVITY_LIMIT),
    ]
    values: dict[str, Value] = {}
    for quantity, value, possible in fields:
        if quantity == "illuminance" and not plant.light:
            continue
        if possible:
            values[quantity] = value
        else:
            refused.append(f"{what}: {quantity} {value} is out of range")
    return values


async def log_in(gatt: Gatt, plant: Plant, address: Address) -> None:
    """Tell the sensor to keep the link: without this it hangs up after a few seconds.

    A sensor without the login's characteristics is read as long as it lasts.
    """
    key = login_key(address, plant.product_id)
    try:
        await gatt.write(SESSION, _SESSION_START, response=True)
        await gatt.write(LOGIN, _rc4(key, _TOKEN), response=True)
        await gatt.write(LOGIN, _rc4(_TOKEN * 2, _LOGIN_END), response=True)
    except GattError as error:
        if error.cause != "error":
            raise


def login_key(address: Address, product_id: int) -> bytes:
    """``mixA``: r0 r2 r5 p p r4 r5 r1, of the reversed MAC r and the low byte p of the product id."""
    r, p = address.to_bytes(6, "little"), product_id & 0xFF
    return bytes((r[0], r[2], r[5], p, p, r[4], r[5], r[1]))


def _rc4(key: bytes, data: bytes) -> bytes:
    return Cipher(ARC4(key), mode=None).encryptor().update(data)


async def read_log(gatt: Gatt) -> Log:
    """The sensor's clock and the number of its entries. Raises RefusedError where either is no number."""
    clock = await gatt.read(CLOCK)
    if len(clock) < 4 or _no_answer(clock[:4]):
        raise RefusedError("clock: no time")
    return Log(int.from_bytes(clock[:4], "little"), await read_count(gatt))


async def read_count(gatt: Gatt) -> int:
    """How many entries the log has. Raises RefusedError where the answer is no number."""
    await gatt.write(LOG_CONTROL, _LOG_COUNT, response=True)
    data = await gatt.read(LOG_DATA)
    if len(data) < 2 or data[:2] == b"\xff\xff" or data.startswith(PLACEHOLDER):
        raise RefusedError("history: no count")
    return int.from_bytes(data[:2], "little")


async def read_entries(gatt: Gatt, plant: Plant, log: Log, start: int = 0) -> AsyncGenerator[Entry, None]:
    """The entries from index ``start`` (0 is the newest) to the oldest.

    An hour may pass meanwhile: all entries then move one index up, one comes twice, and the count has grown. So the
    count is asked again at the end, and the reader tells entries apart by their seconds.
    """
    index, count = start, log.count
    while index < min(count, ENTRY_LIMIT):
        await gatt.write(LOG_CONTROL, struct.pack("<BH", _LOG_ENTRY, index), response=True)
        yield parse_entry(await gatt.read(LOG_DATA), plant, index, log.clock)
        index += 1
        if index == count:
            count = await read_count(gatt)


def parse_entry(data: bytes, plant: Plant, index: int, clock: int) -> Entry:
    """An answer from 1a11 as the entry that it is. One that is no measurement has no values and says why."""
    seconds = int.from_bytes(data[:4], "little")
    if len(data) < 14:
        return Entry(index, 0, {}, (f"{len(data)} bytes, expected 16",))
    if data.startswith(PLACEHOLDER) or _no_answer(data):
        return Entry(index, 0, {}, ("no entry",))
    if seconds in {0, 0xFFFFFFFF}:
        return Entry(index, 0, {}, ("no time",))
    if seconds > clock + ENTRY_INTERVAL:
        return Entry(index, seconds, {}, ("its time lies after the sensor's clock",))
    if seconds < clock - ENTRY_LIMIT * ENTRY_INTERVAL:
        return Entry(index, seconds, {}, ("older than a log can be",))
    if not any(data[4:]):
        return Entry(index, seconds, {}, ("nothing measured",))
    if data[11] == 0xFF:
        return Entry(index, seconds, {}, ("moisture not measured",))
    refused: list[str] = []
    values = _measured(data[4:14], plant, f"entry {index}", refused)
    return Entry(index, seconds, values, tuple(refused))
