"""One proxy: keeps a session with one node for as long as the service runs.

Sightings come in from mDNS and advertisements from the node; calls of ``hear`` and changes of state go out. The rule of
this file: attempts begin where :class:`Gate` says, and whatever fails here ends in a verdict and another attempt, never
in the death of the task.
"""

import asyncio
from contextlib import suppress
from typing import Protocol

import structlog
from aioesphomeapi.client import APIClient
from aioesphomeapi.core import APIConnectionError
from aioesphomeapi.model import BluetoothProxyFeature
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.model.advertisement import Address
from proxy_listener.model.errors import GattError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.model.status import NOT_EXPECTED, ProxyState, ProxyStatus
from proxy_listener.proxies.access import access
from proxy_listener.proxies.causes import VERDICTS, Verdict, diagnose, garbled
from proxy_listener.proxies.discovery import Sighting
from proxy_listener.proxies.gate import Ending, Gate
from proxy_listener.proxies.handshake import Lanes, Node, make_client
from proxy_listener.proxies.hearing import Hear, Hearing, LetGo
from proxy_listener.proxies.remembered import Remembered
from proxy_listener.proxies.session import Session, Slots
from proxy_listener.proxies.stream import Stream
from proxy_listener.proxies.targets import Targets
from proxy_listener.proxies.timing import Timing

log = structlog.get_logger()

_STRIKES = 3
"""Sessions that broke the protocol, none of them a minute old, after which a node is benched."""
_FAULT = Ending(VERDICTS[ProxyState.UNREACHABLE].because("an error of our own; see the log"))
_ELSEWHERE = frozenset({ProxyState.UNREACHABLE, ProxyState.WRONG_NODE})
"""After which the node may have another address now."""
_GREEDY = "listening; this firmware streams to its newest client only, so Home Assistant has lost it if it had it"
"""After which an unlisted node's task is over."""


class Surroundings(Protocol):
    """What a proxy needs of its fleet."""

    timing: Timing
    lanes: Lanes
    remembered: Remembered
    discovery: DiscoverySettings
    hear: Hear
    let_go: LetGo | None

    @property
    def zeroconf(self) -> AsyncZeroconf | None:
        """The one of the process; None while there is no network."""
        ...

    def others_hear(self, proxy: "Proxy") -> bool:
        """Whether another proxy hears anything now."""
        ...

    def claim(self, proxy: "Proxy", mac: Address) -> bool:
        """The node with this MAC answered the proxy: False where it is another proxy's."""
        ...

    def changed(self, proxy: "Proxy") -> None:
        """The proxy's state changed."""
        ...

    def search(self, node: str) -> None:
        """Ask mDNS where this node is now: it does not answer where it was."""
        ...


