"""All proxies: entries and what mDNS finds in, their tasks and states out.

The rule of this file: entries come first and without a limit; nodes that merely announced themselves are few, are told
apart by the MAC that they prove, and never displace an entry or one another.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import attrs
import structlog
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.advertisement import Address
from proxy_listener.proxies.access import access
from proxy_listener.proxies.causes import VERDICTS, Verdict
from proxy_listener.proxies.discovery import Discovery, Sighting, open_zeroconf
from proxy_listener.proxies.handshake import Lanes
from proxy_listener.proxies.hearing import Hear
from proxy_listener.proxies.proxy import Proxy
from proxy_listener.proxies.quiet import hush_libraries
from proxy_listener.proxies.remembered import Remembered
from proxy_listener.proxies.timing import Timing
from proxy_listener.settings import DiscoverySettings, ProxySettings
from proxy_listener.status import ProxyState, ProxyStatus

log = structlog.get_logger()

UNLISTED = 64
"""Unlisted nodes that are spoken to at once."""
_DISMISSED = 256
"""Nodes that are not spoken to, kept to be shown."""
_LOWEST_PORT = 1024
"""Below it are the services that somebody else may want us to knock at; ESPHome's API is never there."""
_LATELY = 10.0
"""Seconds in which another proxy must have heard something for silence to be judged."""
_NETWORK_RETRY = 10.0
_INTERFACES = 60.0
"""Seconds between attempts to open mDNS where there is no network, and between looks for new interfaces."""

Changed = Callable[[ProxyStatus], None]


