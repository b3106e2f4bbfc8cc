"""Which nodes there are, for the ``discover`` verb: the configuration in, one line per node out.

The rule of this file: it connects and asks, and never subscribes; what is remembered of proxies is read, not written.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import attrs
from aioesphomeapi.core import APIConnectionError
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.model.advertisement import Address
from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.model.status import ProxyState
from proxy_listener.proxies.access import Access, access
from proxy_listener.proxies.causes import VERDICTS, Verdict, diagnose
from proxy_listener.proxies.discovery import Discovery, Sighting, open_zeroconf
from proxy_listener.proxies.handshake import Lanes, Node, dial, greet, leave, make_client
from proxy_listener.proxies.quiet import hush_libraries
from proxy_listener.proxies.remembered import Remembered
from proxy_listener.proxies.targets import Target
from proxy_listener.proxies.timing import Timing

_STREAMS = 1 | 32
"""Flags: passive scan, raw advertisements."""


@attrs.frozen
class Found:
    """One node. ``proxy`` is None where it could not be asked; ``why`` says why it is used, or why not."""

    name: str
    room: str
    address: str
    mac: Address | None
    version: str
    proxy: bool | None
    used: bool
    why: str


async def survey(
    discovery: DiscoverySettings,
    proxies: Sequence[ProxySettings],
    *,
    state: Path | None,
    seconds: float,
    timing: Timing | None = None,
) -> list[Found]:
    """Browse for so many seconds, then ask every node that the configuration lets us speak to. OSError: no network."""
    hush_libraries()
    zeroconf = open_zeroconf(discovery.interfaces)
    try:
        asking = _Survey(discovery, proxies, Remembered(state), timing or Timing(), zeroconf)
        browser = Discovery(zeroconf, _ignore, _ignore, asking.listed, timing or Timing())
        browser.start()
        await asyncio.sleep(seconds)
        sightings = sorted(browser.sightings.values(), key=lambda sighting: sighting.name)
        await browser.stop()
        return await asking.ask(sightings)
    finally:
        await zeroconf.async_close()


class _Survey:
    def __init__(
        self,
        discovery: DiscoverySettings,
        proxies: Sequence[ProxySettings],
        remembered: Remembered,
        timing: Timing,
        zeroconf: AsyncZeroconf,
    ) -> None:
        self._discovery = discovery
        self._proxies = proxies
        self._remembered = remembered
        self._timing = timing
        self._zeroconf = zeroconf
        self._lanes = Lanes()

    async def ask(self, sightings: Sequence[Sighting]) -> list[Found]:
        """Each sighting, then each entry that mDNS did not show."""
        entries = [self._entry(sighting) for sighting in sightings]
        asked = [
            self._ask(entry, Target(sighting.addresses, sighting.port, sighting))
            for entry, sighting in zip(entries, sightings, strict=True)
        ]
        hidden = [entry for entry in self._proxies if entry not in entries]
        asked += [self._ask(entry, Target((entry.host,), entry.port)) for entry in hidden if entry.host is not None]
        found = await asyncio.gather(*asked)
        return [*found, *(_absent(entry) for entry in hidden if entry.host is None)]

    def listed(self, sighting: Sighting) -> bool:
        """Whether it is of an entry."""
        return self._entry(sighting) is not None

    def _entry(self, sighting: Sighting) -> ProxySettings | None:
        """The entry that a sighting is of: by MAC, then by name, then by host and port."""
        macs = {entry.mac or self._remembered.bound(entry.name): entry for entry in self._proxies}
        if sighting.mac is not None and sighting.mac in macs:
            return macs[sighting.mac]
        for entry in self._proxies:
            known = entry.mac or self._remembered.bound(entry.name)
            if entry.name.lower() == sighting.name.lower() and (known is None or sighting.mac is None):
                return entry
            if entry.host in sighting.addresses and entry.port == sighting.port:
                return entry
        return None

    async def _ask(self, entry: ProxySettings | None, target: Target) -> Found:
        sighting = target.sighting
        mac = sighting.mac if sighting is not None else None
        expected = (entry.mac or self._remembered.bound(entry.name)) if entry is not None else mac
        way = access(
            entry,
            self._discovery,
            self._remembered,
            mac=expected or mac,
            encrypts=sighting.encrypts if sighting is not None else None,
        )
        if isinstance(way, Verdict):
            return _unasked(entry, target, way)
        try:
            node = await self._meet(target, way, expected)
        except (APIConnectionError, OSError, TimeoutError) as error:
            return _unasked(entry, target, diagnose(error))
        if expected is not None and node.mac != expected:
            return _unasked(entry, target, VERDICTS[ProxyState.WRONG_NODE])
        return _answered(entry, target, node, encrypted=way.noise_psk is not None)

    async def _meet(self, target: Target, way: Access, expected: Address | None) -> Node:
        client = make_client(target, way, expected, self._timing, self._zeroconf)
        try:
            async with self._lanes.dialling(), asyncio.timeout(self._timing.dial):
                await dial(client)
            async with self._lanes.handshaking(slow=False), asyncio.timeout(self._timing.attempt):
                return await greet(client)
        finally:
            await leave(client, self._timing.leave)


def _ignore(_what: object) -> None:
    """The survey looks at all sightings together."""


def _room(entry: ProxySettings | None, name: str) -> str:
    return (entry.room or entry.name) if entry is not None else name


def _answered(entry: ProxySettings | None, target: Target, node: Node, *, encrypted: bool) -> Found:
    streams = bool(node.flags & _STREAMS)
    if not node.flags:
        why = VERDICTS[ProxyState.NOT_A_PROXY].cause
    elif not streams:
        why = VERDICTS[ProxyState.NO_RAW_STREAM].cause
    else:
        why = ("has an entry" if entry is not None else "accepted by [discovery]") + (
            ", encrypted" if encrypted else ", in plaintext"
        )
    name = entry.name if entry is not None else node.name
    return Found(
        name,
        _room(entry, name),
        str(target),
        node.mac,
        node.version,
        bool(node.flags),
        bool(node.flags) and streams,
        why,
    )


def _unasked(entry: ProxySettings | None, target: Target, verdict: Verdict) -> Found:
    sighting = target.sighting
    name = entry.name if entry is not None else (sighting.name if sighting is not None else "")
    mac = sighting.mac if sighting is not None else (entry.mac if entry is not None else None)
    version = sighting.version if sighting is not None else ""
    why = f"{verdict.cause}; {verdict.advice}" if verdict.advice else verdict.cause
    return Found(name, _room(entry, name), str(target), mac, version, None, used=False, why=why)


def _absent(entry: ProxySettings) -> Found:
    why = "has an entry, but mDNS does not show it, and the entry has no host"
    return Found(entry.name, _room(entry, entry.name), "", entry.mac, "", None, used=False, why=why)