class Proxy:
    """One ESPHome node that listens for us. ``entry`` None: found by mDNS only."""

    def __init__(
        self, name: str, surroundings: Surroundings, entry: ProxySettings | None, mac: Address | None = None
    ) -> None:
        self._clock = asyncio.get_running_loop().time
        self.name = name
        self.entry = entry
        self.mac = mac
        self.proved = False
        self.encrypted: bool | None = None
        self.node: Node | None = None
        self.verdict = VERDICTS[ProxyState.CONNECTING]
        self.targets = Targets(entry)
        self._around = surroundings
        self._timing = surroundings.timing
        self.hearing = Hearing(name, surroundings.hear, surroundings.timing, self._clock, surroundings.let_go)
        self.stream = Stream(surroundings.timing)
        self.gate = Gate(surroundings.timing)
        self._session: Session | None = None
        self._born = self._clock()
        self._woken = asyncio.Event()
        self._encrypts: bool | None = None
        self._failures = 0
        self._strikes = 0
        self._slow = False

    @property
    def listed(self) -> bool:
        """Whether it has a ``[[proxy]]`` entry."""
        return self.entry is not None

    @property
    def room(self) -> str:
        """The entry's room, else the node's name."""
        if self.entry is not None:
            return self.entry.room or self.entry.name
        return self.name

    @property
    def live(self) -> bool:
        """Whether the stream is up and ours."""
        return self.verdict.state is ProxyState.LIVE

    @property
    def client(self) -> APIClient:
        """The connected client. GattError where there is no session."""
        if self._session is None or self._session.up is None:
            raise GattError("proxy_gone", f"no session with {self.name}")
        return self._session.client

    @property
    def features(self) -> int:
        """Its ``bluetooth_proxy_feature_flags``; 0 while not known."""
        return self.node.flags if self.node is not None else 0

    @property
    def active(self) -> bool | None:
        """Whether it can connect to devices; None while not known."""
        return bool(self.features & BluetoothProxyFeature.ACTIVE_CONNECTIONS) if self.node is not None else None

    @property
    def slots(self) -> Slots | None:
        """Its connection slots; None while not known."""
        return self._session.slots if self._session is not None else None

    @property
    def connecting(self) -> bool:
        """Set by :mod:`proxy_listener.proxies.gatt` while it opens a connection: the room is deaf meanwhile."""
        return self._session is not None and self._session.connecting

    @connecting.setter
    def connecting(self, connecting: bool) -> None:
        if self._session is not None:
            self._session.connecting = connecting
            self._session.pace()

    def seen(self, sighting: Sighting) -> None:
        """The node announced itself, or answered a question."""
        moved = self.targets.add(sighting)
        session = self._session
        if session is not None and session.up is not None:
            session.announced(moved=moved, doubted=self.gate.announce)
            return
        self.gate.announce()
        self._woken.set()
        if moved and session is not None:
            session.moved()

    def lost(self, name: str) -> None:
        """The node's mDNS record is gone. A working session is not touched."""
        self.targets.remove(name)

    def lift(self) -> None:
        """The configuration changed: an attempt that it may mend is made soon."""
        self.gate.lift()
        self._woken.set()

    def tick(self, now: float) -> None:
        """Judge the stream. Called by the fleet a few times a second, and when the scanner's state came."""
        if self._session is not None and self._session.tick(now, lambda: self._around.others_hear(self)):
            self._settle(self._verdict())

    def give_up(self, error: Exception) -> None:
        """Our own code failed over this session: it ends, and with it the failing."""
        log.error("a proxy's stream could not be judged", proxy=self.name, exc_info=error)
        if self._session is not None:
            self._session.end(_FAULT.verdict)

    def _verdict(self) -> Verdict:
        verdict = VERDICTS[self.stream.state]
        if verdict.state is ProxyState.LIVE and not self.listed and self._session is not None:
            return verdict.because(_GREEDY) if self._session.newest_wins else verdict
        return verdict

    async def run(self) -> None:
        """Connect and stay connected, until cancelled; then leave the node cleanly."""
        while True:
            await self._turn()
            began = self._clock()
            self.gate.begin(began)
            try:
                ending = await self._attempt()
            except (APIConnectionError, OSError, TimeoutError) as error:
                ending = self._judge(error)
            except Exception:
                log.exception("a proxy's session failed in our own code", proxy=self.name)
                ending = _FAULT
            self._set_back(ending, began)
            if not self.listed and ending.verdict.state in NOT_EXPECTED:
                return

    async def _turn(self) -> None:
        """Wait until there is somebody to call, and until the gate opens."""
        while True:
            now = self._clock()
            self._woken.clear()
            until: float | None
            if self.targets:
                until = self.gate.opens()
                if now >= until:
                    return
            else:
                until = self._born + self._timing.search
                if now >= until:
                    until = None
                    self._settle(VERDICTS[ProxyState.UNREACHABLE].because(self._unseen()))
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._woken.wait()

    def _unseen(self) -> str:
        if self._around.zeroconf is None:
            return "there is no network to ask for it by mDNS, and it has no host"
        return "mDNS does not show it, and it has no host"

    async def _attempt(self) -> Ending:
        """One session, from the first byte to the last."""
        target = self.targets.next()
        sighting = target.sighting
        way = access(
            self.entry,
            self._around.discovery,
            self._around.remembered,
            mac=self.mac or (sighting.mac if sighting else None),
            encrypts=self._encrypts if self._encrypts is not None or sighting is None else sighting.encrypts,
        )
        if isinstance(way, Verdict):
            return Ending(way)
        client = make_client(target, way, self._expected(), self._timing, self._around.zeroconf)
        session = Session(client, self.hearing, self.stream, self._timing, lambda: self.tick(self._clock()))
        self._session = session
        try:
            slow = self._slow or not (self.listed or self.proved)
            node = await session.meet(self._around.lanes, slow=slow, reached=self._reached)
            self._slow = False
            refused = self._vet(node, encrypted=way.noise_psk is not None)
            if refused is not None:
                return Ending(refused)
            self.targets.good(target)
            self._failures = 0
            session.subscribe(node, insist=self.entry is not None and self.entry.insist)
            return await session.ended
        finally:
            await session.close()
            self._session = None

    def _reached(self, now: float) -> None:
        """The node took the connection; until it is through the handshake, it may be one that hangs."""
        self.gate.reached(now)
        self._slow = True

    def _expected(self) -> Address | None:
        """The MAC that must answer, where it is known."""
        if self.entry is not None:
            return self.entry.mac or self._around.remembered.bound(self.entry.name)
        return self.mac

    def _vet(self, node: Node, *, encrypted: bool) -> Verdict | None:
        """Whether this node is the one that was meant, and one that streams."""
        refused = self._identify(node, encrypted=encrypted)
        if refused is not None:
            return refused
        self.node, self.encrypted, self.proved = node, encrypted, encrypted or self.listed
        if not node.flags:
            if node.mac is not None:
                self._around.remembered.note_not_proxy(node.mac, self.targets.firmware)
            return VERDICTS[ProxyState.NOT_A_PROXY]
        if node.mac is not None:
            self._around.remembered.note_proxy(node.mac)
        if not node.flags & (BluetoothProxyFeature.PASSIVE_SCAN | BluetoothProxyFeature.RAW_ADVERTISEMENTS):
            return VERDICTS[ProxyState.NO_RAW_STREAM]
        return None

    def _identify(self, node: Node, *, encrypted: bool) -> Verdict | None:
        """Compare MACs, and keep what this session proves: that the node has our key."""
        remembered = self._around.remembered
        expected = self._expected()
        if expected is not None and node.mac != expected:
            return VERDICTS[ProxyState.WRONG_NODE]
        if node.mac is None:
            return None
        if not encrypted and remembered.encrypted(node.mac):
            return VERDICTS[ProxyState.NEEDS_KEY].because("it spoke encrypted before, and is plaintext now")
        if not self._around.claim(self, node.mac):
            return VERDICTS[ProxyState.NOT_ACCEPTED].because("it is the node of another entry")
        if encrypted:
            remembered.note_encrypted(node.mac)
            if self.entry is not None and expected is None:
                remembered.bind(self.entry.name, node.mac)
        self.mac = node.mac
        return None

    def _judge(self, error: BaseException) -> Ending:
        """A failed attempt, and what is learned from it for the next one."""
        sighting = self.targets.current_sighting
        verdict = diagnose(error, unprovisioned=sighting is not None and sighting.unprovisioned)
        if verdict.state is ProxyState.NEEDS_KEY:
            self._encrypts = True
        elif verdict.state is ProxyState.NOT_ENCRYPTED and self._around.discovery.accept == "all":
            self._encrypts = False
        return Ending(verdict, garbage=garbled(error))

    def _set_back(self, ending: Ending, began: float) -> None:
        """An attempt is over: show why, and say when the next one is due."""
        if self._clock() - began > self._timing.auth:
            self._strikes = 0
        self._strikes += ending.garbage
        if self._strikes >= _STRIKES:
            self._strikes = 0
            benched = VERDICTS[ProxyState.BENCHED]
            ending = Ending(benched.because("what it sends is not the native API, time and again"))
        self.targets.turn()
        known = self.listed or self.proved
        self.gate.after(ending, began, self._clock(), failures=self._failures, listed=self.listed, known=known)
        self._failures += 1
        if ending.verdict.state in _ELSEWHERE and self.targets.current_sighting is not None:
            self._around.search(self.targets.current_sighting.name)
        self._settle(self._patient(ending.verdict))

    def _patient(self, verdict: Verdict) -> Verdict:
        """After a power cut all of the house starts at once: who does not answer yet is not called unreachable yet."""
        young = self.node is None and self._clock() < self._born + self._timing.search
        if verdict.state is not ProxyState.UNREACHABLE or not young:
            return verdict
        return VERDICTS[ProxyState.CONNECTING].because(verdict.cause)

    def _settle(self, verdict: Verdict) -> None:
        """Take a verdict on. A change of state is one line of the log; another cause for the same state is none."""
        before, self.verdict = self.verdict, verdict
        if before.state is verdict.state:
            return
        # Of nodes that nobody listed, most in a mixed house are none of ours.
        say = log.warning if verdict.advice and self.listed else log.info
        more = {"advice": verdict.advice} if verdict.advice else {}
        if verdict.state is ProxyState.CONNECTING:
            say = log.debug
        say("proxy is " + verdict.state.replace("_", " "), proxy=self.name, room=self.room, cause=verdict.cause, **more)
        self._around.changed(self)

    def status(self, now: float) -> ProxyStatus:
        """How it is now."""
        session, slots, heard = self._session, self.slots, self.hearing.heard
        scanner = session.scanner if session is not None else None
        told = None
        if scanner is not None and scanner.state is not None and scanner.mode is not None:
            told = f"{scanner.state.name.lower()}, {scanner.mode.name.lower()}"
        counts = self.hearing.outcomes
        return ProxyStatus(
            name=self.name,
            room=self.room,
            mac=self.mac,
            state=self.verdict.state,
            cause=self.verdict.cause,
            advice=self.verdict.advice,
            address=self.targets.shown,
            version=self.node.version if self.node is not None else self.targets.version,
            encrypted=self.encrypted,
            active=self.active,
            scanner=told,
            advertisements=self.hearing.count,
            rate=self.hearing.rate(now),
            heard_age=None if heard is None else now - heard,
            uptime=None if session is None or session.up is None else now - session.up,
            slots_free=slots.free if slots is not None else None,
            slots_limit=slots.limit if slots is not None else None,
            connecting=self.connecting,
            wifi_rssi=session.wifi_rssi if session is not None else None,
            outcomes={str(outcome): counts[outcome] for outcome in Outcome if counts[outcome]},
        )
