"""The log of LYWSD02 and LYWSD02MMC: a record an hour, fetched over as many connections as it takes.

::

    count   b9   [index of the newest record u32][records kept u32]
    first   ba   [index of the first record to send u32]                       before each subscription
    record  bc   [index u32][time u32][max temperature s16][max humidity u8][min temperature s16][min humidity u8]

Records are notifications, oldest first, without an end mark (docs/protocol/lywsd02.md#records). Their time is the
device's clock. Invariant: each record is stored once; after a lost link or notification the download continues at the
record that is missing; a record without a plausible time is counted and not stored.
"""

import struct
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

import attrs

from proxy_listener.gatt.interface import Gatt, LogProgress, ReadTarget, RefusedError, covered_from, covered_text
from proxy_listener.gatt.lywsd02 import LIVE, LIVE_WAIT, TEMPERATURE_LIMITS, Product, parse_live, read_time, uuid
from proxy_listener.model.errors import GattError
from proxy_listener.model.reading import Value

COUNT, FIRST, RECORDS = uuid("b9"), uuid("ba"), uuid("bc")

HOUR = 3_600
LOG_LIMIT = 5_000
"""Records that are fetched, at most: a device keeps about 4,650 (docs/protocol/lywsd02.md#count)."""

CLEAR = 5.0
"""°C by which one of the two scales of records must fit better than the other."""


@attrs.frozen
class RecordLog:
    """The newest record's index and the number of records. ``ahead``: seconds by which the clock is ahead of UTC."""

    newest: int
    kept: int
    ahead: float

    @property
    def oldest(self) -> int:
        """The index of the oldest record that is fetched."""
        return max(0, self.newest - min(self.kept, LOG_LIMIT) + 1)


@attrs.frozen
class HourRecord:
    """The highest and lowest values of an hour, in raw units. ``seconds``: of the device's clock."""

    index: int
    seconds: int
    highest: int
    most: int
    lowest: int
    least: int

    def time(self, log: RecordLog) -> float:
        """Seconds since 1970, if the clock was as much ahead as it was when ``log`` was read."""
        return float(round(self.seconds - log.ahead))

    def values(self, divisor: int) -> Mapping[str, Value]:
        """The hour's values; none if one of them is out of range or a minimum is above its maximum."""
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
    """The log's size, and how far the clock is ahead. Raises RefusedError if either is not a number."""
    time = await read_time(gatt)
    ahead = time.seconds - wall()
    return parse_count(await gatt.read(COUNT), ahead)


def parse_count(data: bytes, ahead: float) -> RecordLog:
    """A value of b9. Raises RefusedError if it is not the size of a log."""
    if len(data) != 8 or data == b"\xff" * 8:
        raise RefusedError(f"history: {len(data)} bytes are no number of records")
    newest, kept = struct.unpack("<II", data)
    return RecordLog(newest, kept, ahead)


def parse_record(data: bytes) -> HourRecord | None:
    """A notification of bc; None if it is not a record."""
    return HourRecord(*struct.unpack("<IIhBhB", data)) if len(data) == 14 else None


async def read_records(gatt: Gatt, product: Product, log: RecordLog, start: int) -> AsyncGenerator[HourRecord, None]:
    """The records from index ``start`` to the newest, each once, in order.

    If one is missing, the device is asked again from there; one that is missing twice does not exist. Raises GattError
    if the device stops before the newest record.
    """
    expected, missing = start, False
    while expected <= log.newest:
        before = expected
        await gatt.write(FIRST, struct.pack("<I", expected), response=True)
        async with gatt.notifications(RECORDS) as arriving:
            # A device that ignores the index sends all its records.
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


async def read_divisor(gatt: Gatt, product: Product, log: RecordLog) -> int:
    """The divisor of the temperatures of records, 10 or 100.

    If the product's is unknown, the newest record is compared with the present temperature. Raises RefusedError if both
    divisors fit, or none does.
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
    """Which of 10 and 100 brings the record near ``temperature``; None if neither does, or both do."""

    def distance(divisor: int) -> float:
        return abs((record.highest + record.lowest) / 2 / divisor - temperature)

    near, far = sorted((10, 100), key=distance)
    return near if distance(near) <= CLEAR and distance(far) >= distance(near) + CLEAR else None


@attrs.frozen
class CoveredRecords:
    """What earlier runs fetched: records ``first`` to ``newest``, and the newest one's ``seconds``."""

    first: int = attrs.field(converter=int)
    newest: int = attrs.field(converter=int)
    seconds: int = attrs.field(converter=int)


class RecordDownload:
    """The download of one device's log: a :class:`~proxy_listener.gatt.interface.Download`."""

    def __init__(self, product: Product, target: ReadTarget, progress: LogProgress) -> None:
        self._product = product
        self._target = target
        self._progress = progress
        self._before = covered_from(CoveredRecords, progress.covered)
        self._covered: CoveredRecords | None = None
        self._next: int | None = None
        self._first: int | None = None
        self._divisor: int | None = None

    async def log_in(self, gatt: Gatt) -> None:
        """The device keeps a link without a login."""

    async def advance(self, gatt: Gatt, notify: Callable[[int, int], None]) -> None:
        """As :meth:`Download.advance`."""
        log, progress = await read_log(gatt, self._now), self._progress
        if log.kept == 0:
            progress.complete = True
            return
        if self._divisor is None:
            self._divisor = await read_divisor(gatt, self._product, log)
        if self._next is None:
            self._next = await self._start(gatt, log)
        elif not log.newest - LOG_LIMIT < self._next <= log.newest + 1:
            raise RefusedError("history: the device began a new log meanwhile")
        progress.wanted = progress.done + log.newest + 1 - self._next
        notify(progress.done, progress.wanted)
        async with aclosing(read_records(gatt, self._product, log, self._next)) as records:
            async for record in records:
                progress.skipped += record.index - self._next
                self._next = record.index + 1
                self._add(record, log, self._divisor)
                notify(progress.done, progress.wanted)
        progress.complete = True

    def covered(self) -> str | None:
        """As :meth:`Download.covered`."""
        covered = self._covered or self._before
        return None if covered is None else covered_text(covered)

    def _now(self) -> float:
        return self._target.local().seconds

    async def _start(self, gatt: Gatt, log: RecordLog) -> int:
        """The first record to fetch.

        Records that an earlier run covered are left out, if the newest of them still has its index and its time.
        """
        hours = max(0, int((self._now() - self._progress.since) // HOUR) + 1)
        wanted = max(log.oldest, log.newest + 1 - hours)
        before = self._before
        if before is None or not before.first <= wanted <= before.newest <= log.newest:
            return wanted
        last = attrs.evolve(log, newest=before.newest)
        async with aclosing(read_records(gatt, self._product, last, before.newest)) as records:
            async for record in records:
                if record.seconds == before.seconds:
                    self._first, self._covered = before.first, before
                    self._progress.known += before.newest + 1 - wanted
                    return before.newest + 1
        return wanted

    def _add(self, record: HourRecord, log: RecordLog, divisor: int) -> None:
        """Count or store one record."""
        self._first = record.index if self._first is None else self._first
        self._covered = CoveredRecords(self._first, record.index, record.seconds)
        time, now = record.time(log), self._now()
        values = record.values(divisor)
        if not values or not max(self._progress.since, now - LOG_LIMIT * HOUR) <= time <= now + HOUR:
            self._progress.skipped += 1
        else:
            self._progress.add(time, values, HOUR)
