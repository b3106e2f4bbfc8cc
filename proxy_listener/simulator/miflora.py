"""The GATT server of a simulated MiFlora: services, mode change, log, login, and its faults.

Operations by handle come in from a node's link; the bytes of docs/protocol/miflora.md go out. Invariant: it answers as
the sensor does, and :attr:`PlantSensor.live` has the values that a correct read returns.
"""

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Literal, TypeAlias

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.reading import Value
from proxy_listener.node import air
from proxy_listener.node.air import GattService, Lost, Notified, OpenError, OperationError
from proxy_listener.simulator import miflora_table as table

PLACEHOLDER = bytes.fromhex("aabbccddeeff99887766000000000000")
LOG_PLACEHOLDER = bytes.fromhex("aabbccddeeff99887766554433221110")
TAIL = bytes.fromhex("023c00fb349b")
SESSION_START, LOGIN_END = bytes.fromhex("90ca85de"), bytes.fromhex("92ab54fa")
LIVE_ON, LIVE_OFF, ERASE = bytes.fromhex("a01f"), bytes.fromhex("c01f"), bytes.fromhex("a20000")
MODE_NEEDED_SINCE = (2, 6, 6)
HOUR = 3600

Answer: TypeAlias = Literal["good", "placeholder", "short", "garbage", "zeros"]


@attrs.frozen
class SimulatedLogEntry:
    """One hour of the log: seconds of the device's clock, and what was measured in raw units."""

    seconds: int
    tenths: int
    light: int
    moisture: int
    conductivity: int

    def packed(self) -> bytes:
        """16 bytes."""
        return struct.pack("<IhxIBHxx", self.seconds, self.tenths, self.light, self.moisture, self.conductivity)


@attrs.define
class PlantFaults:
    """Faults of the sensor at present."""

    open_codes: list[int] = attrs.field(factory=list)  # each open consumes the first: [133] fails once
    absent: bool = False  # out of reach: the radio gives up after 20 s
    elsewhere: bool = False  # connected to a phone: it neither advertises nor accepts a link
    answer: Answer = "good"  # to a read of live data
    answers: int | None = None  # how many answers are bad; None: all
    hang: bool = False  # reads are never answered
    lose_after_write: int = 0  # how often the link is lost between a write and the next operation
    drop_after_entries: int | None = None  # after so many log entries the link is lost
    shifted: int = 0  # added to all handles, so that a cached table is wrong