class Fleet:
    """Builds proxies and runs them. ``state``: the directory of what is remembered over a restart."""

    def __init__(
        self,
        discovery: DiscoverySettings,
        proxies: Sequence[ProxySettings],
        hear: Hear,
        *,
        state: Path | None = None,
        timing: Timing | None = None,
        changed: Changed | None = None,
    ) -> None:
        self.timing = timing or Timing()
        self.discovery = discovery
        self.hear = hear
        self.lanes = Lanes()
        self.remembered = Remembered(state)
        self.zeroconf: AsyncZeroconf | None = None
        self._entries = tuple(proxies)
        self._changed = changed
        self._proxies: dict[str, Proxy] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._by_mac: dict[Address, Proxy] = {}
        self._by_node: dict[str, Proxy] = {}  # an entry's name, its host:port
        self._dismissed: dict[str, ProxyStatus] = {}
        self._discovery: Discovery | None = None
        self._loudest: tuple[Proxy | None, float, float] = (None, float("-inf"), float("-inf"))
        self._running = False

    def __iter__(self) -> Iterator[Proxy]:
        return iter(list(self._proxies.values()))

    def __getitem__(self, name: str) -> Proxy:
        """The proxy of this display name. KeyError where there is none."""
        return self._proxies[name]

    async def run(self) -> None:
        """Find, connect, listen, until cancelled; then leave every proxy cleanly, within two seconds."""
        hush_libraries()
        self._running = True
        for entry in self._entries:
            self._start(entry.name, entry)
        mdns = asyncio.get_running_loop().create_task(self._browse())
        try:
            await self._watch()
        finally:
            self._running = False
            mdns.cancel()
            await self._leave_all()
            with suppress(asyncio.CancelledError):
                await mdns
            await self._save()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.timing.tick)
            now = loop.time()
            self._listen_around()
            for proxy in self:
                proxy.tick(now)
            if self.remembered.changed:
                await self._save()

    def _listen_around(self) -> None:
        """Who heard last, and when the second last was heard: enough to tell each proxy of the others."""
        loudest: Proxy | None = None
        first = second = float("-inf")
        for proxy in self._proxies.values():
            heard = proxy.hearing.heard
            if heard is not None and heard > second:
                if heard > first:
                    loudest, first, second = proxy, heard, first
                else:
                    second = heard
        self._loudest = loudest, first, second

    def listen(self, hear: Hear) -> None:
        """Advertisements go to ``hear`` from now on."""
        self.hear = hear
        for proxy in self:
            proxy.hearing.hear = hear

    def others_hear(self, proxy: Proxy) -> bool:
        """Whether another proxy than this one hears anything now."""
        loudest, first, second = self._loudest
        return (second if proxy is loudest else first) > asyncio.get_running_loop().time() - _LATELY

    async def _save(self) -> None:
        if not self.remembered.changed:
            return
        text = self.remembered.snapshot()
        try:
            await asyncio.to_thread(self.remembered.write, text)
        except OSError as error:
            log.warning("what is known of proxies cannot be kept", error=error.strerror)

    async def _browse(self) -> None:
        """Open mDNS as soon as there is a network, and follow its interfaces."""
        complained = False
        while self.zeroconf is None:
            try:
                self.zeroconf = open_zeroconf(self.discovery.interfaces)
            except OSError as error:
                if not complained:
                    log.warning("mDNS cannot be opened, trying again until it can", error=error.strerror)
                complained = True
                await asyncio.sleep(_NETWORK_RETRY)
        discovery = Discovery(self.zeroconf, self._seen, self._gone, self._known, self.timing)
        discovery.start()
        self._discovery = discovery
        try:
            while True:
                await asyncio.sleep(_INTERFACES)
                if not self.discovery.interfaces:
                    with suppress(OSError, RuntimeError):
                        await self.zeroconf.async_update_interfaces()
        finally:
            self._discovery = None
            await discovery.stop()
            zeroconf, self.zeroconf = self.zeroconf, None
            await zeroconf.async_close()

    def _start(self, name: str, entry: ProxySettings | None, mac: Address | None = None) -> Proxy:
        if entry is not None:
            mac = entry.mac or self.remembered.bound(entry.name)
        proxy = Proxy(name, self, entry, mac)
        self._proxies[name] = proxy
        if mac is not None:
            self._by_mac[mac] = proxy
        if entry is not None:
            self._by_node[name.lower()] = proxy
            if entry.host is not None:
                self._by_node[f"{entry.host}:{entry.port}"] = proxy
        task = asyncio.get_running_loop().create_task(proxy.run(), name=f"proxy {name}")
        self._tasks[name] = task
        task.add_done_callback(lambda _task: self._finished(proxy))
        return proxy

    def _stop(self, proxy: Proxy) -> None:
        """End a proxy's task; it leaves its node cleanly by itself."""
        self._drop(proxy)
        task = self._tasks.pop(proxy.name)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        task.cancel()

    def _drop(self, proxy: Proxy) -> None:
        self._proxies.pop(proxy.name, None)
        for table in (self._by_mac, self._by_node):
            for key in [key for key, value in table.items() if value is proxy]:
                del table[key]  # type: ignore[arg-type]

    def _finished(self, proxy: Proxy) -> None:
        """A proxy's task is over by itself: an unlisted node that is not to be spoken to."""
        task = self._tasks.get(proxy.name)
        if not self._running or task is None or not task.done() or self._proxies.get(proxy.name) is not proxy:
            return
        del self._tasks[proxy.name]
        self._drop(proxy)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a proxy's task died", proxy=proxy.name, exc_info=error)
        self._dismiss(proxy.status(asyncio.get_running_loop().time()))

    async def _leave_all(self) -> None:
        tasks = [*self._tasks.values(), *self._leaving]
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def claim(self, proxy: Proxy, mac: Address) -> bool:
        """The node with this MAC answered ``proxy``. An entry's claim goes before that of a node without one."""
        owner = self._by_mac.get(mac)
        if owner is not None and owner is not proxy:
            if owner.listed or not proxy.listed:
                return False
            self._stop(owner)
        self._by_mac[mac] = proxy
        return True

    def changed(self, proxy: Proxy) -> None:
        """A proxy's state changed."""
        if self._changed is not None:
            self._changed(proxy.status(asyncio.get_running_loop().time()))

    def _known(self, sighting: Sighting) -> bool:
        """Whether it is of an entry, or of a node that proved itself."""
        proxy = self._match(sighting)
        return proxy is not None and (proxy.listed or proxy.proved)

    def _seen(self, sighting: Sighting) -> None:
        """A node shows itself by mDNS."""
        proxy = self._match(sighting)
        if proxy is not None:
            proxy.seen(sighting)
            return
        refused = self._refusal(sighting)
        if refused is not None:
            self._dismiss(_unspoken(sighting, refused))
            return
        proxy = self._start(self._display_name(sighting), None, sighting.mac)
        proxy.seen(sighting)
        self._dismissed.pop(sighting.name, None)

    def _match(self, sighting: Sighting) -> Proxy | None:
        """The proxy that this sighting is of: by MAC, then an entry's name, then its host and port."""
        proxy = self._by_mac.get(sighting.mac) if sighting.mac is not None else None
        if proxy is not None:
            return proxy
        named = self._by_node.get(sighting.name.lower())
        if named is not None and (named.mac is None or sighting.mac is None):
            return named
        for address in sighting.addresses:
            proxy = self._by_node.get(f"{address}:{sighting.port}")
            if proxy is not None:
                return proxy
        if sighting.mac is None:
            return next((proxy for proxy in self._proxies.values() if proxy.targets.knows(sighting.name)), None)
        return None

    def _refusal(self, sighting: Sighting) -> Verdict | None:
        """Why an unlisted node is not spoken to."""
        way = access(None, self.discovery, self.remembered, mac=sighting.mac, encrypts=sighting.encrypts)
        if isinstance(way, Verdict):
            return way
        if sighting.mac is not None and self.remembered.not_proxy(sighting.mac, sighting.firmware):
            return VERDICTS[ProxyState.NOT_A_PROXY]
        refused = VERDICTS[ProxyState.NOT_ACCEPTED]
        if sighting.port < _LOWEST_PORT or not all(map(_near, sighting.addresses)):
            return refused.because("its address and port are not those of a node in this network")
        if not self._make_room():
            return refused.because(f"{UNLISTED} nodes without an entry are spoken to already")
        return None

    def _make_room(self) -> bool:
        """Whether one more unlisted node fits; one that never proved itself goes for it, if it had its chance."""
        unlisted = [proxy for proxy in self._proxies.values() if not proxy.listed]
        if len(unlisted) < UNLISTED:
            return True
        for proxy in unlisted:
            if not proxy.proved and proxy.verdict.state not in {ProxyState.CONNECTING, ProxyState.LIVE}:
                self._stop(proxy)
                return True
        return False

    def _gone(self, name: str) -> None:
        """A node's mDNS record is gone: no session is dropped, but who never was a proxy is forgotten."""
        self._dismissed.pop(name, None)
        for proxy in self:
            if proxy.targets.knows(name):
                proxy.lost(name)
                if not proxy.listed and not proxy.proved and proxy.verdict.state is not ProxyState.LIVE:
                    self._stop(proxy)

    def _dismiss(self, status: ProxyStatus) -> None:
        before = self._dismissed.pop(status.name, None)
        self._dismissed[status.name] = status
        if before is None or before.state is not status.state:
            log.info("node is not used", node=status.name, state=str(status.state), cause=status.cause)
        while len(self._dismissed) > _DISMISSED:
            del self._dismissed[next(iter(self._dismissed))]

    def _display_name(self, sighting: Sighting) -> str:
        """The node's name; with the end of its MAC where another has that name. An entry's name is never taken."""
        taken = self._proxies.keys() | {entry.name for entry in self._entries}
        name = sighting.name or "unnamed"
        if name not in taken:
            return name
        end = f"{sighting.mac & 0xFFFFFF:06x}" if sighting.mac is not None else "2"
        name, count = f"{name}-{end}", 2
        while name in taken:
            count += 1
            name = f"{sighting.name}-{end}-{count}"
        return name

    def reload(self, discovery: DiscoverySettings, proxies: Sequence[ProxySettings]) -> None:
        """A new configuration: only what changed is touched, and no healthy session is dropped for a new key."""
        before = {entry.name: entry for entry in self._entries}
        after = {entry.name: entry for entry in proxies}
        old, self.discovery, self._entries = self.discovery, discovery, tuple(proxies)
        for name in before.keys() - after.keys():
            self._stop(self._proxies[name])
        for name, entry in after.items():
            self._renew(name, entry, before.get(name))
        for proxy in self:
            if not proxy.listed and not self._still_welcome(proxy):
                self._stop(proxy)
            elif discovery != old:
                proxy.lift()
        sightings = list(self._discovery.sightings.values()) if self._discovery is not None else []
        for sighting in sightings:
            self._seen(sighting)

    def _renew(self, name: str, entry: ProxySettings, before: ProxySettings | None) -> None:
        if entry == before:
            return
        proxy = self._proxies.get(name)
        if before is not None and proxy is not None:
            if entry == attrs.evolve(before, room=entry.room, insist=entry.insist):
                proxy.entry = entry
                return
            self._stop(proxy)
        elif proxy is not None:
            self._stop(proxy)
        elif entry.mac is not None and entry.mac in self._by_mac:
            self._stop(self._by_mac[entry.mac])
        self._start(name, entry)

    def _still_welcome(self, proxy: Proxy) -> bool:
        way = access(None, self.discovery, self.remembered, mac=proxy.mac, encrypts=proxy.encrypted)
        return not isinstance(way, Verdict)

    def status(self) -> list[ProxyStatus]:
        """Every proxy and every node that is not used, entries first."""
        now = asyncio.get_running_loop().time()
        proxies = sorted(self._proxies.values(), key=lambda proxy: not proxy.listed)
        used = [proxy.status(now) for proxy in proxies]
        names = {status.name for status in used}
        return used + [status for status in self._dismissed.values() if status.name not in names]


def _near(address: str) -> bool:
    """Whether mDNS may send us there: link-local, private or this machine, never the open Internet."""
    ip = ip_address(address.partition("%")[0])
    return (ip.is_private or ip.is_link_local or ip.is_loopback) and not ip.is_unspecified and not ip.is_multicast


def _unspoken(sighting: Sighting, verdict: Verdict) -> ProxyStatus:
    """The status of a node that was seen and not spoken to."""
    return ProxyStatus(
        name=sighting.name,
        room=sighting.name,
        mac=sighting.mac,
        state=verdict.state,
        cause=verdict.cause,
        advice=verdict.advice,
        address=f"{sighting.addresses[0]}:{sighting.port}",
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
