"""What all reads share: the last look at the proxies, the failures of each route, and who reads through which proxy.

What comes in: the device that takes a proxy, and lets go of it. What goes out: which proxies are taken. The rule of
this file: a proxy is let go only by the device that took it.
"""

from collections.abc import Mapping, Sequence

import attrs

from proxy_listener.advertisement import Address
from proxy_listener.reads.ranking import Failures, Situation
from proxy_listener.reads.sight import Sight
from proxy_listener.settings import DeviceSettings
from proxy_listener.status import Heard, ProxyStatus

NOT_TRIED: Mapping[str, str] = {}


@attrs.define
class Shared:
    """``reading``: the proxies through which a read runs or is about to, and of which device."""

    sight: Sight
    failures: Failures = attrs.field(factory=Failures)
    reading: dict[str, Address] = attrs.field(factory=dict)

    def take(self, proxy: str, mac: Address) -> None:
        """A read of the device goes through ``proxy`` from now on."""
        self.reading[proxy] = mac

    def leave(self, proxy: str, mac: Address) -> None:
        """The device's read does not go through ``proxy``, or no longer."""
        if self.reading.get(proxy) == mac:
            del self.reading[proxy]

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
