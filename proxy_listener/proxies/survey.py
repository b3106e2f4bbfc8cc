"""Which nodes there are, for the ``discover`` verb: the configuration in; one line per node out.

Invariants: it connects and asks, and never subscribes; ``proxies.json`` is read, not written.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import attrs
from aioesphomeapi.core import APIConnectionError
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.model.advertisement import Address
from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.proxies.admission import Credentials, KnownNodes, NodeIndex, admit, identify
from proxy_listener.proxies.client import (
    ConnectLimits,
    NodeInfo,
    dial,
    handshake,
    leave,
    make_client,
    silence_libraries,
)
from proxy_listener.proxies.discovery import Discovery, Sighting, open_zeroconf
from proxy_listener.proxies.retry import Target
from proxy_listener.proxies.states import Diagnosis, diagnose
from proxy_listener.proxies.timing import ProxyTiming


@attrs.frozen
class FoundNode:
    """One node. ``proxy`` is None where it could not be asked; ``why`` says why it is used, or why not. ``area``:
    the room that its firmware suggests.
    """

    name: str
    room: str
    address: str
    mac: Address | None
    version: str
    proxy: bool | None
    used: bool
    why: str
    area: str = ""


async def survey(
    discovery: DiscoverySettings,
    proxies: Sequence[ProxySettings],
    *,
    state: Path | None,
    seconds: float,
    timing: ProxyTiming | None = None,
) -> list[FoundNode]:
    """Browse for so many seconds, then ask every node that the configuration admits. OSError: no network."""
    silence_libraries()
    timing = timing or ProxyTiming()
    zeroconf = open_zeroconf(discovery.interfaces)
    try:
        asking = _Survey(discovery, proxies, KnownNodes(state), timing, zeroconf)
        browser = Discovery(zeroconf, _ignore, _ignore, asking.listed, timing)
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
        known: KnownNodes,
        timing: ProxyTiming,
        zeroconf: AsyncZeroconf,
    ) -> None:
        self._discovery = discovery
        self._proxies = proxies
        self._known = known
        self._timing = timing
        self._zeroconf = zeroconf
        self._limits = ConnectLimits()
        self._index = NodeIndex(self._mac)
        for entry in proxies:
            self._index.add(entry, entry, self._mac(entry))

    async def ask(self, sightings: Sequence[Sighting]) -> list[FoundNode]:
        """Each sighting, then each entry that mDNS did not show."""
        entries = [self._index.find(sighting) for sighting in sightings]
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
        return self._index.find(sighting) is not None

    def _mac(self, entry: ProxySettings) -> Address | None:
        return entry.mac or self._known.bound(entry.name)

    async def _ask(self, entry: ProxySettings | None, target: Target) -> FoundNode:
        sighting = target.sighting
        mac = sighting.mac if sighting is not None else None
        expected = self._mac(entry) if entry is not None else mac
        way = admit(
            entry,
            self._discovery,
            self._known,
            mac=expected or mac,
            encrypts=sighting.encrypts if sighting is not None else None,
        )
        if isinstance(way, Diagnosis):
            return _refused(entry, target, way)
        encrypted = way.noise_psk is not None
        try:
            node = await self._connect(target, way, expected)
        except (APIConnectionError, OSError, TimeoutError) as error:
            return _refused(entry, target, diagnose(error))
        wrong = identify(node.mac, expected, self._known, encrypted=encrypted)
        return _answered(entry, target, node, encrypted=encrypted) if wrong is None else _refused(entry, target, wrong)

    async def _connect(self, target: Target, way: Credentials, expected: Address | None) -> NodeInfo:
        client = make_client(target, way, expected, self._timing, self._zeroconf)
        try:
            async with self._limits.dialling, asyncio.timeout(self._timing.dial):
                await dial(client)
            async with self._limits.handshaking(slow=False), asyncio.timeout(self._timing.attempt):
                return await handshake(client)
        finally:
            await leave(client, self._timing.leave)


def _ignore(_what: object) -> None:
    """All sightings are read when browsing is over."""


def _room(entry: ProxySettings | None, name: str) -> str:
    return (entry.room or entry.name) if entry is not None else name


def _answered(entry: ProxySettings | None, target: Target, node: NodeInfo, *, encrypted: bool) -> FoundNode:
    name, used = entry.name if entry is not None else node.name, node.refused is None
    why = ("has an entry" if entry is not None else "accepted by [discovery]") + (
        ", encrypted" if encrypted else ", in plaintext"
    )
    if node.refused is not None:
        why = _why(node.refused) if node.flags else node.refused.cause
    room = _room(entry, name)
    return FoundNode(name, room, str(target), node.mac, node.version, bool(node.flags), used, why, node.area)


def _refused(entry: ProxySettings | None, target: Target, diagnosis: Diagnosis) -> FoundNode:
    sighting = target.sighting
    name = entry.name if entry is not None else (sighting.name if sighting is not None else "")
    mac = sighting.mac if sighting is not None else (entry.mac if entry is not None else None)
    version = sighting.version if sighting is not None else ""
    return FoundNode(name, _room(entry, name), str(target), mac, version, None, used=False, why=_why(diagnosis))


def _why(diagnosis: Diagnosis) -> str:
    return f"{diagnosis.cause}; {diagnosis.advice}" if diagnosis.advice else diagnosis.cause


def _absent(entry: ProxySettings) -> FoundNode:
    why = "has an entry, but mDNS does not show it, and the entry has no host"
    return FoundNode(entry.name, _room(entry, entry.name), "", entry.mac, "", None, used=False, why=why)
