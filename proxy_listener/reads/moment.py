"""Which scheduled reads begin now, and through which proxy.

What comes in: devices that are due, one after the other, longest overdue first. What goes out: for each whose moment
it is and for which a route is free, that route. The rule of this file: no scheduled read begins only to wait. A device
without a free route stays due, and as the longest overdue one it is the first that a proxy is given to.
"""

from collections.abc import Mapping, Sequence

import attrs

from proxy_listener.gatt.miflora import Plant
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import Heard, ProxyStatus
from proxy_listener.reads.contract import House, Timing
from proxy_listener.reads.ranking import Candidate, able, chosen, free, rank
from proxy_listener.reads.routes import Shared, near
from proxy_listener.reads.schedule import JUST_HEARD, Plan


@attrs.frozen
class Beginning:
    """A scheduled read that can begin: of this plant, through ``route``, the chosen one of ``candidates``."""

    plant: Plant
    route: Candidate
    candidates: Sequence[Candidate]


class Round:
    """One look at all that is due. The proxies are asked for once, and not before a device was just heard."""

    def __init__(self, house: House, timing: Timing, shared: Shared) -> None:
        self._house = house
        self._patience = timing.patience
        self._shared = shared
        self._proxies: Mapping[str, ProxyStatus] | None = None
        self._free: set[str] = set()

    @property
    def full(self) -> bool:
        """No proxy is left through which a read could begin."""
        return self._proxies is not None and self._free <= self._shared.reading.keys()

    def beginning(self, entry: DeviceSettings, plan: Plan, now: float) -> Beginning | None:
        """The read of a device that is due, where this is its moment and a route is free."""
        status = self._house.device(entry.mac)
        if status is None or status.product_id is None or status.product_id not in self._house.plants:
            return None
        if all(heard.age > JUST_HEARD for heard in status.heard):
            return None
        proxies = self._look(now)
        if not _wanted(entry, plan, status.heard, proxies, now):
            return None
        waited = plan.wait(now)
        # Ranking costs as much as all the rest, and where everything is due nearly every proxy is taken.
        if not any(heard.proxy in self._free and heard.proxy not in self._shared.reading for heard in status.heard):
            return None
        around = self._shared.situation(entry, status.heard, near(proxies, status.heard), now)
        candidates = rank(around, patient=waited < self._patience)
        route = chosen(candidates)
        if route is None:
            return None
        return Beginning(self._house.plants[status.product_id], route, candidates)

    def _look(self, now: float) -> Mapping[str, ProxyStatus]:
        if self._proxies is None:
            self._proxies = self._shared.look(now)
            self._free = {name for name, proxy in self._proxies.items() if free(proxy, self._shared.reading)}
        return self._proxies


def _wanted(
    entry: DeviceSettings, plan: Plan, heard: Sequence[Heard], proxies: Mapping[str, ProxyStatus], now: float
) -> bool:
    """Was the device just heard well by a proxy that may read it, free or not?"""
    fresh = [
        (one.rssi, one.age)
        for one in heard
        if one.age <= JUST_HEARD and one.proxy in proxies and able(proxies[one.proxy], entry)
    ]
    return bool(fresh) and plan.wants(now, max(fresh)[1], max(fresh)[0])
