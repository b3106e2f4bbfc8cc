"""MiFlora and its relatives over a connection: battery, firmware and live values. The log is in miflora_log.

::

    battery 1a02   [battery %][separator][firmware, ASCII ...]
    live    1a01   [temperature s16][?][light u32][moisture u8][conductivity u16][tail, 6 bytes]     after mode A0 1F

All numbers are little endian, temperature is in 0.1 °C (docs/protocol/miflora.md). Invariant: nothing that is sent
changes the sensor's log or settings.
"""

import re
import struct
from collections.abc import Mapping

import attrs
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher

from proxy_listener.gatt.interface import Answer, Gatt, RefusedError
from proxy_listener.model.advertisement import Address
from proxy_listener.model.errors import GattError
from proxy_listener.model.reading import Value


def uuid(short: str) -> str:
    """A characteristic, by the four digits in which they differ."""
    return f"0000{short}-0000-1000-8000-00805f9b34fb"


LOGIN, SESSION = uuid("0001"), uuid("0010")
MODE, LIVE, BATTERY = uuid("1a00"), uuid("1a01"), uuid("1a02")

_LIVE_ON = bytes.fromhex("a01f")
_SESSION_START = bytes.fromhex("90ca85de")
_LOGIN_END = bytes.fromhex("92ab54fa")
_TOKEN = bytes.fromhex("012203040506060504030201")
"""Any 12 bytes are accepted; the login only keeps the link open (docs/protocol/miflora.md#login). As a key the token is
doubled: cryptography accepts no RC4 key of 96 bits, and RC4 repeats a key until it has 256 bytes anyway."""

PLACEHOLDER = bytes.fromhex("aabbccddeeff99887766")
"""The value of 1a01 and 1a11 before the command that fills them."""

TAIL_SINCE = (2, 6, 6)
"""From this firmware on, bytes 10 to 15 of live data are never all zero, and the mode change is needed."""

_FIRMWARE = re.compile(r"\d{1,3}(\.\d{1,3}){1,3}")
LIGHT_LIMIT, CONDUCTIVITY_LIMIT, MOISTURE_LIMIT = 100_000, 10_000, 100
TEMPERATURE_LIMITS = (-40.0, 80.0)
_LIVE_TRIES = 3


@attrs.frozen
class Plant:
    """One model. ``settle``: seconds between mode change and read; ``again``: the same after a read that was too early.

    ``light``: it measures light. ``tail``: its live answer ends in the constant tail.
    """

    product_id: int
    settle: float
    light: bool
    tail: bool
    again: float = 1.0


PLANTS: Mapping[int, Plant] = {
    0x0098: Plant(0x0098, 0.5, light=True, tail=True),  # HHCCJCY01
    0x03BC: Plant(
        0x03BC, 1.0, light=True, tail=True
    ),  # GCLS002; other clients wait 1 s, too (docs/protocol/miflora.md#mode-change)
    0x015D: Plant(0x015D, 0.5, light=False, tail=False),  # HHCCPOT002, RoPot: 10 or 24 bytes, the light is no light
}


async def read(gatt: Gatt, plant: Plant) -> Answer:
    """Battery, firmware and live values, within the 5 s after which the sensor hangs up.

    Raises RefusedError if neither the battery nor the live values are plausible.
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
    return Answer(values, tuple(refused))


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
    """Battery in % and firmware version of an answer from 1a02. None if implausible (``refused`` has the reason)."""
    battery: int | None = None
    if len(data) < 7 or is_empty(data):
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
    """The values of an answer from 1a01. Raises RefusedError if the sensor had not measured yet, or cannot have."""
    if len(data) < 10:
        raise RefusedError(f"live data: {len(data)} bytes, expected 10 or more")
    if data.startswith(PLACEHOLDER):
        raise RefusedError("live data: the placeholder from before the mode change")
    if is_empty(data):
        raise RefusedError("live data: all bytes are the same")
    newer = firmware is not None and version_numbers(firmware) >= TAIL_SINCE
    if plant.tail and newer and len(data) >= 16 and not any(data[10:16]):
        raise RefusedError("live data: the tail is empty, nothing was measured yet")
    values = parse_values(data[:10], plant, "live data", refused)
    if "moisture" not in values or "temperature" not in values:
        raise RefusedError(f"live data: {refused.pop()}")
    return values


def is_empty(data: bytes) -> bool:
    """All bytes are 00, or all are FF."""
    return not any(data) or data == b"\xff" * len(data)


def parse_values(data: bytes, plant: Plant, what: str, refused: list[str]) -> dict[str, Value]:
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
    """Make the sensor keep the link, which it otherwise closes after a few seconds.

    A sensor without the login's characteristics is read for as long as the link lasts.
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
