"""Where one proxy may be: its entry's host and what mDNS showed in; the next address to try out.

The rule of this file: anybody may announce a node under any name and MAC, so what worked last is tried first, after a
failure the next one has its turn, and no more than a few are kept.
"""

import attrs

from proxy_listener.proxies.discovery import Sighting
from proxy_listener.settings import ProxySettings

LIMIT = 4
"""Sightings of one proxy; the first ones stay."""


@attrs.frozen
class Target:
    """Addresses, best first, or one host name; and the sighting that they come from."""

    addresses: tuple[str, ...]
    port: int
    sighting: Sighting | None = None

    def __str__(self) -> str:
        host = self.addresses[0]
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


class Targets:
    """The targets of one proxy."""

    def __init__(self, entry: ProxySettings | None) -> None:
        host = entry.host if entry is not None else None
        self._static = Target((host,), entry.port) if entry is not None and host is not None else None
        self._sightings: dict[str, Sighting] = {}
        self._good: tuple[str | None, ...] = ()
        self._current: Target | None = self._static
        self._at = 0

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
            return False
        self._sightings[sighting.name] = sighting
        moved = before is not None and (before.addresses[0], before.port) != (sighting.addresses[0], sighting.port)
        if moved or before is None:
            self._at = 0
        return moved

    def remove(self, name: str) -> None:
        """A goodbye. The last address is kept until there is a better one."""
        self._sightings.pop(name, None)

    def next(self) -> Target:
        """The target whose turn it is."""
        targets = self._ordered()
        self._current = targets[self._at % len(targets)]
        return self._current

    def turn(self) -> None:
        """That one failed, or ended."""
        self._at += 1

    def good(self, target: Target) -> None:
        """That one is the proxy: it is the first to try from now on."""
        self._good = (target.sighting.name if target.sighting is not None else None,)
        self._at = -1

    def _ordered(self) -> list[Target]:
        shown = [Target(sighting.addresses, sighting.port, sighting) for sighting in self._sightings.values()]
        targets = ([self._static] if self._static is not None else []) + shown
        if not targets and self._current is not None:
            targets = [self._current]
        return sorted(targets, key=self._rank)

    def _rank(self, target: Target) -> int:
        name = target.sighting.name if target.sighting is not None else None
        return 0 if name in self._good else 1
