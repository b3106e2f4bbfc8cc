"""The log of LYWSD02 and LYWSD02MMC: a record an hour, fetched over as many connections as it takes.

::

    count   b9   [index of the newest record u32][records kept u32]
    first   ba   [index of the first record to send u32]                       before each subscription
    record  bc   [index u32][time u32][max temperature s16][max humidity u8][min temperature s16][min humidity u8]

Records are notifications, oldest first, without an end mark (docs/protocol/lywsd02.md#records). Their time is the
clock's own. The rule of this file: a lost link or a lost notification continues at the record that is missing; a record
without a believable time or scale is counted, not stored.
"""

import struct
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

import attrs

from proxy_listener.gatt.lywsd02 import (
    LIVE,
    LIVE_WAIT,
    TEMPERATURE_LIMITS,
    NotifyingGatt,
    Product,
    parse_live,
    read_time,
    uuid,
)
from proxy_listener.gatt.miflora import Gatt, RefusedError
from proxy_listener.model.errors import GattError
from proxy_listener.model.reading import Value

COUNT, FIRST, RECORDS = uuid("b9"), uuid("ba"), uuid("bc")

HOUR = 3_600
LOG_LIMIT = 5_000
"""Records that are asked for, at most: a device keeps about 4,650 (docs/protocol/lywsd02.md#count)."""

CLEAR = 5.0
"""°C by which one scale of records must fit better than the other."""


@attrs.frozen
class RecordLog:
    """A log as it stood. ``ahead``: seconds by which the clock, and so the time of new records, was ahead of UTC."""

    newest: int
    kept: int
    ahead: float

    @property
    def oldest(self) -> int:
        """The index of the oldest record that is asked for."""
        return max(0, self.newest - min(self.kept, LOG_LIMIT) + 1)


@attrs.frozen
class HourRecord:
    """The highest and lowest values of an hour, as sent. ``seconds`` is of the device's clock."""

    index: int
    seconds: int
    highest: int
    most: int
    lowest: int
    least: int

    def time(self, log: RecordLog) -> float:
        """Seconds since 1970, for a clock that ran then as it ran when ``log`` was read."""
        return float(round(self.seconds - log.ahead))

    def values(self, divisor: int) -> Mapping[str, Value]:
        """The hour's values; none where one of them is out of its range or a minimum is above its maximum."""
        low, high = self.lowest / divisor, self.highest / divisor
        if not TEMPERATURE_LIMITS[0] <= low <= high <= TEMPERATURE_LIMITS[1] or not self.least <= self.most <= 100:
            return {}
        return {
            "temperature_min": low,
            "temperature_max": high,
            "humidity_min": self.least,
            "humidity_max": self.most,
        }


async def read_log(gatt: Gatt, wall: Callable[[], float]) -> RecordLog:
    """The log's size, and how far the clock is ahead. Raises RefusedError where either is no number."""
    time = await read_time(gatt)
    ahead = time.seconds - wall()
    return parse_count(await gatt.read(COUNT), ahead)


def parse_count(data: bytes, ahead: float) -> RecordLog:
    """A value of b9. Raises RefusedError where it is no size of a log."""
    if len(data) != 8 or data == b"\xff" * 8:
        raise RefusedError(f"history: {len(data)} bytes are no number of records")
    newest, kept = struct.unpack("<II", data)
    return RecordLog(newest, kept, ahead)


def parse_record(data: bytes) -> HourRecord | None:
    """A notification of bc; None where it is no record."""
    return HourRecord(*struct.unpack("<IIhBhB", data)) if len(data) == 14 else None


async def read_records(
    gatt: NotifyingGatt, product: Product, log: RecordLog, start: int
) -> AsyncGenerator[HourRecord, None]:
    """The records from index ``start`` to the newest, each once, in order.

    Where one is missing the device is asked again from there; one that is missing twice does not exist. Raises
    GattError where the device sends no more although there is more.
    """
    expected, missing = start, False
    while expected <= log.newest:
        before = expected
        await gatt.write(FIRST, struct.pack("<I", expected), response=True)
        async with gatt.notifications(RECORDS) as arriving:
            # A device that ignores the index sends all its records: as many are passed over, and no more.
            for _ in range(2 * LOG_LIMIT):
                data = await arriving.next(product.silence)
                if data is None:
                    break
                record = parse_record(data)
                if record is None or record.index < expected:
                    continue
                if record.index > log.newest or (record.index > expected and not missing):
                    break
                expected, missing = record.index + 1, False
                yield record
                if expected > log.newest:
                    break
        if expected == before and missing:
            raise GattError("timeout", f"the device sends no record from index {expected} on")
        missing = True


