"""Where one proxy may be: its entry's host and what mDNS showed in; the next address to try out.

The rule of this file: anybody may announce a node under any name and MAC, so what worked last is tried first, after a
failure the next one has its turn, the place where the node last proved itself always has one whatever was announced
since, and no more than a few are kept.
"""

import attrs

from proxy_listener.model.settings import ProxySettings
from proxy_listener.proxies.discovery import Sighting

LIMIT = 4
"""Sightings of one proxy; the first ones stay, and the one that bears the entry's name."""


@attrs.frozen
class Target:
    """Addresses, best first, or one host name; and the sighting that they come from."""

    addresses: tuple[str, ...]
    port: int
    sighting: Sighting | None = None

    def same_place(self, other: "Target") -> bool:
        """Whether this leads where the other does."""
        return self.port == other.port and other.addresses[0] in self.addresses

    def __str__(self) -> str:
        host = self.addresses[0]
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


class Targets:
    """The targets of one proxy."""

    def __init__(self, entry: ProxySettings | None) -> None:
        host = entry.host if entry is not None else None
        self._own = entry.name if entry is not None else ""
        self._static = Target((host,), entry.port) if entry is not None and host is not None else None
        self._sightings: dict[str, Sighting] = {}
        self._good: Target | None = None
        self._current: Target | None = self._static
        self._at = 0
        self._hurried = False

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
    def firmware(self) -> str:
        """What mDNS says of its firmware, empty where it does not."""
        sighting = self.current_sighting or next(iter(self._sightings.values()), None)
        return sighting.firmware if sighting is not None else ""

    @property
    def version(self) -> str | None:
        """The ESPHome version as mDNS has it."""
        sighting = self.current_sighting or next(iter(self._sightings.values()), None)
        return (sighting.version or None) if sighting is not None else None

    def knows(self, name: str) -> bool:
        """Whether a sighting of this name is one of its own."""
        return name in self._sightings

    def add(self, sighting: Sighting) -> bool:
        """A sighting, new or again. True where the node moved."""
        before = self._sightings.get(sighting.name)
        if before is None and len(self._sightings) >= LIMIT:
            if sighting.name != self._own:
                return False
            del self._sightings[next(iter(self._sightings))]
        self._sightings[sighting.name] = sighting
        moved = before is not None and (before.addresses[0], before.port) != (sighting.addresses[0], sighting.port)
        if (moved or before is None) and not self._hurried:
            # Once, until all had their turn: who announces a new place every moment would be called for ever.
            self._at = 0
            self._hurried = True
        return moved

    def remove(self, name: str) -> None:
        """A goodbye. The last address is kept until there is a better one."""
        self._sightings.pop(name, None)

    def next(self) -> Target:
        """The target whose turn it is. Of several addresses another one comes first every time round."""
        targets = self._ordered()
        target, rounds = targets[self._at % len(targets)], max(0, self._at) // len(targets)
        shift = rounds % len(target.addresses)
        self._current = attrs.evolve(target, addresses=target.addresses[shift:] + target.addresses[:shift])
        return self._current

    def turn(self) -> None:
        """That one failed, or ended."""
        self._at += 1
        if self._at % max(1, len(self._ordered())) == 0:
            self._hurried = False

    def good(self, target: Target) -> None:
        """That one is the proxy: it is the first to try from now on."""
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
