"""LYWSD02 and LYWSD02MMC over a connection: the clock, live values, battery and unit. Its log is in lywsd02_log.

::

    time    b7   [seconds since 1970 u32][hours of the time zone s8]           read also with two bytes more
    unit    be   [01 °F; ff or 00 °C]
    live    c1   [temperature s16][humidity u8]                                as a notification only
                 [temperature s16][humidity u8][battery, mV, u16]
    battery c4   [battery % u8]
    firmware     ASCII, characteristic 2a26

All numbers are little endian, temperature is in 0.01 °C (docs/protocol/lywsd02.md). The rule of this file: an answer is
what the device measured or it is refused by name; nothing that erases its log or leaves its clock unset can be sent.
"""

import struct
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import attrs

from proxy_listener.gatt.miflora import Answer, Gatt, RefusedError
from proxy_listener.model.errors import GattError
from proxy_listener.model.reading import Value


class Notifications(Protocol):
    """What a device sent for one characteristic, in its order."""

    async def next(self, seconds: float) -> bytes | None:
        """The next value, None where none came for so long. Raises GattError where the link is lost meanwhile."""
        ...


class NotifyingGatt(Gatt, Protocol):
    """A connection to a device that also sends by itself."""

    def notifications(self, characteristic: str) -> AbstractAsyncContextManager[Notifications]:
        """The notifications of a characteristic, as long as this is open. Raises GattError."""
        ...


def uuid(last: str) -> str:
    """A characteristic of the device's own service, by the two digits in which they differ."""
    return f"ebe0cc{last}-7a0a-4b0c-8a1a-6ff2997da3a6"


TIME, UNIT, LIVE, BATTERY = uuid("b7"), uuid("be"), uuid("c1"), uuid("c4")
FIRMWARE = "00002a26-0000-1000-8000-00805f9b34fb"

FAHRENHEIT = 0x01
CELSIUS = (0xFF, 0x00)

LIVE_WAIT = 10.0
"""Seconds until the first notification of live values, at most: they come every 6 s (docs/protocol/lywsd02.md#live)."""

SET_TOLERANCE = 5
"""Seconds by which the time that is read back may differ from the time that was written."""

SET_SINCE = 1_600_000_000
"""A clock of this computer before this (September 2020) was never set. Devices ignore dates before their making."""

HOURS = range(-12, 15)
"""Whole hours that a time zone is ahead of UTC."""

TEMPERATURE_LIMITS = (-40.0, 85.0)
MILLIVOLTS = range(1_500, 3_801)
"""What a device on lithium coin cells can run on, with room."""


@attrs.frozen
class Product:
    """What differs between products.

    ``celsius``: the byte for °C. ``record_divisor``: what a record's temperature is divided by, None where that is not
    known. ``silence``: seconds without a record after which the device has sent all that it wanted to send.
    """

    product_id: int
    celsius: int
    record_divisor: int | None
    silence: float = 5.0


PRODUCTS: Mapping[int, Product] = {
    0x045B: Product(0x045B, 0xFF, 100),  # LYWSD02
    0x16E4: Product(0x16E4, 0xFF, None),  # LYWSD02MMC
    0x2542: Product(0x2542, 0x00, None),  # LYWSD02MMC with a Telink chip
}
"""docs/protocol/lywsd02.md#products"""


@attrs.frozen
class LocalTime:
    """Seconds since 1970, and by how many seconds local time is ahead of UTC then."""

    seconds: float
    offset: int


@attrs.frozen
class ClockTime:
    """A device's clock: seconds since 1970 as it counts them, and the hours of its time zone."""

    seconds: int
    hours: int

    def drift(self, now: LocalTime) -> int:
        """Seconds by which the displayed time is ahead of local time.

        Compared as displayed, because the minutes of a zone such as UTC+5:30 are part of ``seconds``.
        """
        return round(self.seconds + 3600 * self.hours - now.seconds - now.offset)


async def read(gatt: NotifyingGatt, local: Callable[[], LocalTime]) -> Answer:
    """Clock drift, battery, firmware and live values. ``local`` tells the time.

    Raises RefusedError where neither the battery nor a live value could be believed, GattError as ``gatt`` does.
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
    return Answer(values, firmware, battery, tuple(refused))


async def _read_live(gatt: NotifyingGatt, refused: list[str]) -> dict[str, Value]:
    async with gatt.notifications(LIVE) as values:
        data = await values.next(LIVE_WAIT)
    if data is None:
        raise GattError("timeout", f"the device sent no live values within {LIVE_WAIT:.0f} s")
    return parse_live(data, refused)


async def read_time(gatt: Gatt) -> ClockTime:
    """The device's clock. Raises RefusedError where it is no time of day."""
    return parse_time(await gatt.read(TIME))