async def read_divisor(gatt: NotifyingGatt, product: Product, log: RecordLog) -> int:
    """What the temperatures of records are divided by, 10 or 100.

    Where the product's is not known, the newest record is compared with the present temperature: they are an hour
    apart. Raises RefusedError where that leaves a doubt.
    """
    if product.record_divisor is not None:
        return product.record_divisor
    async with gatt.notifications(LIVE) as arriving:
        live = parse_live(await arriving.next(LIVE_WAIT) or b"", [])
    temperature = live.get("temperature")
    async with aclosing(read_records(gatt, product, log, log.newest)) as records:
        async for newest in records:
            divisor = fitting_divisor(newest, temperature) if isinstance(temperature, float) else None
            if divisor is not None:
                return divisor
    raise RefusedError("history: whether records are in 0.1 or 0.01 °C is not clear now")


def fitting_divisor(record: HourRecord, temperature: float) -> int | None:
    """Which of 10 and 100 brings the record near ``temperature``; None where neither does, or both."""

    def distance(divisor: int) -> float:
        return abs((record.highest + record.lowest) / 2 / divisor - temperature)

    near, far = sorted((10, 100), key=distance)
    return near if distance(near) <= CLEAR and distance(far) >= distance(near) + CLEAR else None


@attrs.frozen
class CoveredRecords:
    """What earlier runs fetched: records ``first`` to ``newest``, and the newest one's time by the device's clock."""

    first: int
    newest: int
    seconds: int


@attrs.define
class RecordDownload:
    """One device's log on its way.

    ``since``: seconds since 1970, older records are not wanted. ``known`` says whether the journal has a record of
    that time already, ``store`` is called with the time and the values of each new one. ``wall`` tells seconds since
    1970. ``before``: what earlier runs covered.
    """

    product: Product
    since: float
    known_at: Callable[[float], bool]
    store: Callable[[float, Mapping[str, Value]], None]
    wall: Callable[[], float]
    before: CoveredRecords | None = None
    stored: int = 0
    known: int = 0
    skipped: int = 0
    complete: bool = False
    covered: CoveredRecords | None = None
    _wanted: int = 0
    _next: int | None = None
    _first: int | None = None
    _divisor: int | None = None

    @property
    def done(self) -> int:
        """Records whose fate is known."""
        return self.stored + self.known + self.skipped

    async def advance(self, gatt: NotifyingGatt, tell: Callable[[int, int], None]) -> None:
        """Fetch on, until the end or until the connection fails: GattError. ``tell`` gets done and wanted records.

        Raises RefusedError where the log makes no sense.
        """
        log = await read_log(gatt, self.wall)
        if log.kept == 0:
            self.complete = True
            return
        if self._divisor is None:
            self._divisor = await read_divisor(gatt, self.product, log)
        if self._next is None:
            self._next = await self._start(gatt, log)
        elif self._next > log.newest + 1:
            raise RefusedError("history: the device began a new log meanwhile")
        self._wanted = self.done + log.newest + 1 - self._next
        tell(self.done, self._wanted)
        async with aclosing(read_records(gatt, self.product, log, self._next)) as records:
            async for record in records:
                self.skipped += record.index - self._next
                self._next = record.index + 1
                self._take(record, log, self._divisor)
                tell(self.done, self._wanted)
        self.complete = True

    async def _start(self, gatt: NotifyingGatt, log: RecordLog) -> int:
        """The first record to fetch. Numbering is the old one where the last known record still has its time."""
        hours = max(0, int((self.wall() - self.since) // HOUR) + 1)
        wanted = max(log.oldest, log.newest + 1 - hours)
        before = self.before
        if before is None or not before.first <= wanted <= before.newest <= log.newest:
            return wanted
        last = attrs.evolve(log, newest=before.newest)
        async with aclosing(read_records(gatt, self.product, last, before.newest)) as records:
            async for record in records:
                if record.seconds == before.seconds:
                    self._first = before.first
                    return before.newest + 1
        return wanted

    def _take(self, record: HourRecord, log: RecordLog, divisor: int) -> None:
        """Count or store one record."""
        self._first = record.index if self._first is None else self._first
        self.covered = CoveredRecords(self._first, record.index, record.seconds)
        time, now = record.time(log), self.wall()
        values = record.values(divisor)
        if not values or not max(self.since, now - LOG_LIMIT * HOUR) <= time <= now + HOUR:
            self.skipped += 1
        elif self.known_at(time):
            self.known += 1
        else:
            self.stored += 1
            self.store(time, values)
