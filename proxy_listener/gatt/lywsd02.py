"""LYWSD02 and LYWSD02MMC over a connection: the clock, live values and battery. Its log is in lywsd02_log.

::

    time    b7   [seconds since 1970 u32][hours of the time zone s8]           read also with two bytes more
    live    c1   [temperature s16][humidity u8]                                as a notification only
                 [temperature s16][humidity u8][battery, mV, u16]
    battery c4   [battery % u8]
    firmware     ASCII, characteristic 2a26

All numbers are little endian, temperature is in 0.01 °C (docs/protocol/lywsd02.md). Invariant: a read writes
nothing but subscriptions, and nothing that is written erases the log.
"""

import struct
from collections.abc import Callable, Mapping
from contextlib import suppress

import attrs

from proxy_listener.gatt.interface import CLOCK_SET_SINCE, Answer, ClockSet, Gatt, LocalTime, RefusedError
from proxy_listener.model.reading import Value


def uuid(last: str) -> str:
    """A characteristic of the device's own service, by the two digits in which they differ."""
    return f"ebe0cc{last}-7a0a-4b0c-8a1a-6ff2997da3a6"


TIME, LIVE, BATTERY = uuid("b7"), uuid("c1"), uuid("c4")
FIRMWARE = "00002a26-0000-1000-8000-00805f9b34fb"

LIVE_WAIT = 10.0
"""Seconds to wait for live values: a notification comes about every 6 s (docs/protocol/lywsd02.md#live)."""

SET_TOLERANCE = 5
"""Seconds by which the time that is read back may differ from the time that was written."""

HOURS = range(-12, 15)
"""Whole hours that a time zone is ahead of UTC."""

TEMPERATURE_LIMITS = (-40.0, 85.0)
ALL_BITS = -1
"""A temperature with all bits set was not measured; as a number it would be -0.01 °C."""
MILLIVOLTS = range(1_500, 3_801)
"""The range in which a device on lithium coin cells works, with a margin."""


@attrs.frozen
class Product:
    """What differs between products.

    ``record_divisor``: divisor of a record's temperature; None if unknown. ``silence``: seconds without a record after
    which the device has sent all it will send.
    """

    record_divisor: int | None
    silence: float = 5.0


PRODUCTS: Mapping[int, Product] = {
    0x045B: Product(100),  # LYWSD02
    0x16E4: Product(None),  # LYWSD02MMC
    0x2542: Product(None),  # LYWSD02MMC with a Telink chip
}
"""docs/protocol/lywsd02.md#products"""


@attrs.frozen
class ClockTime:
    """A device's clock: seconds since 1970 as it counts them, and the hours of its time zone."""

    seconds: int
    hours: int

    def drift(self, now: LocalTime) -> int:
        """Seconds by which the displayed time is ahead of local time.

        The displayed times are compared, because ``seconds`` has the minutes of a zone such as UTC+5:30.
        """
        return round(self.seconds + 3600 * self.hours - now.seconds - now.offset)


async def read(gatt: Gatt, local: Callable[[], LocalTime]) -> Answer:
    """Clock drift, battery, firmware and live values.

    Raises RefusedError if neither the battery nor a live value is plausible.
    """
    values: dict[str, Value] = {}
    refused: list[str] = []
    try:
        values["clock_drift"] = (await read_time(gatt)).drift(local())
    except RefusedError as refusal:
        refused.append(str(refusal))
    battery = parse_battery(await gatt.read(BATTERY), refused)
    firmware = parse_firmware(await gatt.read(FIRMWARE))
    measured = await _read_live(gatt, refused)
    if battery is None and not measured:
        raise RefusedError("; ".join(refused))
    values |= measured
    if battery is not None:
        values["battery"] = battery
    if firmware is not None:
        values["firmware"] = firmware
    return Answer(values, tuple(refused))


async def _read_live(gatt: Gatt, refused: list[str]) -> dict[str, Value]:
    async with gatt.notifications(LIVE) as values:
        data = await values.next(LIVE_WAIT)
    if data is None:
        refused.append(f"live values: none within {LIVE_WAIT:.0f} s")
        return {}
    return parse_live(data, refused)


async def read_time(gatt: Gatt) -> ClockTime:
    """The device's clock. Raises RefusedError if it is not a time of day."""
    return parse_time(await gatt.read(TIME))


async def set_clock(gatt: Gatt, local: Callable[[], LocalTime]) -> ClockSet:
    """Set the clock to local time, and read it back. Raises RefusedError if the device ignored the new time."""
    before: int | None = None
    with suppress(RefusedError):
        before = (await read_time(gatt)).drift(local())
    await gatt.write(TIME, pack_time(local()), response=True)
    after = (await read_time(gatt)).drift(local())
    if abs(after) > SET_TOLERANCE:
        raise RefusedError(f"clock: {after} s off after it was set")
    return ClockSet(before, after)


def parse_time(data: bytes) -> ClockTime:
    """A value of b7. Raises RefusedError if it is not a time of day."""
    if len(data) < 5:
        raise RefusedError(f"clock: {len(data)} bytes, expected 5")
    seconds, hours = struct.unpack_from("<Ib", data)
    if seconds == 0xFFFFFFFF:
        raise RefusedError("clock: no time")
    if hours not in HOURS:
        raise RefusedError(f"clock: a time zone of {hours} hours")
    return ClockTime(seconds, hours)


def pack_time(now: LocalTime) -> bytes:
    """The 5 bytes that set the clock. The zone's field has whole hours; its minutes are added to the seconds.

    Raises RefusedError if this computer's clock is not set.
    """
    if now.seconds < CLOCK_SET_SINCE:
        raise RefusedError("clock: this computer's clock is not set")
    hours, rest = divmod(now.offset, 3600)
    return struct.pack("<Ib", round(now.seconds) + rest, hours)


def parse_live(data: bytes, refused: list[str]) -> dict[str, Value]:
    """The values of a notification of c1. A field out of its range was not measured (``refused``)."""
    if len(data) not in {3, 5}:
        refused.append(f"live values: {len(data)} bytes, expected 3 or 5")
        return {}
    hundredths, humidity = struct.unpack_from("<hB", data)
    temperature = hundredths / 100
    warm = hundredths != ALL_BITS and TEMPERATURE_LIMITS[0] <= temperature <= TEMPERATURE_LIMITS[1]
    fields: list[tuple[str, Value, bool]] = [
        ("temperature", temperature, warm),
        ("humidity", humidity, humidity <= 100),
    ]
    if len(data) == 5:
        millivolts = int.from_bytes(data[3:], "little")
        fields.append(("voltage", millivolts / 1000, millivolts in MILLIVOLTS))
    refused += [f"live values: {name} {value} is out of range" for name, value, possible in fields if not possible]
    return {name: value for name, value, possible in fields if possible}


def parse_battery(data: bytes, refused: list[str]) -> int | None:
    """Battery in % of a value of c4. None if implausible (``refused`` has the reason)."""
    if len(data) == 1 and data[0] <= 100:
        return data[0]
    refused.append(f"battery: {data[0]} % is over 100" if len(data) == 1 else f"battery: {len(data)} bytes, expected 1")
    return None


def parse_firmware(data: bytes) -> str | None:
    """The firmware's version, such as "1.1.2_0042". None if it is not a short printable text."""
    text = data.rstrip(b"\0").decode("ascii", "replace")
    return text if 0 < len(text) <= 20 and all("!" <= letter <= "~" for letter in text) else None
