"""What went wrong with reads lately: outcomes with their monotonic time in; what a ranking has to know of them out.

Invariant: everything kept here loses its weight within a day.
"""

from proxy_listener.model.advertisement import Address
from proxy_listener.model.timing import DAY, NEVER

FAILURE_HALF_LIFE = 1_800.0
"""Seconds in which a failure's cost halves."""

PROBED_AFTER = 3_600.0
"""Seconds after a hang when a scheduled read tries this route again. A read on demand does not, because somebody waits
for it: a hang takes 20 s or more."""

DISTRUSTED = 3_600.0
"""Seconds for which a proxy that sent more than any device has is not used for reads."""


class Failures:
    """What went wrong with reads lately, per proxy and device; a success resets it.

    ``hung``: when a read hung, that is took long and brought nothing. A proxy through which reads of two devices hung
    counts as hung for all devices, until one is read through it.
    """

    def __init__(self) -> None:
        self._noted: dict[tuple[str, Address], tuple[float, float]] = {}
        self._hung: dict[tuple[str, Address], float] = {}
        self._worked: dict[str, float] = {}
        self._distrusted: dict[str, tuple[float, str]] = {}

    def add(self, proxy: str, mac: Address, now: float) -> None:
        """A read of the device through ``proxy`` failed."""
        self._noted = {key: noted for key, noted in self._noted.items() if now - noted[1] < DAY}
        self._noted[proxy, mac] = (self.weight(proxy, mac, now) + 1, now)

    def add_hang(self, proxy: str, mac: Address, now: float) -> None:
        """It hung."""
        self._hung = {key: at for key, at in self._hung.items() if now - at < DAY}
        self._hung[proxy, mac] = now

    def clear(self, proxy: str, mac: Address, now: float) -> None:
        """A read of the device through ``proxy`` succeeded."""
        self._noted.pop((proxy, mac), None)
        self._hung.pop((proxy, mac), None)
        self._worked[proxy] = now

    def weight(self, proxy: str, mac: Address, now: float) -> float:
        """The number of recent failures; each loses half of its weight every half hour."""
        weight, noted = self._noted.get((proxy, mac), (0.0, now))
        return float(weight * 0.5 ** ((now - noted) / FAILURE_HALF_LIFE))

    def hung(self, proxy: str, mac: Address, now: float) -> float | None:
        """Seconds since the last hang that says something about this proxy and device; None if there is none."""
        since = self._worked.get(proxy, NEVER)
        others = [at for (name, _), at in self._hung.items() if name == proxy and at > since]
        at = self._hung.get((proxy, mac), NEVER)
        if len(others) > 1:
            at = max(at, *others)
        return now - at if now - at < DAY else None

    def distrust(self, proxy: str, why: str, now: float) -> None:
        """Do not use ``proxy`` for reads: it sent more than any device has."""
        self._distrusted = {name: (at, what) for name, (at, what) in self._distrusted.items() if now - at < DISTRUSTED}
        self._distrusted[proxy] = now, why

    def distrusted(self, proxy: str, now: float) -> str:
        """Why ``proxy`` is not used for reads now; empty if it is."""
        at, why = self._distrusted.get(proxy, (NEVER, ""))
        return why if now - at < DISTRUSTED else ""
