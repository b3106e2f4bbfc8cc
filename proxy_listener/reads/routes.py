"""What all reads share: the last look at the proxies, who reads through which, and the failures of each route.

What comes in: how to ask for all proxies, the device that takes a proxy or lets go of it. What goes out: what a ranking
looks at. The rules of this file: a look costs as much as there are proxies, so those who wait share one; and a proxy
is let go only by the device that took it.
"""

from collections.abc import Callable, Mapping, Sequence

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import Heard, ProxyStatus
from proxy_listener.model.timing import NEVER
from proxy_listener.reads.ranking import Failures, Situation

NOT_TRIED: Mapping[str, str] = {}


@attrs.define
class Shared:
    """``ask`` gives all proxies as they are now. ``reading``: proxy -> the device that is, or soon will be, read."""

    ask: Callable[[], Sequence[ProxyStatus]]
    failures: Failures = attrs.field(factory=Failures)
    reading: dict[str, Address] = attrs.field(factory=dict)
    _looked: float = NEVER
    _proxies: Mapping[str, ProxyStatus] = attrs.field(factory=dict)

    def take(self, proxy: str, mac: Address) -> None:
        """A read of the device goes through ``proxy`` from now on."""
        self.reading[proxy] = mac

    def leave(self, proxy: str, mac: Address) -> None:
        """The device's read does not go through ``proxy``, or no longer."""
        if self.reading.get(proxy) == mac:
            del self.reading[proxy]

    def look(self, now: float, within: float = 0.0) -> Mapping[str, ProxyStatus]:
        """The proxies by name, as they were at most ``within`` seconds ago."""
        if now - self._looked >= within:
            self._looked, self._proxies = now, {proxy.name: self._kept(proxy) for proxy in self.ask()}
        return self._proxies

    def _kept(self, proxy: ProxyStatus) -> ProxyStatus:
        """A connection that we are making is over when ``reading`` says so, not when somebody looks again."""
        return attrs.evolve(proxy, connecting=False) if proxy.connecting and proxy.name in self.reading else proxy

    def situation(
        self,
        entry: DeviceSettings,
        heard: Sequence[Heard],
        proxies: Sequence[ProxyStatus],
        now: float,
        *,
        tried: Mapping[str, str] = NOT_TRIED,
        unheard: float = 0.0,
    ) -> Situation:
        """What a ranking looks at. ``unheard``: seconds in which we may have held the device ourselves."""
        return Situation(
            settings=entry,
            heard=heard,
            proxies=proxies,
            reading=self.reading,
            tried=tried,
            failures=self.failures,
            now=now,
            unheard=unheard,
        )


def near(proxies: Mapping[str, ProxyStatus], heard: Sequence[Heard]) -> list[ProxyStatus]:
    """Those that hear a device: no other could be chosen for it."""
    return [proxies[one.proxy] for one in heard if one.proxy in proxies]
