"""All proxies: entries and what mDNS finds in, their tasks and states out.

The rule of this file: entries come first and without a limit; nodes that merely announced themselves are few, are told
apart by the MAC that they prove, and never displace an entry or one another.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import structlog
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.model.advertisement import Address
from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.model.status import ProxyState, ProxyStatus
from proxy_listener.model.timing import NEVER
from proxy_listener.proxies.access import access
from proxy_listener.proxies.causes import VERDICTS, Verdict
from proxy_listener.proxies.discovery import Discovery, Sighting
from proxy_listener.proxies.handshake import Lanes
from proxy_listener.proxies.hearing import Hear, LetGo
from proxy_listener.proxies.mdns import Mdns
from proxy_listener.proxies.proxy import Proxy
from proxy_listener.proxies.quiet import hush_libraries
from proxy_listener.proxies.remembered import Remembered
from proxy_listener.proxies.strangers import LOWEST_PORT, UNLISTED, Strangers, dispensable, near, unspoken
from proxy_listener.proxies.timing import Timing

log = structlog.get_logger()

_LATELY = 10.0
"""Seconds in which another proxy must have heard something for silence to be judged."""
_STOPPED = 5.0
"""Seconds between two ticks that only a stopped or suspended process sees: the silence is ours, not the proxies'."""
_ANEW: Mapping[str, Any] = {"room": None, "insist": False, "noise_psk": None, "password": None}
"""What an entry may change without its session being made anew."""
Changed = Callable[[ProxyStatus], None]


