"""When and where one proxy is tried next: ends of attempts, announcements and time in; a time and an address out.

Invariants:

* An announcement may bring an attempt forward, never below the minimum: a node has few client slots, so attempts that
  reach it are 5 s apart, and 60 s after an error that only a person can repair (docs/protocol/threats.md#l5).
* Anybody may announce a node under any name and MAC. What worked last is tried first; after a failure the next address
  is tried; the place where the node last proved itself is never forgotten.
"""

import attrs

from proxy_listener.model.settings import ProxySettings
from proxy_listener.model.status import ProxyState
from proxy_listener.model.timing import NEVER
from proxy_listener.proxies.discovery import Sighting
from proxy_listener.proxies.states import STATES, Diagnosis
from proxy_listener.proxies.timing import ProxyTiming

_STRIKES = 3
"""Sessions that broke the protocol, none of them a minute old, after which a node is benched."""
_DOUBLINGS = 10
"""Of a wait, at most."""
_REPAIRED_BY_A_PERSON = frozenset(
    {ProxyState.WRONG_KEY, ProxyState.NEEDS_KEY, ProxyState.NOT_ENCRYPTED, ProxyState.WRONG_PASSWORD}
)
_CHANGED_BY_FIRMWARE = frozenset({ProxyState.NOT_A_PROXY, ProxyState.NO_RAW_STREAM, ProxyState.INCOMPATIBLE})
LIMIT = 4
"""Sightings that are kept of one proxy: the first ones, and the one that bears the entry's name."""


@attrs.frozen
class ConnectionEnd:
    """How an attempt or a session ended. ``goodbye``: the node disconnected by itself. ``garbage``: it broke the
    protocol.
    """

    diagnosis: Diagnosis
    goodbye: bool = False
    garbage: bool = False


class RetryTimer:
    """The waits before one proxy's next attempt. Times are monotonic seconds."""

    def __init__(self, timing: ProxyTiming) -> None:
        self._timing = timing
        self._tried = NEVER
        self._reached = NEVER
        self._hurried = NEVER
        self._barred = NEVER
        self._due = NEVER
        self._announced = False
        self._failures = 0
        self._strikes = 0

    def due(self) -> float:
        """When the next attempt may begin."""
        minimum = max(self._reached + self._timing.spacing, self._barred)
        if self._announced:
            hurried = max(self._tried + self._timing.redial, self._hurried + self._timing.spacing)
            return max(minimum, min(hurried, self._due))
        return max(minimum, self._due)

    def announced(self) -> None:
        """The node announced itself."""
        self._announced = True

    def started(self, now: float) -> None:
        """An attempt begins."""
        if self._announced and now < self._due:
            self._hurried = now
        self._announced = False
        self._tried = now
        self._due = now + self._timing.spacing

    def reached(self, now: float) -> None:
        """The node accepted the TCP connection."""
        self._reached = now

    def succeeded(self) -> None:
        """The node answered as a proxy: a session begins."""
        self._failures = 0

    def ended(self, end: ConnectionEnd, began: float, now: float, *, listed: bool, known: bool) -> ConnectionEnd:
        """An attempt or its session is over: set the next wait. ``known``: listed, or proved a key.

        Returns ``end``, or another one where the node is benched for breaking the protocol repeatedly.
        """
        if now - began > self._timing.auth:
            self._strikes = 0
        self._strikes += end.garbage
        if self._strikes >= _STRIKES:
            self._strikes = 0
            end = ConnectionEnd(STATES[ProxyState.BENCHED].because("it repeatedly sent what is not the native API"))
        self._set_wait(end, began, now, listed=listed, known=known)
        self._failures += 1
        return end

    def _set_wait(self, end: ConnectionEnd, began: float, now: float, *, listed: bool, known: bool) -> None:
        timing, state = self._timing, end.diagnosis.state
        growth = 2.0 ** min(self._failures, _DOUBLINGS)
        if state is ProxyState.BENCHED:
            self.bar(now, timing.bench)
        elif state in _REPAIRED_BY_A_PERSON:
            # A node without an entry is probably somebody else's: it is asked less and less often.
            self.bar(now, timing.auth if listed else min(timing.auth * growth, timing.settle))
        elif state in _CHANGED_BY_FIRMWARE:
            self.bar(now, timing.settle)
        elif state in {ProxyState.WRONG_NODE, ProxyState.NOT_ACCEPTED}:
            self.wait(now, timing.auth)
        elif state is ProxyState.FULL:
            self.wait(now, timing.full)
        elif self._failures == 0:
            self.wait(now, timing.spacing if end.goodbye else timing.redial)
        elif known:
            self.wait(began, timing.spacing)
        else:
            self.wait(now, min(timing.spacing * growth, timing.unlisted_spacing))

    def wait(self, now: float, seconds: float) -> None:
        """No attempt for so long, unless the node announces itself."""
        self._due = now + seconds

    def bar(self, now: float, seconds: float) -> None:
        """No attempt for so long, whatever is announced."""
        self._barred = now + seconds

    def reset(self) -> None:
        """The configuration changed: try as soon as the minimum allows."""
        self._barred = self._due = NEVER