async def set_time(gatt: Gatt, local: Callable[[], LocalTime]) -> ClockTime:
    """Set the clock to local time; the time that the device then says. Raises RefusedError where it did not take it."""
    await gatt.write(TIME, pack_time(local()), response=True)
    told = await read_time(gatt)
    if abs(told.drift(local())) > SET_TOLERANCE:
        raise RefusedError(f"clock: {told.drift(local())} s off after it was set")
    return told


async def read_fahrenheit(gatt: Gatt) -> bool:
    """Whether the display shows °F. Raises RefusedError where the answer is no unit."""
    return parse_unit(await gatt.read(UNIT))


async def set_fahrenheit(gatt: Gatt, product: Product, fahrenheit: bool) -> None:
    """Let the display show °F or °C. Live values and records stay in °C."""
    await gatt.write(UNIT, pack_unit(product, fahrenheit), response=True)


def parse_time(data: bytes) -> ClockTime:
    """A value of b7. Raises RefusedError where it is none, or the clock was never set."""
    if len(data) < 5:
        raise RefusedError(f"clock: {len(data)} bytes, expected 5")
    seconds, hours = struct.unpack_from("<Ib", data)
    if hours not in HOURS:
        raise RefusedError(f"clock: a time zone of {hours} hours")
    return ClockTime(seconds, hours)


def pack_time(now: LocalTime) -> bytes:
    """The 5 bytes that set the clock. Only whole hours have a field; the rest of a zone is added to the seconds.

    Raises RefusedError where this computer's clock is not set.
    """
    if now.seconds < SET_SINCE:
        raise RefusedError("clock: this computer's clock is not set")
    hours, rest = divmod(now.offset, 3600)
    return struct.pack("<Ib", round(now.seconds) + rest, hours)


def parse_live(data: bytes, refused: list[str]) -> dict[str, Value]:
    """The values of a notification of c1. A field out of its range was not measured, and is named in ``refused``."""
    if len(data) not in {3, 5}:
        refused.append(f"live values: {len(data)} bytes, expected 3 or 5")
        return {}
    hundredths, humidity = struct.unpack_from("<hB", data)
    temperature = hundredths / 100
    fields: list[tuple[str, Value, bool]] = [
        ("temperature", temperature, TEMPERATURE_LIMITS[0] <= temperature <= TEMPERATURE_LIMITS[1]),
        ("humidity", humidity, humidity <= 100),
    ]
    if len(data) == 5:
        millivolts = int.from_bytes(data[3:], "little")
        fields.append(("voltage", millivolts / 1000, millivolts in MILLIVOLTS))
    refused += [f"live values: {name} {value} is out of range" for name, value, possible in fields if not possible]
    return {name: value for name, value, possible in fields if possible}


def parse_battery(data: bytes, refused: list[str]) -> int | None:
    """Battery in % of a value of c4; None where it is none, named in ``refused``."""
    if len(data) == 1 and data[0] <= 100:
        return data[0]
    refused.append(f"battery: {data[0]} % is over 100" if len(data) == 1 else f"battery: {len(data)} bytes, expected 1")
    return None


def parse_firmware(data: bytes) -> str | None:
    """The firmware's version, such as "1.1.2_0042". None where it is no short printable text."""
    text = data.rstrip(b"\0").decode("ascii", "replace")
    return text if 0 < len(text) <= 20 and all("!" <= letter <= "~" for letter in text) else None


def parse_unit(data: bytes) -> bool:
    """Whether a value of be says °F. Raises RefusedError where it is no unit."""
    if data == bytes((FAHRENHEIT,)):
        return True
    if len(data) == 1 and data[0] in CELSIUS:
        return False
    raise RefusedError(f"unit: {data[:4].hex()} is no unit")


def pack_unit(product: Product, fahrenheit: bool) -> bytes:
    """The byte that sets the display's unit."""
    return bytes((FAHRENHEIT if fahrenheit else product.celsius,))
