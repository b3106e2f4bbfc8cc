"""What one proxy hears: the library's messages in, ``hear(...)`` calls and counts out. THE HOT EDGE.

The rule of this file: fields that no radio sends are dropped before anything is stored, one bad advertisement never
costs its batch-mates, and no proxy can make us do more than ``flood_rate`` allows for long.
"""

import time
from collections.abc import Callable
from math import exp
from typing import Any, TypeAlias

import structlog
from aioesphomeapi.model import BluetoothLEAdvertisement

from proxy_listener.model.advertisement import ADDRESS_LIMIT, SERVICE_DATA_16, find_ours
from proxy_listener.model.outcome import Outcome
from proxy_listener.proxies.parsed import payload
from proxy_listener.proxies.timing import Timing

log = structlog.get_logger()

Hear: TypeAlias = Callable[[str, int, int, int, bytes, float, float], Outcome]
"""``hear(proxy, address, address_type, rssi, data, time, heard)``, synchronous, once per advertisement."""

LetGo: TypeAlias = Callable[[int], object]
"""``let_go(count)``: so many advertisements hold no service data of ours, and nobody needs to look at them."""

LONGEST = 255
"""Bytes of data; firmware sends 62 at most (31 advertised, 31 of the scan response)."""
WEAKEST, STRONGEST = -127, 20
"""dBm: what Bluetooth can report; 0 means that the proxy did not say."""
BATCH = 256
"""Advertisements in one message; firmware batches 16."""
_OVERSIZED = 16
"""Oversized advertisements after which a proxy is benched: an honest one sends none."""
_WINDOW = 0.5
"""Seconds over which the rate is measured for the flood."""
_FORGIVEN = 30.0
"""Seconds of peace after which a flood just short of the limit is forgotten: one in pulses is a flood, too."""
_BURST = 2.0
"""Seconds of a flood that a burst with silence behind it counts for: one may be what the kernel kept while this process
was stopped, the next within seconds is not.
"""
_MINUTE, _SETTLE = 60.0, 10.0
_NOT_OURS, _REFUSED, _LAST = int(Outcome.NOT_OURS), int(Outcome.REFUSED), max(Outcome)