@attrs.frozen
class Target:
    """Addresses, best first, or one host name; and the sighting that they come from."""

    addresses: tuple[str, ...]
    port: int
    sighting: Sighting | None = None

    def same_place(self, other: "Target") -> bool:
        """Whether the other one's first address is among these."""
        return self.port == other.port and other.addresses[0] in self.addresses

    def __str__(self) -> str:
        host = self.addresses[0]
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


class Targets:
    """Where one proxy may be: its entry's host, and what mDNS showed."""

    def __init__(self, entry: ProxySettings | None) -> None:
        host = entry.host if entry is not None else None
        self._own = entry.name if entry is not None else ""
        self._static = Target((host,), entry.port) if entry is not None and host is not None else None
        self._sightings: dict[str, Sighting] = {}
        self._good: Target | None = None
        self._current: Target | None = self._static
        self._at = 0
        self._restarted = False

    def __bool__(self) -> bool:
        return self._static is not None or bool(self._sightings) or self._current is not None

    @property
    def current_sighting(self) -> Sighting | None:
        """The sighting that was tried last."""
        return self._current.sighting if self._current is not None else None

    @property
    def shown(self) -> str | None:
        """Host and port, for people."""
        return None if self._current is None else str(self._current)

    @property
    def _any_sighting(self) -> Sighting | None:
        return self.current_sighting or next(iter(self._sightings.values()), None)

    @property
    def firmware(self) -> str:
        """What mDNS says of its firmware; empty where it does not."""
        return self._any_sighting.firmware if self._any_sighting is not None else ""

    @property
    def version(self) -> str | None:
        """The ESPHome version as mDNS has it."""
        return (self._any_sighting.version or None) if self._any_sighting is not None else None

    def knows(self, name: str) -> bool:
        """Whether a sighting of this name is kept."""
        return name in self._sightings

    def add(self, sighting: Sighting) -> bool:
        """Add or replace a sighting. True where the node moved."""
        before = self._sightings.get(sighting.name)
        if before is None and len(self._sightings) >= LIMIT:
            if sighting.name != self._own:
                return False
            del self._sightings[next(iter(self._sightings))]
        self._sightings[sighting.name] = sighting
        moved = before is not None and (before.addresses[0], before.port) != (sighting.addresses[0], sighting.port)
        if (moved or before is None) and not self._restarted:
            # Once per round: a node that announces a new address all the time must not always be tried first.
            self._at = 0
            self._restarted = True
        return moved

    def remove(self, name: str) -> None:
        """The node said goodbye. The last address is kept until there is a better one."""
        self._sightings.pop(name, None)

    def next(self) -> Target:
        """The target to try now. Of its addresses another one comes first in every round."""
        targets = self._ordered()
        target, rounds = targets[self._at % len(targets)], max(0, self._at) // len(targets)
        shift = rounds % len(target.addresses)
        self._current = attrs.evolve(target, addresses=target.addresses[shift:] + target.addresses[:shift])
        return self._current

    def advance(self) -> None:
        """The current target failed, or its session ended."""
        self._at += 1
        if self._at % max(1, len(self._ordered())) == 0:
            self._restarted = False

    def good(self, target: Target) -> None:
        """The proxy is at this target: from now on it is tried first."""
        self._good = target
        self._at = -1

    def _ordered(self) -> list[Target]:
        targets = [Target(sighting.addresses, sighting.port, sighting) for sighting in self._sightings.values()]
        if self._static is not None:
            targets.insert(0, self._static)
        if not targets and self._current is not None:
            targets = [self._current]
        if self._good is None:
            return targets
        name = self._good.sighting and self._good.sighting.name
        targets.sort(key=lambda target: (target.sighting and target.sighting.name) != name)
        if not any(target.same_place(self._good) for target in targets):
            targets.insert(1, self._good)
        return targets
