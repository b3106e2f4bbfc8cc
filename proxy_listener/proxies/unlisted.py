"""Nodes without an entry: a sighting in; None or the reason why the node is not connected to out.

Anybody can announce any number of nodes under any names, so after the first 64 new ones are rate-limited, and the list
and the log of refused ones are bounded (docs/protocol/threats.md#l3).
"""

from collections.abc import Callable, Collection, Iterator
from ipaddress import ip_address

import attrs
import structlog

from proxy_listener.model.rate import TokenBucket
from proxy_listener.model.settings import DiscoverySettings
from proxy_listener.model.status import ProxyState, ProxyStatus
from proxy_listener.model.timing import NEVER
from proxy_listener.proxies.admission import KnownNodes, admit
from proxy_listener.proxies.discovery import Sighting
from proxy_listener.proxies.states import STATES, Diagnosis

log = structlog.get_logger()

UNLISTED = 64
"""Unlisted nodes that are connected to at once."""
SHOWN = 256
"""Refused nodes that are kept to be shown."""
_REFILL = 0.1
"""New unlisted nodes per second that are admitted, and refused ones that are logged, after the first ``UNLISTED``."""
LOWEST_PORT = 1024
"""Below it are other services, which mDNS must not make us connect to; ESPHome's API is never there."""


class UnlistedNodes:
    """Judges sightings of nodes that are no known proxy, and keeps the refused ones."""

    def __init__(self, known: KnownNodes) -> None:
        self._known = known
        self._admissions = TokenBucket(_REFILL, UNLISTED, NEVER)
        self._log_lines = TokenBucket(_REFILL, UNLISTED, NEVER)
        self._refused: dict[str, ProxyStatus] = {}

    def __iter__(self) -> Iterator[ProxyStatus]:
        return iter(list(self._refused.values()))

    def admit(
        self, sighting: Sighting, discovery: DiscoverySettings, now: float, make_room: Callable[[], bool]
    ) -> bool:
        """Whether this node is connected to. A refused one is kept to be shown."""
        refused = self.judge(sighting, discovery, now)
        if refused is None and not make_room():
            refused = STATES[ProxyState.NOT_ACCEPTED].because(f"{UNLISTED} nodes without an entry are connected to")
        if refused is None:
            self.forget(sighting.name)
        else:
            self.refuse(refused_status(sighting, refused), now)
        return refused is None

    def judge(self, sighting: Sighting, discovery: DiscoverySettings, now: float) -> Diagnosis | None:
        """Why this node is refused; None where it is not."""
        way = admit(None, discovery, self._known, mac=sighting.mac, encrypts=sighting.encrypts)
        if isinstance(way, Diagnosis):
            return way
        if self._was_asked(sighting):
            return STATES[ProxyState.NOT_A_PROXY]
        refused = STATES[ProxyState.NOT_ACCEPTED]
        if sighting.port < LOWEST_PORT or not sighting.addresses:
            return refused.because("its address and port are not those of a node in this network")
        if not self._admissions.take(now):
            return refused.because("too many nodes without an entry announce themselves")
        return None

    def _was_asked(self, sighting: Sighting) -> bool:
        """Whether this node was asked with this firmware, and is no proxy."""
        if sighting.mac is not None:
            return self._known.not_proxy(sighting.mac, sighting.firmware)
        before = self._refused.get(sighting.name)
        return before is not None and before.state is ProxyState.NOT_A_PROXY and before.version == sighting.version

    def refuse(self, status: ProxyStatus, now: float) -> None:
        """Keep a refused node to be shown; beyond ``SHOWN`` the oldest is dropped."""
        before = self._refused.pop(status.name, None)
        self._refused[status.name] = status
        if (before is None or before.state is not status.state) and self._log_lines.take(now):
            log.info("node is not used", node=status.name, state=str(status.state), cause=status.cause)
        while len(self._refused) > SHOWN:
            del self._refused[next(iter(self._refused))]

    def forget(self, name: str) -> None:
        """The node is gone, or connected to now."""
        self._refused.pop(name, None)


def local_only(sighting: Sighting) -> Sighting:
    """The sighting without addresses outside of private, link-local and loopback networks."""
    return attrs.evolve(sighting, addresses=tuple(filter(_is_local, sighting.addresses)))


def _is_local(address: str) -> bool:
    ip = ip_address(address.partition("%")[0])
    return (ip.is_private or ip.is_link_local or ip.is_loopback) and not ip.is_unspecified and not ip.is_multicast


def unique_name(sighting: Sighting, taken: Collection[str]) -> str:
    """The node's name; with the end of its MAC where that name is taken."""
    name = sighting.name or "unnamed"
    if name not in taken:
        return name
    end = f"{sighting.mac & 0xFFFFFF:06x}" if sighting.mac is not None else "2"
    name, count = f"{name}-{end}", 2
    while name in taken:
        count += 1
        name = f"{sighting.name}-{end}-{count}"
    return name


def refused_status(sighting: Sighting, diagnosis: Diagnosis) -> ProxyStatus:
    """The status of a node that was seen and not connected to."""
    return ProxyStatus(
        name=sighting.name,
        room=sighting.name,
        mac=sighting.mac,
        state=diagnosis.state,
        cause=diagnosis.cause,
        advice=diagnosis.advice,
        address=f"{sighting.addresses[0]}:{sighting.port}" if sighting.addresses else None,
        version=sighting.version or None,
        encrypted=sighting.encrypts,
    )
