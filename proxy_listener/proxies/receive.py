"""What one proxy hears: the library's messages in; calls of ``hear`` and counts out. HOT PATH.

Invariants: fields that no radio sends are refused before anything is stored, one bad advertisement never costs the
others of its message, and no proxy causes more work than ``flood_rate`` for long (docs/protocol/threats.md#l7).
"""

import time
from collections.abc import Callable
from math import exp
from typing import Any, TypeAlias

import structlog

from proxy_listener.model.advertisement import ADDRESS_LIMIT, SERVICE_DATA_16, ForeignFilter
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.rate import TokenBucket
from proxy_listener.proxies.timing import ProxyTiming

log = structlog.get_logger()

Hear: TypeAlias = Callable[[str, int, int, int, bytes, float, float], Outcome]
"""``hear(proxy, address, address_type, rssi, data, time, heard)``, synchronous, once per advertisement."""


LONGEST = 255
"""Bytes of data; firmware sends 62 at most (31 advertised, 31 of the scan response)."""
WEAKEST, STRONGEST = -127, 20
"""dBm: what Bluetooth can report; 0 means that the proxy did not say."""
BATCH = 256
"""Advertisements in one message; firmware sends 16."""
_OVERSIZED = 16
"""Oversized advertisements after which a proxy is benched: a real one sends none."""
_MINUTE, _FIRST_RATE = 60.0, 10.0
_NOT_OURS, _REFUSED, _LAST = int(Outcome.NOT_OURS), int(Outcome.REFUSED), max(Outcome)


class Receiver:
    """Counts what one proxy hears and passes it on, over its sessions.

    With ``foreign``, advertisements without a payload of ours are counted there and do not come to ``hear``.
    ``forward`` gets each message before that.
    """

    def __init__(
        self,
        name: str,
        hear: Hear,
        timing: ProxyTiming,
        clock: Callable[[], float],
        foreign: ForeignFilter | None = None,
    ) -> None:
        self.name = name
        self.hear = hear
        self.foreign = foreign
        self.forward: Callable[[Any], None] | None = None
        self._timing = timing
        self._clock = clock
        self.count = 0
        self.heard: float | None = None
        self.outcomes = [0] * (_LAST + 1)
        self.failed = 0
        self.dropped = 0
        self.misbehaviour: str | None = None
        self._alarm: Callable[[str], None] | None = None
        self._oversized = 0
        self._allowance = self._full()
        self._rate = 0.0
        self._began = self._rated = clock()
        self._rated_count = 0

    def new_session(self, alarm: Callable[[str], None]) -> None:
        """Forget earlier misbehaviour. ``alarm`` is called once per session, with what the node did."""
        self._alarm = alarm
        self.misbehaviour = None
        self._oversized = 0
        self._allowance = self._full()

    def _full(self) -> TokenBucket:
        return TokenBucket(self._timing.flood_rate, self._timing.flood_rate * self._timing.flood, self._clock())

    def raw(self, message: Any) -> None:
        """A ``BluetoothLERawAdvertisementsResponse`` (protobuf's classes carry no types): up to 16 advertisements."""
        # A slice of a repeated field is a plain list, which is faster to walk than the field itself.
        advertisements = message.advertisements[:]
        heard = self._clock()
        count = len(advertisements)
        if count == 0:
            return
        if not self._allowed(count, heard):
            return
        if self.forward is not None:
            self.forward(message)
        self._hear(advertisements, heard)

    def _hear(self, advertisements: Any, heard: float) -> None:
        wall = time.time()
        name, hear, outcomes = self.name, self.hear, self.outcomes
        filter_, foreign = self.foreign, 0
        if filter_ is not None:
            find, rare, find_company = filter_.find, filter_.rare, filter_.find_company
        for advertisement in advertisements:
            data = advertisement.data
            if len(data) > LONGEST:
                self._refuse(len(data))
                continue
            # Most of what is on air: its other fields are not even read.
            if (
                filter_ is not None
                and (SERVICE_DATA_16 not in data or find(data) is None)
                and (rare not in data or find_company(data) is None)
            ):
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
            except Exception as error:  # noqa: BLE001  the others of the message are handled all the same
                self._failed(error)
        if foreign and filter_ is not None:
            outcomes[_NOT_OURS] += foreign
            filter_.count(foreign)

    def _allowed(self, count: int, heard: float) -> bool:
        """Count a message; whether it is handled. A flood is not, and is reported once."""
        self.count += count
        self.heard = heard
        if heard - self._rated >= _FIRST_RATE:
            self._update_rate(heard)
        if count <= BATCH and self._allowance.take(heard, count):
            return True
        if count > BATCH:
            self._misbehaves(f"it sent {count} advertisements in one message; firmware sends 16")
        else:
            self._misbehaves("it sent more advertisements than a radio hears")
        self.dropped += count
        return False

    def _update_rate(self, now: float) -> None:
        elapsed = now - self._rated
        if elapsed < 1.0:
            return
        fresh = (self.count - self._rated_count) / elapsed
        # The first minute is a plain mean: a smoothed value that starts at zero would take a minute to be right.
        weight = max(1 - exp(-elapsed / _MINUTE), min(1.0, elapsed / max(now - self._began, elapsed)))
        self._rate += (fresh - self._rate) * weight
        self._rated = now
        self._rated_count = self.count

    def rate(self, now: float) -> float:
        """Advertisements per second, smoothed over a minute."""
        self._update_rate(now)
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
            log.error("an advertisement could not be handled; further ones are only counted", exc_info=error)