class Hearing:
    """Counts and passes on what one proxy hears, over its sessions."""

    def __init__(
        self, name: str, hear: Hear, timing: Timing, clock: Callable[[], float], let_go: LetGo | None = None
    ) -> None:
        self.name = name
        self.hear = hear
        self.let_go = let_go
        self._timing = timing
        self._room = int(timing.flood_rate * timing.flood)
        self._clock = clock
        self.count = 0
        self.heard: float | None = None
        self.outcomes = [0] * (_LAST + 1)
        self.failed = 0
        self.dropped = 0
        self.misbehaviour: str | None = None
        self._alarm: Callable[[str], None] | None = None
        self._rate = 0.0
        self._began = clock()
        self._oversized = 0
        self._window = self._began
        self._window_count = 0
        self._over = 0.0
        self._minute = self._began
        self._minute_count = 0

    def session(self, alarm: Callable[[str], None]) -> None:
        """A new session: earlier misbehaviour is forgiven. ``alarm`` is called once, with what it did."""
        self._alarm = alarm
        self.misbehaviour = None
        self._oversized = 0
        self._over = 0.0

    def raw(self, message: Any) -> None:
        """A ``BluetoothLERawAdvertisementsResponse`` (protobuf's classes carry no types): up to 16 advertisements."""
        # A slice of a repeated field is a plain list, which is faster to walk than the field itself.
        advertisements = message.advertisements[:]
        heard = self._clock()
        count = len(advertisements)
        if count == 0:
            return
        allowed = self._admit(count, heard)
        if allowed < count:
            advertisements = advertisements[:allowed]
        wall = time.time()
        name, hear, outcomes = self.name, self.hear, self.outcomes
        sparing, foreign = self.let_go is not None, 0
        for advertisement in advertisements:
            data = advertisement.data
            if len(data) > LONGEST:
                self._refuse(len(data))
                continue
            # Most of all that is on air: its other fields are not even read.
            if sparing and (SERVICE_DATA_16 not in data or find_ours(data) is None):
                foreign += 1
                continue
            address = advertisement.address
            kind = advertisement.address_type
            rssi = advertisement.rssi
            if address >= ADDRESS_LIMIT or kind > 1 or not WEAKEST <= rssi <= STRONGEST:
                self._refuse(len(data))
                continue
            try:
                outcomes[hear(name, address, kind, rssi, data, wall, heard)] += 1
            except Exception as error:  # noqa: BLE001  one bad advertisement must not lose its batch-mates
                self._failed(error)
        if foreign and self.let_go is not None:
            outcomes[_NOT_OURS] += foreign
            self.let_go(foreign)

    def parsed(self, advertisement: BluetoothLEAdvertisement) -> None:
        """One advertisement of the stream that firmware before 2023.6 has, its fields taken apart by the node."""
        heard = self._clock()
        if self._admit(1, heard) == 0:
            return
        data = payload(advertisement)
        address, kind, rssi = advertisement.address, advertisement.address_type, advertisement.rssi
        if data is None or address >= ADDRESS_LIMIT or kind > 1 or not WEAKEST <= rssi <= STRONGEST:
            self._refuse(LONGEST + 1 if data is None else len(data))
            return
        try:
            self.outcomes[self.hear(self.name, address, kind, rssi, data, time.time(), heard)] += 1
        except Exception as error:  # noqa: BLE001  as above
            self._failed(error)

    def _admit(self, count: int, heard: float) -> int:
        """Account for a message, and say how many of its advertisements are heard."""
        self.count += count
        self.heard = heard
        if heard - self._window >= _WINDOW:
            self._roll(heard)
        self._window_count += count
        if count <= BATCH and self._window_count <= self._room:
            return count
        if count > BATCH:
            self._misbehaves(f"it sent {count} advertisements in one message; firmware sends 16")
        allowed = max(0, min(count, BATCH, self._room - (self._window_count - count)))
        self.dropped += count - allowed
        return allowed

    def _roll(self, heard: float) -> None:
        """A window is over: was it a flood? What it counted came within its first half second, however long it was."""
        elapsed = heard - self._window
        if self._window_count > self._timing.flood_rate * min(elapsed, 4 * _WINDOW):
            if elapsed < 4 * _WINDOW:
                self._over += elapsed
            else:
                self._over = max(0.0, self._over - elapsed * self._timing.flood / _FORGIVEN) + _BURST
            if self._over >= self._timing.flood:
                rate = int(self._window_count / min(elapsed, 4 * _WINDOW))
                self._misbehaves(f"it sent {rate} advertisements a second; no radio hears so many")
        elif self._over:
            self._over = max(0.0, self._over - elapsed * self._timing.flood / _FORGIVEN)
        if heard - self._minute >= _SETTLE:
            self._settle_rate(heard)
        self._window = heard
        self._window_count = 0

    def _settle_rate(self, now: float) -> None:
        elapsed = now - self._minute
        if elapsed < 1.0:
            return
        fresh = (self.count - self._minute_count) / elapsed
        # The first minute is a plain mean; a smoothed value that starts at zero would need it to arrive.
        weight = max(1 - exp(-elapsed / _MINUTE), min(1.0, elapsed / max(now - self._began, elapsed)))
        self._rate += (fresh - self._rate) * weight
        self._minute = now
        self._minute_count = self.count

    def rate(self, now: float) -> float:
        """Advertisements per second, smoothed over a minute."""
        self._settle_rate(now)
        return self._rate

    def _refuse(self, length: int) -> None:
        self.outcomes[_REFUSED] += 1
        if length > LONGEST:
            self._oversized += 1
            if self._oversized >= _OVERSIZED:
                self._misbehaves(f"it sent advertisements of {length} bytes; a radio's have 62 at most")

    def _misbehaves(self, what: str) -> None:
        if self.misbehaviour is None:
            self.misbehaviour = what
            if self._alarm is not None:
                self._alarm(what)

    def _failed(self, error: Exception) -> None:
        self.failed += 1
        if self.failed == 1:
            log.error("an advertisement could not be handled; more of them are only counted", exc_info=error)