class Fleet:
    """Builds proxies and runs them. ``state``: the directory of what is remembered over a restart.

    With ``let_go``, advertisements that hold no service data are only counted there, and never come to ``hear``.
    """

    def __init__(
        self,
        discovery: DiscoverySettings,
        proxies: Sequence[ProxySettings],
        hear: Hear,
        *,
        let_go: LetGo | None = None,
        state: Path | None = None,
        timing: Timing | None = None,
        changed: Changed | None = None,
    ) -> None:
        self.timing = timing or Timing()
        self.discovery = discovery
        self.hear = hear
        self.let_go = let_go
        self._own = hear, let_go
        self.lanes = Lanes()
        self.remembered = Remembered(state)
        self._entries = tuple(proxies)
        self._changed = changed
        self._proxies: dict[str, Proxy] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._by_mac: dict[Address, Proxy] = {}
        self._by_node: dict[str, Proxy] = {}  # an entry's name, its host:port
        self._strangers = Strangers(self.remembered)
        self._mdns = Mdns(self._browser, lambda: any(proxy.listed and not proxy.live for proxy in self))
        self._loudest: tuple[Proxy | None, float, float] = (None, NEVER, NEVER)
        self._running = False

    @property
    def zeroconf(self) -> AsyncZeroconf | None:
        """The one of the process; None while there is no network."""
        return self._mdns.zeroconf

    def _browser(self, zeroconf: AsyncZeroconf) -> Discovery:
        return Discovery(zeroconf, self._seen, self._gone, self._known, self.timing)

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
        self._mdns.open(self.discovery.interfaces)
        try:
            await self._watch()
        finally:
            self._running = False
            await self._leave_all()
            await self._mdns.close()
            await self._save()

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        before = clock()
        while True:
            await asyncio.sleep(self.timing.tick)
            now = clock()
            self._listen_around()
            for proxy in self:
                if now - before > _STOPPED:
                    proxy.stream.excuse(now)
                try:
                    proxy.tick(now)
                except Exception as error:  # noqa: BLE001  one proxy never stops another
                    proxy.give_up(error)
            before = now
            if self.remembered.changed:
                await self._save()

    def _listen_around(self) -> None:
        """Who heard last, and when the second last was heard: enough to tell each proxy of the others."""
        loudest: Proxy | None = None
        first = second = NEVER
        for proxy in self._proxies.values():
            heard = proxy.hearing.heard
            if heard is not None and heard > second:
                if heard > first:
                    loudest, first, second = proxy, heard, first
                else:
                    second = heard
        self._loudest = loudest, first, second

    def listen(self, hear: Hear) -> None:
        """Advertisements go to ``hear`` from now on. One that the fleet did not begin with gets all of them."""
        own, let_go = self._own
        self.hear, self.let_go = hear, let_go if hear == own else None
        for proxy in self:
            proxy.hearing.hear, proxy.hearing.let_go = self.hear, self.let_go

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
        loop = asyncio.get_running_loop()
        if proxy.entry is not None:
            loop.call_later(self.timing.auth, self._revive, proxy.entry)
        else:
            self._strangers.show(proxy.status(loop.time()), loop.time())

    def _revive(self, entry: ProxySettings) -> None:
        if self._running and entry in self._entries and entry.name not in self._proxies:
            self._start(entry.name, entry)

    async def _leave_all(self) -> None:
        tasks = [*self._tasks.values(), *self._leaving]
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for table in (self._proxies, self._tasks, self._by_mac, self._by_node):
            table.clear()

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

    def search(self, node: str) -> None:
        """Ask mDNS where this node is now."""
        self._mdns.search(node)

    def _seen(self, sighting: Sighting) -> None:
        """A node shows itself by mDNS."""
        proxy = self._match(sighting)
        if proxy is None or not proxy.listed:
            sighting = near(sighting)
        elif sighting.port < LOWEST_PORT:
            return
        if proxy is None:
            proxy = self._admit(sighting)
        if proxy is not None and sighting.addresses:
            proxy.seen(sighting)

    def _admit(self, sighting: Sighting) -> Proxy | None:
        """A proxy for a node without an entry, where it is to be spoken to."""
        now = asyncio.get_running_loop().time()
        refused = self._strangers.judge(sighting, self.discovery, now)
        if refused is None and not self._make_room():
            refused = VERDICTS[ProxyState.NOT_ACCEPTED].because(f"{UNLISTED} nodes without an entry are spoken to")
        if refused is not None:
            self._strangers.show(unspoken(sighting, refused), now)
            return None
        self._strangers.forget(sighting.name)
        return self._start(self._display_name(sighting), None, sighting.mac)

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

    def _make_room(self) -> bool:
        """Whether one more unlisted node fits; one that never proved itself goes for it, if it had its chance."""
        unlisted = [proxy for proxy in self._proxies.values() if not proxy.listed]
        if len(unlisted) < UNLISTED:
            return True
        idle = dispensable(unlisted)
        if idle is not None:
            self._stop(idle)
        return idle is not None

    def _gone(self, name: str) -> None:
        """A node's mDNS record is gone: no session is dropped, but who never was a proxy is forgotten."""
        self._strangers.forget(name)
        for proxy in self:
            if proxy.targets.knows(name):
                proxy.lost(name)
                if not proxy.listed and not proxy.proved and proxy.verdict.state is not ProxyState.LIVE:
                    self._stop(proxy)

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
        if not self._running:
            return
        for name in (before.keys() - after.keys()) & self._proxies.keys():
            self._stop(self._proxies[name])
        for name, entry in after.items():
            self._renew(name, entry, before.get(name))
        for proxy in self:
            if not proxy.listed and not self._still_welcome(proxy):
                self._stop(proxy)
            elif discovery != old:
                proxy.lift()
        if discovery.interfaces != old.interfaces:
            self._mdns.open(discovery.interfaces)
        for sighting in self._mdns.sightings:
            self._seen(sighting)

    def _renew(self, name: str, entry: ProxySettings, before: ProxySettings | None) -> None:
        if entry == before:
            return
        proxy = self._proxies.get(name)
        if before is not None and proxy is not None:
            if attrs.evolve(entry, **_ANEW) == attrs.evolve(before, **_ANEW):
                # A live session is as good as before; one that fails is tried with the new key soon.
                proxy.entry = entry
                proxy.lift()
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
        return used + [status for status in self._strangers if status.name not in names]
