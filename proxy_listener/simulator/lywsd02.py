"""A LYWSD02's GATT side: a clock that drifts, live values and a log of records as notifications.

Operations by handle come in from a node's link; bytes of docs/protocol/lywsd02.md go out. Invariant: it answers as the
device does, also where that is unhelpful; ``live`` has the true values.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from random import Random

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.reading import Value
from proxy_listener.node import air
from proxy_listener.node.air import GattService, Lost, Notified, OpenError, OperationError
from proxy_listener.simulator import lywsd02_table as table

HOUR = 3_600
KEPT = 4_650
"""Records of a full log."""

INVALID_LENGTH = 0x0D
"""ATT's error for a value of the wrong length."""

OLDEST_DATE = 1_546_300_800
"""2019-01-01: earlier dates are ignored."""


@attrs.frozen
class SimulatedRecord:
    """One hour: its index, the clock's seconds at its time, and the highest and lowest raw values."""

    index: int
    seconds: int
    highest: int
    most: int
    lowest: int
    least: int

    def packed(self) -> bytes:
        """14 bytes."""
        return struct.pack("<IIhBhB", *attrs.astuple(self))


@attrs.define
class ClockFaults:
    """What is wrong with the device; tests set it."""

    open_codes: list[int] = attrs.field(factory=list)  # each open takes the first: [133] fails once
    absent: bool = False  # out of reach
    silent: bool = False  # sends no live values
    stubborn: bool = False  # confirms a new time, and keeps its own
    lost_once: set[int] = attrs.field(factory=set)  # records whose first notification gets lost
    missing: set[int] = attrs.field(factory=set)  # records that it never sends
    drop_after_records: int | None = None  # the link is lost after so many records


@attrs.define(eq=False)
class ClockSensor:
    """One device. ``now`` gives seconds since 1970; ``ppm`` is by how much the clock runs fast, in millionths."""

    mac: Address
    product_id: int
    now: Callable[[], float]
    firmware: str = "1.1.2_0042"
    battery: int = 78
    hundredths: int = 2755
    humidity: int = 54
    millivolts: int = 2804
    unit: int = 0xFF
    hours: int = 0
    ppm: float = 0.0
    record_divisor: int = 100
    step: float = 0.04  # seconds that an operation takes
    interval: float = 6.0  # seconds between notifications of live values
    pace: float = 0.03  # seconds between two records
    faults: ClockFaults = attrs.field(factory=ClockFaults)
    link: "ClockLink | None" = None
    opens: list[float] = attrs.field(factory=list)
    writes: list[tuple[int, bytes]] = attrs.field(factory=list)  # (UUID, value)
    log: deque[SimulatedRecord] = attrs.field(factory=lambda: deque(maxlen=KEPT))  # oldest first
    _set_at: float = attrs.field(init=False)
    _set_to: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._set_at = self._set_to = self.now()

    @property
    def live(self) -> dict[str, float | int]:
        """The values that a read must give."""
        return {"temperature": self.hundredths / 100, "humidity": self.humidity, "battery": self.battery}

    def measure(self, values: Mapping[str, Value]) -> None:
        """It measures these values now, as its advertisements say."""
        self.hundredths = round(float(values.get("temperature", self.hundredths / 100)) * 100)
        self.humidity = int(values.get("humidity", self.humidity))

    @property
    def clock(self) -> float:
        """Seconds since 1970 as the device counts them."""
        return self._set_to + (self.now() - self._set_at) * (1 + self.ppm / 1_000_000)

    @property
    def advertises(self) -> bool:
        """Not while it is connected."""
        return self.link is None

    def set_clock(self, seconds: float) -> None:
        """Set its clock to this time."""
        self._set_at, self._set_to = self.now(), seconds

    def fill_log(self, hours: int, chance: Random, first: int = 0) -> None:
        """A record for each of the last hours, on the hour of the device's clock, numbered from ``first``."""
        latest = int(self.clock) // HOUR * HOUR
        for index in range(hours):
            low = chance.randint(500, 2_500) * self.record_divisor // 100
            least = chance.randint(20, 60)
            seconds = latest - HOUR * (hours - 1 - index)
            high = low + chance.randint(0, 300) * self.record_divisor // 100
            self.log.append(SimulatedRecord(first + index, seconds, high, least + chance.randint(0, 20), low, least))

    async def open(self, lost: Lost, notified: Notified) -> "ClockLink":
        """A link for one central. Never returns if the device is out of reach."""
        self.opens.append(self.now())
        if self.faults.open_codes:
            await asyncio.sleep(self.step)
            raise OpenError(self.faults.open_codes.pop(0))
        if self.faults.absent or not self.advertises:
            never: asyncio.Future[ClockLink] = asyncio.get_running_loop().create_future()
            return await never
        await asyncio.sleep(self.step)
        self.link = ClockLink(self, lost, notified)
        return self.link