@attrs.define(eq=False)
class PlantSensor:
    """One sensor. ``now``: the clock, seconds. ``link_limit``: seconds that it keeps a link without a login."""

    mac: Address
    product_id: int
    now: Callable[[], float]
    firmware: str = "3.2.1"
    battery: int = 97
    tenths: int = 234
    light: int = 171
    moisture: int = 21
    conductivity: int = 178
    link_limit: float = 5.0
    step: float = 0.04  # seconds of an operation: one or two connection intervals
    faults: PlantFaults = attrs.field(factory=PlantFaults)
    link: "PlantLink | None" = None
    opens: list[float] = attrs.field(factory=list)
    logins: int = 0
    erased: bool = False
    log: list[SimulatedLogEntry] = attrs.field(factory=list)  # newest first
    booted: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.booted = self.now() - 2_158_345

    @property
    def live(self) -> dict[str, float | int]:
        """The values that a correct read returns."""
        return {
            "temperature": self.tenths / 10,
            "illuminance": self.light,
            "moisture": self.moisture,
            "conductivity": self.conductivity,
            "battery": self.battery,
        }

    def measure(self, values: Mapping[str, Value]) -> None:
        """It measures these values now, as its advertisements say."""
        self.tenths = round(float(values.get("temperature", self.tenths / 10)) * 10)
        self.light = int(values.get("illuminance", self.light))
        self.moisture = int(values.get("moisture", self.moisture))
        self.conductivity = int(values.get("conductivity", self.conductivity))

    @property
    def clock(self) -> int:
        """Seconds since the battery went in."""
        return int(self.now() - self.booted)

    @property
    def advertises(self) -> bool:
        """It does not advertise while it is connected."""
        return self.link is None and not self.faults.elsewhere

    def fill_log(self, hours: int, chance: Random) -> None:
        """An entry for each of the last hours, on the hour of the device's clock."""
        latest = self.clock // HOUR * HOUR
        hours = min(hours, latest // HOUR)
        self.log = [
            SimulatedLogEntry(
                latest - HOUR * back,
                chance.randint(-50, 350),
                chance.randint(0, 30_000),
                chance.randint(5, 80),
                chance.randint(0, 2_000),
            )
            for back in range(hours)
        ]

    async def open(self, lost: Lost, notified: Notified) -> "PlantLink":
        """A link for one central; never returns if the sensor cannot be reached."""
        self.opens.append(self.now())
        if self.faults.open_codes:
            await asyncio.sleep(self.step)
            raise OpenError(self.faults.open_codes.pop(0))
        if self.faults.absent or not self.advertises:
            never: asyncio.Future[PlantLink] = asyncio.get_running_loop().create_future()
            return await never
        await asyncio.sleep(self.step)
        self.link = PlantLink(self, lost, notified)
        return self.link


class PlantLink:
    """One connection to a sensor and its state."""

    mtu = 23

    def __init__(self, sensor: PlantSensor, lost: Lost, notified: Notified) -> None:
        self._sensor = sensor
        self._lost = lost
        self._notified = notified
        self._live_on = False
        self._log_wanted: bytes | None = None
        self._entries = 0
        self._token: bytes | None = None
        self._session = False
        self._subscribed = False
        self._limit: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(
            sensor.link_limit, self._drop, air.HUNG_UP_BY_PEER
        )

    async def services(self) -> Sequence[GattService]:
        """The services with their present handles."""
        await asyncio.sleep(self._sensor.step * 4)
        return table.moved(self._sensor.faults.shifted)

    async def read(self, handle: int) -> bytes:
        """A characteristic's value."""
        uuid = await self._reach(handle)
        if self._sensor.faults.hang:
            await self._never()
        match uuid:
            case table.NAME:
                return b"Flower care"
            case table.MODE:
                return LIVE_ON if self._live_on else LIVE_OFF
            case table.LIVE:
                return self._read_live()
            case table.BATTERY:
                return bytes((self._sensor.battery, 0x28)) + self._sensor.firmware.encode()
            case table.LOG_DATA:
                return await self._read_log()
            case table.CLOCK:
                return self._sensor.clock.to_bytes(4, "little")
        return b""

    async def write(self, handle: int, data: bytes, response: bool) -> None:
        """Write a characteristic, or the descriptor that turns notifications on."""
        uuid = await self._reach(handle)
        match uuid:
            case table.MODE if response:
                # Without a response the sensor has not changed its mode when the read comes (ble2mqtt #98).
                self._live_on = {LIVE_ON: True, LIVE_OFF: False}.get(data, self._live_on)
            case table.LOG_CONTROL:
                self._log_wanted = data
                self._sensor.erased = self._sensor.erased or data == ERASE
            case table.SESSION:
                self._session = data == SESSION_START
            case table.LOGIN:
                self._log_in(data)
            case air.CLIENT_CONFIGURATION:
                self._subscribed = bool(data and data[0] & 1)
        if self._sensor.faults.lose_after_write > 0:
            self._sensor.faults.lose_after_write -= 1
            asyncio.get_running_loop().call_soon(self._drop, air.TIMED_OUT)

    def close(self) -> None:
        """The central ends it."""
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        if self._sensor.link is self:
            self._sensor.link = None

    async def _reach(self, handle: int) -> int:
        await asyncio.sleep(self._sensor.step)
        if self._sensor.link is not self:
            await self._never()
        uuid = table.uuid_at(handle - self._sensor.faults.shifted)
        if uuid is None:
            raise OperationError(air.INVALID_HANDLE)
        return uuid

    async def _never(self) -> None:
        await asyncio.get_running_loop().create_future()

    def _drop(self, reason: int) -> None:
        if self._sensor.link is self:
            self.close()
            self._lost(reason)

    def _read_live(self) -> bytes:
        sensor = self._sensor
        kind: Answer = "good"
        if sensor.faults.answers is None:
            kind = sensor.faults.answer
        elif sensor.faults.answers > 0:
            sensor.faults.answers -= 1
            kind = sensor.faults.answer
        needed = tuple(map(int, sensor.firmware.split("."))) >= MODE_NEEDED_SINCE
        good = struct.pack("<hxIBH", sensor.tenths, sensor.light, sensor.moisture, sensor.conductivity) + TAIL
        return {
            "good": good if self._live_on or not needed else PLACEHOLDER,
            "placeholder": PLACEHOLDER,
            "short": good[:7],
            "garbage": bytes.fromhex("ff7f00ffffffffffffff000000000000"),
            "zeros": bytes(16),
        }[kind]

    async def _read_log(self) -> bytes:
        log, wanted = self._sensor.log, self._log_wanted
        if wanted is None or len(wanted) != 3:
            return LOG_PLACEHOLDER
        if wanted[0] == 0xA0:
            return len(log).to_bytes(2, "little") + bytes.fromhex("7b04ba130800c815080000000000")
        index = int.from_bytes(wanted[1:], "little")
        if wanted[0] != 0xA1 or index >= len(log):
            return b"\xff" * 16
        self._entries += 1
        limit = self._sensor.faults.drop_after_entries
        if limit is not None and self._entries > limit:
            self._drop(air.TIMED_OUT)
            await self._never()
        return log[index].packed()

    def _log_in(self, data: bytes) -> None:
        """``RC4(mixA, token)``, then ``RC4(token, 92AB54FA)``: the sensor keeps the link only after it."""
        mix_a, mix_b = table.mixes(self._sensor.mac, self._sensor.product_id)
        if self._token is None:
            if self._session and len(data) == 12:
                self._token = table.rc4(mix_a, data)
                if self._subscribed:
                    self._notified(table.LOGIN_HANDLE, table.rc4(mix_a, table.rc4(mix_b, self._token)))
        elif table.rc4(self._token, data) == LOGIN_END and self._limit is not None:
            self._limit.cancel()
            self._sensor.logins += 1
