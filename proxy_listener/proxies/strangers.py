"""Nodes without an entry: who of them is spoken to, and who is only shown.

A sighting in; None or the verdict why not, out. The rule of this file: anybody can announce any number of nodes under
any names, so new ones are let in slowly once the first few are, and the log and the list of them have an end.
"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

import attrs
import structlog

from proxy_listener.model.rate import TokenBucket
from proxy_listener.model.settings import DiscoverySettings
from proxy_listener.model.status import ProxyState, ProxyStatus
from proxy_listener.model.timing import NEVER
from proxy_listener.proxies.access import access
from proxy_listener.proxies.causes import VERDICTS, Verdict
from proxy_listener.proxies.discovery import Sighting
from proxy_listener.proxies.proxy import Proxy
from proxy_listener.proxies.remembered import Remembered

log = structlog.get_logger()

UNLISTED = 64
"""Unlisted nodes that are spoken to at once."""
SHOWN = 256
"""Nodes that are not spoken to, kept to be shown."""
_REFILL = 0.1
"""New unlisted nodes per second that are let in, and told of in the log, when the first ``UNLISTED`` are used up."""
LOWEST_PORT = 1024
"""Below it are the services that somebody else may want us to knock at; ESPHome's API is never there."""
_WAITING = frozenset({ProxyState.CONNECTING, ProxyState.LIVE})


class Strangers:
    """Judges sightings that are of no known proxy, and keeps those that were refused."""

    def __init__(self, remembered: Remembered) -> None:
        self._remembered = remembered
        self._entrance = TokenBucket(_REFILL, UNLISTED, NEVER)
        self._told = TokenBucket(_REFILL, UNLISTED, NEVER)
        self._refused: dict[str, ProxyStatus] = {}

    def __iter__(self) -> Iterator[ProxyStatus]:
        return iter(list(self._refused.values()))

    def judge(self, sighting: Sighting, discovery: DiscoverySettings, now: float) -> Verdict | None:
        """Why this node is not spoken to; None where it is."""
        way = access(None, discovery, self._remembered, mac=sighting.mac, encrypts=sighting.encrypts)
        if isinstance(way, Verdict):
            return way
        if self._asked(sighting):
            return VERDICTS[ProxyState.NOT_A_PROXY]
        refused = VERDICTS[ProxyState.NOT_ACCEPTED]
        if sighting.port < LOWEST_PORT or not sighting.addresses:
            return refused.because("its address and port are not those of a node in this network")
        if not self._entrance.take(now):
            return refused.because("too many nodes without an entry announce themselves")
        return None

    def _asked(self, sighting: Sighting) -> bool:
        """Whether this firmware of this node was asked before, and is no proxy."""
        if sighting.mac is not None:
            return self._remembered.not_proxy(sighting.mac, sighting.firmware)
        before = self._refused.get(sighting.name)
        return before is not None and before.state is ProxyState.NOT_A_PROXY and before.version == sighting.version

    def show(self, status: ProxyStatus, now: float) -> None:
        """Keep a refused node to be shown, the newest ones."""
        before = self._refused.pop(status.name, None)
        self._refused[status.name] = status
        if (before is None or before.state is not status.state) and self._told.take(now):
            log.info("node is not used", node=status.name, state=str(status.state), cause=status.cause)
        while len(self._refused) > SHOWN:
            del self._refused[next(iter(self._refused))]

    def forget(self, name: str) -> None:
        """It is gone, or spoken to now."""
        self._refused.pop(name, None)


def near(sighting: Sighting) -> Sighting:
    """The sighting with those of its addresses where mDNS may send us: this network, never the open Internet."""
    return attrs.evolve(sighting, addresses=tuple(filter(_is_near, sighting.addresses)))


def _is_near(address: str) -> bool:
    ip = ip_address(address.partition("%")[0])
    return (ip.is_private or ip.is_link_local or ip.is_loopback) and not ip.is_unspecified and not ip.is_multicast


def dispensable(unlisted: Iterable[Proxy]) -> Proxy | None:
    """One that had its chance and never proved itself: it goes when another wants its place."""
    return next((proxy for proxy in unlisted if not proxy.proved and proxy.verdict.state not in _WAITING), None)


def unspoken(sighting: Sighting, verdict: Verdict) -> ProxyStatus:
    """The status of a node that was seen and not spoken to."""
    return ProxyStatus(
        name=sighting.name,
        room=sighting.name,
        mac=sighting.mac,
        state=verdict.state,
        cause=verdict.cause,
        advice=verdict.advice,
        address=f"{sighting.addresses[0]}:{sighting.port}" if sighting.addresses else None,
        version=sighting.version or None,
        encrypted=sighting.encrypts,
        active=None,
        scanner=None,
        advertisements=0,
        rate=0.0,
        heard_age=None,
        uptime=None,
        slots_free=None,
        slots_limit=None,
        connecting=False,
        wifi_rssi=None,
    )