class ClockLink:
    """One central's connection, with the subscriptions that end with it."""

    mtu = 23

    def __init__(self, sensor: ClockSensor, lost: Lost, notified: Notified) -> None:
        self._sensor = sensor
        self._lost = lost
        self._notified = notified
        self._first = 0
        self._sent = 0
        self._sending: dict[int, asyncio.Task[None]] = {}

    async def services(self) -> Sequence[GattService]:
        """The table."""
        await asyncio.sleep(self._sensor.step * 4)
        return table.SERVICES

    async def read(self, handle: int) -> bytes:
        """A characteristic's value. Live values and records have none: they are only sent."""
        await self._reach()
        sensor = self._sensor
        match table.UUIDS.get(handle):
            case table.NAME:
                return b"LYWSD02"
            case table.FIRMWARE:
                return sensor.firmware.encode()
            case table.TIME:
                tail = bytes(2 if sensor.product_id == 0x2542 else 0)
                return struct.pack("<Ib", int(sensor.clock), sensor.hours) + tail
            case table.COUNT:
                return struct.pack("<II", sensor.log[-1].index if sensor.log else 0, len(sensor.log))
            case table.FIRST:
                return struct.pack("<I", self._first)
            case table.UNIT:
                return bytes((sensor.unit,))
            case table.BATTERY:
                return bytes((sensor.battery,))
            case None:
                raise OperationError(air.INVALID_HANDLE)
        return b""

    async def write(self, handle: int, data: bytes, response: bool) -> None:
        """Write a characteristic, or a descriptor that turns notifications on or off."""
        await self._reach()
        if handle in {table.LIVE_SWITCH, table.RECORDS_SWITCH}:
            self._switch(handle, on=data[:1] == b"\x01")
            return
        uuid = table.UUIDS.get(handle)
        if uuid is None:
            raise OperationError(air.INVALID_HANDLE)
        lengths = {table.TIME: 5, table.FIRST: 4, table.UNIT: 1}
        if len(data) != lengths.get(uuid, len(data)):
            raise OperationError(INVALID_LENGTH)
        self._sensor.writes.append((uuid, data))
        # A time that is written without response was seen to get lost (docs/protocol/lywsd02.md#time).
        if uuid == table.TIME and response:
            self._set_time(*struct.unpack("<Ib", data))
        elif uuid == table.FIRST:
            self._first = int.from_bytes(data, "little")
        elif uuid == table.UNIT:
            self._sensor.unit = data[0]

    def close(self) -> None:
        """The central ended it."""
        for task in self._sending.values():
            task.cancel()
        self._sending.clear()
        if self._sensor.link is self:
            self._sensor.link = None

    def _set_time(self, seconds: int, hours: int) -> None:
        if seconds >= OLDEST_DATE and not self._sensor.faults.stubborn:
            self._sensor.set_clock(seconds)
            self._sensor.hours = hours

    def _switch(self, handle: int, *, on: bool) -> None:
        """Begin or end a subscription. That to records begins at the index that was written; the next one at 0."""
        if (task := self._sending.pop(handle, None)) is not None:
            task.cancel()
        if not on:
            return
        if handle == table.LIVE_SWITCH:
            sender = self._send_live()
        else:
            first, self._first = self._first, 0
            sender = self._send_records(first)
        self._sending[handle] = asyncio.get_running_loop().create_task(sender)

    async def _send_live(self) -> None:
        sensor = self._sensor
        while not sensor.faults.silent:
            await asyncio.sleep(sensor.interval)
            data = struct.pack("<hB", sensor.hundredths, sensor.humidity)
            if sensor.product_id == 0x2542:
                data += sensor.millivolts.to_bytes(2, "little")
            self._notified(table.LIVE_HANDLE, data)

    async def _send_records(self, first: int) -> None:
        faults = self._sensor.faults
        for record in [record for record in self._sensor.log if record.index >= first]:
            await asyncio.sleep(self._sensor.pace)
            if record.index in faults.missing:
                continue
            if record.index in faults.lost_once:
                faults.lost_once.remove(record.index)
                continue
            if faults.drop_after_records is not None and self._sent >= faults.drop_after_records:
                self._drop(air.TIMED_OUT)
                return
            self._sent += 1
            self._notified(table.RECORDS_HANDLE, record.packed())

    async def _reach(self) -> None:
        await asyncio.sleep(self._sensor.step)
        if self._sensor.link is not self:
            await asyncio.get_running_loop().create_future()

    def _drop(self, reason: int) -> None:
        if self._sensor.link is self:
            self.close()
            self._lost(reason)
