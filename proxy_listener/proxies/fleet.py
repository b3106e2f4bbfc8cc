"""All proxies: entries and what mDNS finds in; their tasks and states out.

Invariants: every entry has a proxy, without a limit. Nodes without an entry are limited in number, are told apart by
the MAC that they prove, and never displace an entry or a proved node.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import nlargest
from operator import itemgetter
from pathlib import Path
from typing import Any

import attrs
import structlog
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.model.advertisement import Address, ForeignFilter
from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.model.status import ProxyState, ProxyStatus
from proxy_listener.model.timing import NEVER
from proxy_listener.proxies.admission import KnownNodes, NodeIndex, admit
from proxy_listener.proxies.client import ConnectLimits, silence_libraries
from proxy_listener.proxies.dial_in import Caller, DialIn
from proxy_listener.proxies.discovery import Discovery, Sighting
from proxy_listener.proxies.mdns import Mdns
from proxy_listener.proxies.proxy import Proxy, ProxyContext
from proxy_listener.proxies.receive import Hear, Receiver
from proxy_listener.proxies.states import STATES, Diagnosis
from proxy_listener.proxies.tap import Tap
from proxy_listener.proxies.timing import ProxyTiming
from proxy_listener.proxies.unlisted import LOWEST_PORT, SHOWN, UNLISTED, UnlistedNodes, local_only, unique_name

log = structlog.get_logger()

_LATELY = 10.0
"""Seconds in which another proxy must have heard something for silence to be judged."""
_SUSPENDED = 5.0
"""Seconds between two ticks after which this process must have been suspended."""
_KEEPS_SESSION: Mapping[str, Any] = {"room": None, "insist": False, "noise_psk": None, "password": None}
"""Fields of an entry that may change without a new session."""
_NO_MAC = Diagnosis(
    ProxyState.NOT_ACCEPTED, "its [[proxy]] entry has no mac", "write its Wi-Fi MAC into the [[proxy]] entry"
)
_NO_CHANCE_YET = frozenset({ProxyState.CONNECTING, ProxyState.LIVE})


def _nobody(_sighting: Sighting) -> bool:
    return False


def _ignore(_status: ProxyStatus) -> None:
    return


class Fleet:
    """Builds proxies and runs them. ``state``: the state directory, for what is known of nodes from earlier runs.

    With ``foreign``, advertisements without a payload of ours are counted there and do not come to ``hear``. ``tap``:
    who else uses a proxy; ``ours``: whether a node that mDNS shows is one that this program serves itself.
    """

    def __init__(
        self,
        discovery: DiscoverySettings,
        proxies: Sequence[ProxySettings],
        hear: Hear,
        *,
        foreign: ForeignFilter | None = None,
        state: Path | None = None,
        timing: ProxyTiming | None = None,
        changed: Callable[[ProxyStatus], None] = _ignore,
        tap: Callable[[Proxy], Tap | None] | None = None,
        ours: Callable[[Sighting], bool] = _nobody,
    ) -> None:
        self.discovery = discovery
        self._known = KnownNodes(state)
        self._timing = timing or ProxyTiming()
        self._hear, self._foreign = hear, foreign
        self._service_hear = hear, foreign
        self._entries = tuple(proxies)
        self._proxies: dict[str, Proxy] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._index = NodeIndex[Proxy](lambda proxy: proxy.mac)
        self._unlisted = UnlistedNodes(self._known)
        self._mdns = Mdns(self._browser, lambda: any(proxy.listed and not proxy.live for proxy in self))
        self._context = ProxyContext(
            self._timing, self._known, ConnectLimits(), self._mdns, self._claim, self._others_hear, changed
        )
        if tap is not None:
            self._context = attrs.evolve(self._context, tap=tap)
        self._ours = ours
        self.dial_in = DialIn(self._called, self._timing)
        self._useless: dict[Address, float] = {}  # callers that proved a key and are no proxies -> until when
        self._running = False
        self._newest: list[tuple[float, Proxy]] = []
        self._newest_at = NEVER

    @property
    def zeroconf(self) -> AsyncZeroconf | None:
        """The one of the process; None while there is no network."""
        return self._mdns.zeroconf

    def _browser(self, zeroconf: AsyncZeroconf) -> Discovery:
        return Discovery(zeroconf, self._seen, self._gone, self._is_kept, self._timing)

    def __iter__(self) -> Iterator[Proxy]:
        return iter(list(self._proxies.values()))

    def __getitem__(self, name: str) -> Proxy:
        """The proxy of this display name. KeyError where there is none."""
        return self._proxies[name]

    async def run(self) -> None:
        """Find, connect, listen, until cancelled; then leave every proxy cleanly, within two seconds."""
        silence_libraries()
        self._running = True
        self._known.running(running=True)
        for entry in self._entries:
            self._start(entry.name, entry)
        self._mdns.open(self.discovery.interfaces)
        self.dial_in.open(self.discovery.dial_in)
        try:
            await self._watch()
        finally:
            self._running = False
            await self.dial_in.close()
            await self._leave_all()
            await self._mdns.close()
            self._known.running(running=False)
            await self._save()

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        before = clock()
        while True:
            await asyncio.sleep(self._timing.tick)
            now = clock()
            for proxy in self:
                if now - before > _SUSPENDED:
                    proxy.stream.resumed(now)
                try:
                    proxy.tick(now)
                except Exception as error:  # noqa: BLE001  one proxy never stops another
                    proxy.end_session(error)
            before = now
            await self._save()

    def _others_hear(self, proxy: Proxy) -> bool:
        """By the two proxies that heard something last, which are looked for once for all proxies of a tick."""
        now = asyncio.get_running_loop().time()
        if now - self._newest_at >= self._timing.tick:
            self._newest_at = now
            heard = [(other.receiver.heard or NEVER, other) for other in self._proxies.values()]
            self._newest = nlargest(2, heard, key=itemgetter(0))
        return any(heard > now - _LATELY for heard, other in self._newest if other is not proxy)

    def use_taps(self) -> None:
        """Ask for each proxy again who else uses it."""
        for proxy in self:
            proxy.use_tap()

    def listen(self, hear: Hear) -> None:
        """Advertisements go to ``hear`` from now on. One that the fleet did not begin with gets foreign ones, too."""
        own, foreign = self._service_hear
        self._hear, self._foreign = hear, foreign if hear == own else None
        for proxy in self:
            proxy.receiver.hear, proxy.receiver.foreign = self._hear, self._foreign

    async def _save(self) -> None:
        if not self._known.changed:
            return
        text = self._known.snapshot()
        try:
            await asyncio.to_thread(self._known.write, text)
        except OSError as error:
            log.warning("proxies.json cannot be written", error=error.strerror)

    def _start(self, name: str, entry: ProxySettings | None, mac: Address | None = None) -> Proxy:
        if entry is not None:
            mac = entry.mac or self._known.bound(entry.name)
        return self._run(self._make(name, entry, mac))

    def _make(self, name: str, entry: ProxySettings | None, mac: Address | None) -> Proxy:
        clock = asyncio.get_running_loop().time
        receiver = Receiver(name, self._hear, self._timing, clock, self._foreign)
        return Proxy(receiver, self._context, self.discovery, entry, mac)

    def _run(self, proxy: Proxy) -> Proxy:
        self._proxies[proxy.name] = proxy
        self._index.add(proxy, proxy.entry, proxy.mac)
        task = asyncio.get_running_loop().create_task(proxy.run(), name=f"proxy {proxy.name}")
        self._tasks[proxy.name] = task
        task.add_done_callback(lambda _task: self._finished(proxy))
        return proxy

    def _stop(self, proxy: Proxy) -> None:
        """End a proxy's task, which leaves its node cleanly."""
        self._drop(proxy)
        task = self._tasks.pop(proxy.name)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        task.cancel()

    def _drop(self, proxy: Proxy) -> None:
        self._proxies.pop(proxy.name, None)
        self._index.remove(proxy)

    def _finished(self, proxy: Proxy) -> None:
        """A proxy's task ended by itself: an unlisted node that is not to be connected to, or an error of our own."""
        task = self._tasks.get(proxy.name)
        if not self._running or task is None or not task.done() or self._proxies.get(proxy.name) is not proxy:
            return
        del self._tasks[proxy.name]
        self._drop(proxy)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a proxy's task died", proxy=proxy.name, exc_info=error)
        loop = asyncio.get_running_loop()
        if proxy.entry is not None:
            loop.call_later(self._timing.auth, self._restart, proxy.entry)
        else:
            self._unlisted.refuse(proxy.status(loop.time()), loop.time())
            if proxy.mac is not None and proxy.proved:
                self._useless.pop(proxy.mac, None)
                self._useless[proxy.mac] = loop.time() + self._timing.settle
                if len(self._useless) > SHOWN:
                    del self._useless[next(iter(self._useless))]

    def _restart(self, entry: ProxySettings) -> None:
        if self._running and entry in self._entries and entry.name not in self._proxies:
            self._start(entry.name, entry)

    async def _leave_all(self) -> None:
        tasks = [*self._tasks.values(), *self._leaving]
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for proxy in self:
            self._drop(proxy)
        self._tasks.clear()

    def _claim(self, proxy: Proxy, mac: Address) -> bool:
        """Whether the node with this MAC belongs to ``proxy``. A listed proxy takes it from an unlisted one.

        Any holder of the shared key can say that it has this MAC. So a proxy whose entry does not name it gets it only
        where no other entry has the better claim.
        """
        rightful = self._rightful(mac)
        if rightful not in {None, proxy.name}:
            return False
        owner = self._index.by_mac.get(mac)
        if owner is not None and owner is not proxy:
            if not proxy.listed or (owner.listed and rightful is None):
                return False
            if owner.listed:
                owner.lose_node()
            else:
                self._stop(owner)
        self._index.add(proxy, None, mac)
        return True

    def _rightful(self, mac: Address) -> str | None:
        """The entry that the node with this MAC is of: by its ``mac``, because mDNS shows the MAC under the entry's
        name, or by what it was bound to before.
        """
        by_entry = {entry.mac: entry.name for entry in self._entries if entry.mac is not None}
        unnamed = {entry.name.lower(): entry.name for entry in self._entries if entry.mac is None}
        bound = (name for name in unnamed.values() if self._known.bound(name) == mac)
        shown = (
            unnamed[sighting.name.lower()]
            for sighting in self._mdns.sightings
            if sighting.mac == mac and sighting.name.lower() in unnamed
        )
        return by_entry.get(mac) or next(shown, None) or next(bound, None)

    def _is_kept(self, sighting: Sighting) -> bool:
        """Whether it is of an entry, or of a node that proved a key."""
        proxy = self._match(sighting)
        return proxy is not None and (proxy.listed or proxy.proved)

    def _seen(self, sighting: Sighting) -> None:
        if self._ours(sighting):
            return
        proxy = self._match(sighting)
        if sighting.shared and (proxy is None or not proxy.listed):
            # Two services that share with each other would otherwise pass every advertisement round and round.
            return
        if proxy is None or not proxy.listed:
            sighting = local_only(sighting)
        elif sighting.port < LOWEST_PORT:
            return
        if proxy is None:
            proxy = self._admit(sighting)
        if proxy is not None and sighting.addresses:
            proxy.seen(sighting)

    def _admit(self, sighting: Sighting) -> Proxy | None:
        """A proxy for a node without an entry, where it is to be connected to."""
        now = asyncio.get_running_loop().time()
        if not self._unlisted.admit(sighting, self.discovery, now, self._make_room):
            return None
        return self._start(unique_name(sighting, self._taken()), None, sighting.mac)

    def _taken(self) -> set[str]:
        """Names that no further node gets. An entry's is never taken, also while the entry has no proxy."""
        return self._proxies.keys() | {entry.name for entry in self._entries}

    async def _called(self, caller: Caller) -> Diagnosis | None:
        """A node calls, or claims to be one: why it is refused; None where its session begins."""
        sighting = Sighting(caller.name, (), 0, caller.mac, encrypts=True)
        proxy = self._match(sighting)
        if proxy is not None:
            # Without a MAC that is known, the first caller with the shared key would be bound to the entry.
            return _NO_MAC if proxy.mac is None else await proxy.answer(caller)
        if asyncio.get_running_loop().time() < self._useless.get(caller.mac, NEVER):
            return STATES[ProxyState.NOT_A_PROXY]
        # Nothing is kept of a stranger before it proved the key.
        proxy = self._make(unique_name(sighting, self._taken()), None, caller.mac)
        refused = await proxy.answer(caller)
        if refused is None and self._match(sighting) is None and proxy.name not in self._taken() and self._make_room():
            self._run(proxy)
            return None
        await proxy.calls.hang_up()
        return refused or STATES[ProxyState.NOT_ACCEPTED].because("another node of its name or MAC came first")

    def _match(self, sighting: Sighting) -> Proxy | None:
        """The proxy that this sighting is of."""
        proxy = self._index.find(sighting)
        if proxy is not None and proxy.listed and sighting.mac is not None:
            proxy = self._proxies.get(self._rightful(sighting.mac) or proxy.name, proxy)
        if proxy is None and sighting.mac is None:
            return next((proxy for proxy in self if proxy.targets.knows(sighting.name)), None)
        return proxy

    def _make_room(self) -> bool:
        """Whether one more unlisted node fits. One that was tried and never proved a key is stopped for it."""
        unlisted = [proxy for proxy in self._proxies.values() if not proxy.listed]
        if len(unlisted) < UNLISTED:
            return True
        for proxy in unlisted:
            if not proxy.proved and proxy.diagnosis.state not in _NO_CHANCE_YET:
                self._stop(proxy)
                return True
        return False

    def _gone(self, name: str) -> None:
        """A node's mDNS record is gone. No session is ended, but a node that never proved a key is forgotten."""
        self._unlisted.forget(name)
        for proxy in self:
            if proxy.targets.knows(name):
                proxy.targets.remove(name)
                if not proxy.listed and not proxy.proved and not proxy.live:
                    self._stop(proxy)

    def reload(self, discovery: DiscoverySettings, proxies: Sequence[ProxySettings]) -> None:
        """Apply a new configuration. Only what changed is touched; a new key does not end a healthy session."""
        before = {entry.name: entry for entry in self._entries}
        after = {entry.name: entry for entry in proxies}
        old, self.discovery, self._entries = self.discovery, discovery, tuple(proxies)
        if not self._running:
            return
        for name in (before.keys() - after.keys()) & self._proxies.keys():
            self._stop(self._proxies[name])
        for name, entry in after.items():
            self._reload_entry(name, entry, before.get(name))
        for proxy in self:
            proxy.discovery = discovery
            if not proxy.listed and not self._still_admitted(proxy):
                self._stop(proxy)
            elif discovery != old:
                proxy.reconfigured()
        if discovery.dial_in != old.dial_in:
            self.dial_in.open(discovery.dial_in)
        if discovery.interfaces != old.interfaces:
            self._mdns.open(discovery.interfaces)
        for sighting in self._mdns.sightings:
            self._seen(sighting)

    def _reload_entry(self, name: str, entry: ProxySettings, before: ProxySettings | None) -> None:
        if entry == before:
            return
        proxy = self._proxies.get(name)
        if proxy is not None:
            if before is not None and attrs.evolve(entry, **_KEEPS_SESSION) == attrs.evolve(before, **_KEEPS_SESSION):
                # A live session stays; a proxy that fails is tried with the new key soon.
                proxy.entry = entry
                proxy.reconfigured()
                return
            self._stop(proxy)
        elif entry.mac is not None and entry.mac in self._index.by_mac:
            self._stop(self._index.by_mac[entry.mac])
        self._start(name, entry)

    def _still_admitted(self, proxy: Proxy) -> bool:
        way = admit(None, self.discovery, self._known, mac=proxy.mac, encrypts=proxy.encrypted)
        return not isinstance(way, Diagnosis)

    def status(self) -> list[ProxyStatus]:
        """Every proxy and every refused node, entries first."""
        now = asyncio.get_running_loop().time()
        proxies = sorted(self._proxies.values(), key=lambda proxy: not proxy.listed)
        used = [proxy.status(now) for proxy in proxies]
        names = {status.name for status in used}
        return used + [status for status in self._unlisted if status.name not in names]
