"""One proxy: keeps a session with one node for as long as the service runs.

Sightings come in from mDNS and advertisements from the node; calls of ``hear`` and changes of state go out. Invariants:
attempts begin when :class:`RetryTimer` says, and whatever fails here ends in a state and another attempt, never in the
end of the task.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import attrs
import structlog
from aioesphomeapi.client import APIClient
from aioesphomeapi.core import APIConnectionError
from aioesphomeapi.model import BluetoothProxyFeature, BluetoothScannerStateResponse
from google.protobuf.message import Message

from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.errors import GattError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.model.status import NOT_EXPECTED, ProxyState, ProxyStatus
from proxy_listener.model.timing import NEVER
from proxy_listener.proxies.admission import Credentials, KnownNodes, admit, identify
from proxy_listener.proxies.calls import Call, Calls
from proxy_listener.proxies.client import ConnectLimits, NodeInfo, make_client
from proxy_listener.proxies.dial_in import Caller
from proxy_listener.proxies.discovery import Sighting
from proxy_listener.proxies.mdns import Mdns
from proxy_listener.proxies.receive import Receiver
from proxy_listener.proxies.retry import ConnectionEnd, RetryTimer, Target, Targets
from proxy_listener.proxies.session import ProxySession, Slots
from proxy_listener.proxies.states import STATES, Diagnosis, broke_protocol, diagnose
from proxy_listener.proxies.stream import ProxyStream
from proxy_listener.proxies.tap import Tap
from proxy_listener.proxies.timing import ProxyTiming

log = structlog.get_logger()

_OWN_FAULT = ConnectionEnd(STATES[ProxyState.UNREACHABLE].because("an error of our own; see the log"))
_MOVED = frozenset({ProxyState.UNREACHABLE, ProxyState.WRONG_NODE})
"""After which the node may have another address now."""
_OWN_DEAD_SESSION = (
    "a session of ours that did not end cleanly may still hold its advertisement stream: firmware before 2026.7 drops "
    "it after 150 s; if this lasts longer, another client holds the stream"
)
_NEWEST_WINS = "listening; this firmware streams to its newest client only, so Home Assistant has lost it if it had it"


_ANOTHER_ENTRYS = attrs.evolve(
    STATES[ProxyState.NOT_ACCEPTED],
    cause="it is the node of another entry",
    advice="write mac in the [[proxy]] entries; a node that says that it has another's MAC is a copy, or an attacker's",
)


_FOR_CALLS = "check its power and its way here, and outgoing_connection: host and port in its YAML"


def _no_tap(_proxy: "Proxy") -> Tap | None:
    return None


@attrs.frozen
class ProxyContext:
    """What all proxies of a fleet share. ``claim``: whether the node with this MAC belongs to this proxy.

    ``others_hear``: whether another proxy hears anything now. ``tap``: who else uses this one, asked at each session.
    """

    timing: ProxyTiming
    known: KnownNodes
    limits: ConnectLimits
    mdns: Mdns
    claim: Callable[["Proxy", Address], bool]
    others_hear: Callable[["Proxy"], bool]
    changed: Callable[[ProxyStatus], None]
    tap: Callable[["Proxy"], Tap | None] = _no_tap


class Proxy:
    """One ESPHome node that listens for us. ``entry`` None: found by mDNS only.

    ``entry`` and ``discovery`` may be replaced at any time; they count from the next attempt on.
    """

    def __init__(
        self,
        receiver: Receiver,
        context: ProxyContext,
        discovery: DiscoverySettings,
        entry: ProxySettings | None,
        mac: Address | None = None,
    ) -> None:
        self._clock = asyncio.get_running_loop().time
        self.name = receiver.name
        self.entry = entry
        self.discovery = discovery
        self.mac = mac
        self.proved = False
        self.encrypted: bool | None = None
        self.node: NodeInfo | None = None
        self.diagnosis = STATES[ProxyState.CONNECTING]
        self.targets = Targets(entry)
        self._context = context
        self._timing = context.timing
        self.receiver = receiver
        self.stream = ProxyStream(context.timing)
        self.retry = RetryTimer(context.timing)
        self.links: set[Address] = set()  # devices to which connections of ours are open, or being opened
        self.tap: Tap | None = None
        self._session: ProxySession | None = None
        self._opening: asyncio.Task[NodeInfo] | None = None
        self._caller: str | None = None
        self._created = self._clock()
        self._woken = asyncio.Event()
        self.calls = Calls(self._is_up, self._called, self._clock)
        self._encrypts: bool | None = None
        self._slow = False
        self._was_up = False
        # A run that was killed, or whose machine lost power, left sessions on the nodes.
        self._dead_session_until = self._created + context.timing.reap if context.known.killed else NEVER

    @property
    def listed(self) -> bool:
        """Whether it has a ``[[proxy]]`` entry."""
        return self.entry is not None

    @property
    def room(self) -> str:
        """The entry's room, else the node's name."""
        return (self.entry.room or self.entry.name) if self.entry is not None else self.name

    @property
    def state(self) -> ProxyState:
        """How it is."""
        return self.diagnosis.state

    @property
    def live(self) -> bool:
        """Whether the stream is up and ours."""
        return self.diagnosis.state is ProxyState.LIVE

    def _is_up(self) -> bool:
        return self._session is not None and self._session.up is not None

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
    def round_trip(self) -> float:
        """Seconds that the node takes to answer, as its session measured; 0 while not known."""
        return self._session.round_trip if self._session is not None else 0.0

    def measured(self, seconds: float) -> None:
        """An answer of the node took so long."""
        if self._session is not None:
            self._session.measured(seconds)

    def use_tap(self) -> None:
        """Ask who else uses this proxy, and pass on to them from now on."""
        self.tap = self._context.tap(self)
        self.receiver.forward = self.tap.advertisements if self.tap is not None else None
        if self._session is not None:
            self._session.use_tap(self.tap)

    def _held(self) -> set[Address]:
        return self.links | set(self.tap.held) if self.tap is not None else self.links

    def send(self, message: Message) -> None:
        """Send a message of the tap's clients to the node. APIConnectionError where there is no session."""
        if self._session is None:
            raise APIConnectionError("no session")
        self._session.send(message)

    @property
    def slots(self) -> Slots | None:
        """Its connection slots, where it told them."""
        return self._session.slots if self._session is not None else None

    @property
    def scanner(self) -> BluetoothScannerStateResponse | None:
        """Its scanner, as it told in this session."""
        return self._session.scanner if self._session is not None else None

    @property
    def connecting(self) -> bool:
        """Set while a connection to a device is opened (:mod:`proxy_listener.proxies.connection`): the proxy does not
        scan meanwhile.
        """
        return self._session is not None and self._session.connecting

    @connecting.setter
    def connecting(self, connecting: bool) -> None:
        if self._session is not None:
            self._session.connecting = connecting
            self._session.set_pace()

    def seen(self, sighting: Sighting) -> None:
        """The node announced itself, or answered a question."""
        moved = self.targets.add(sighting)
        session = self._session
        if session is not None and session.up is not None:
            session.announced(moved=moved, lost=self.retry.announced)
            return
        self.retry.announced()
        self._woken.set()
        if moved and session is not None:
            session.moved()

    def reconfigured(self) -> None:
        """The configuration changed: try again soon."""
        self.retry.reset()
        self._woken.set()

    def tick(self, now: float) -> None:
        """Judge the stream. The fleet calls it a few times a second; also called when a scanner state came."""
        session = self._session
        if session is not None and session.tick(now, lambda: self._context.others_hear(self)):
            diagnosis = STATES[self.stream.state]
            if diagnosis.state is ProxyState.LIVE and session.newest_wins and not self.listed:
                diagnosis = diagnosis.because(_NEWEST_WINS)
            elif diagnosis.state is ProxyState.TAKEN:
                again = time.localtime(time.time() + self.stream.due - now)
                diagnosis = diagnosis.because(
                    f"{diagnosis.cause}; asked for again at {time.strftime('%H:%M:%S', again)}"
                )
            elif diagnosis.state is ProxyState.HELD:
                own = now < self._dead_session_until
                cause = (
                    _OWN_DEAD_SESSION if own else f"{diagnosis.cause}; asked for again every {self._timing.held:.0f} s"
                )
                diagnosis = diagnosis.because(cause)
            self._set(diagnosis)

    def end_session(self, error: Exception) -> None:
        """Judging this session failed in our own code: end it, and with it the failing."""
        log.error("a proxy's stream could not be judged", proxy=self.name, exc_info=error)
        if self._session is not None:
            self._session.end(_OWN_FAULT.diagnosis)

    def _judge(self) -> None:
        self.tick(self._clock())

    def lose_node(self) -> None:
        """The node turned out to be that of another entry: end this session with it."""
        if self._session is not None:
            self._session.end(_ANOTHER_ENTRYS)

    async def run(self) -> None:
        """Connect and stay connected, until cancelled; then leave the node cleanly."""
        try:
            while True:
                await self._wait()
                end = await self._once()
                if not self.listed and end is not None and end.diagnosis.state in NOT_EXPECTED:
                    return
        finally:
            await self.calls.hang_up()

    async def _once(self) -> ConnectionEnd | None:
        """One attempt or one call, to the end of its session. None where the node called during the attempt."""
        began = self._clock()
        self.retry.started(began)
        call = self.calls.next()
        try:
            end = await (self._attempt() if call is None else self._take(call))
        except (APIConnectionError, OSError, TimeoutError) as error:
            end = self._failed(error)
        except Exception:
            log.exception("a proxy's session failed in our own code", proxy=self.name)
            end = _OWN_FAULT
        if end is not None:
            self._ended(end, began, called=call is not None)
        return end

    async def _wait(self) -> None:
        """Wait until there is a target, and until the next attempt is due."""
        while True:
            now = self._clock()
            self._woken.clear()
            until: float | None
            if self.calls.waiting is not None:
                return
            if self.targets:
                until = self.retry.due()
                if now >= until:
                    return
            else:
                # What a call ended with is shown for as long as it would hold an attempt back.
                until = max(self._created + self._timing.search, self.retry.due())
                if now >= until:
                    until = None
                    self._set(self._unseen())
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._woken.wait()

    def _unseen(self) -> Diagnosis:
        """Why mDNS gives no address of it."""
        mdns, unreachable = self._context.mdns, STATES[ProxyState.UNREACHABLE]
        if self.discovery.dial_in is not None:
            cause = self.calls.refusal or "it has no host, mDNS does not show it, and it does not call"
            return attrs.evolve(unreachable, cause=cause, advice=_FOR_CALLS)
        if mdns.zeroconf is None:
            return unreachable.because("there is no network to ask for it by mDNS, and it has no host")
        if (named := mdns.others_of_its_name(self.mac)) is not None:
            name, others = named
            return attrs.evolve(
                unreachable,
                cause=f"mDNS shows {', '.join(map(mac_text, others))} under its name {name}: nodes share one name",
                advice="give each node a name of its own in its YAML, or give each [[proxy]] entry its host",
            )
        return unreachable.because("mDNS does not show it, and it has no host")

    async def _attempt(self) -> ConnectionEnd | None:
        """One session, from the first byte to the last. None where the node called meanwhile."""
        target = self.targets.next()
        sighting = target.sighting
        way = admit(
            self.entry,
            self.discovery,
            self._context.known,
            mac=self.mac or (sighting.mac if sighting else None),
            encrypts=self._encrypts if self._encrypts is not None or sighting is None else sighting.encrypts,
        )
        if isinstance(way, Diagnosis):
            return ConnectionEnd(way)
        self._session = session = self._make_session(target, way, self._expected())
        try:
            slow = self._slow or not (self.listed or self.proved)
            opening = session.open(self._context.limits, slow=slow, reached=self._reached)
            self._opening = asyncio.create_task(opening)
            try:
                node = await self._opening
            except (APIConnectionError, OSError, TimeoutError):
                if session.ended.done():
                    return session.ended.result()
                raise
            except asyncio.CancelledError:
                own = asyncio.current_task()
                if self.calls.waiting is None or (own is not None and own.cancelling()):
                    raise
                return None
            finally:
                self._opening = None
            self._slow = False
            if self.calls.waiting is not None:
                return None
            return await self._hold(session, node, target, encrypted=way.noise_psk is not None)
        finally:
            await session.close()
            self._session = None

    def _make_session(self, target: Target, way: Credentials, expected: Address | None) -> ProxySession:
        called = self.discovery.dial_in is not None
        client = make_client(target, way, expected, self._timing, self._context.mdns.zeroconf, called=called)
        return ProxySession(client, self.receiver, self.stream, self._timing, self._judge, self._held)

    async def _hold(
        self, session: ProxySession, node: NodeInfo, target: Target | None, *, encrypted: bool
    ) -> ConnectionEnd:
        """A session whose handshake is done, to its end. ``target`` None: the node called."""
        refused = self._vet(node, encrypted=encrypted)
        if refused is not None:
            return ConnectionEnd(refused)
        if target is not None:
            self.targets.good(target)
        self.retry.succeeded()
        self._was_up = True
        session.subscribe(node, insist=self.entry is not None and self.entry.insist)
        self.use_tap()
        return await session.ended

    async def _take(self, call: Call) -> ConnectionEnd:
        self._session, self._caller = call.session, call.address
        try:
            return await self._hold(call.session, call.node, None, encrypted=True)
        finally:
            await call.session.close()
            self._session = self._caller = None

    async def answer(self, caller: Caller) -> Diagnosis | None:
        """A node calls with this one's MAC: go on with its connection, once it proved the key. Why it is refused; None
        where it is not.
        """
        way = admit(self.entry, self.discovery, self._context.known, mac=caller.mac, encrypts=True)
        if isinstance(way, Diagnosis):
            return await self.calls.answer(caller, way)
        if way.noise_psk is None:
            return await self.calls.answer(caller, STATES[ProxyState.NEEDS_KEY])
        return await self.calls.answer(caller, self._make_session(Target((caller.address,), 0), way, caller.mac))

    def _called(self) -> None:
        """A call waits: go on with it, instead of an attempt that is not at its end."""
        self._woken.set()
        if self._opening is not None:
            self._opening.cancel()

    def _reached(self, now: float) -> None:
        """The node accepted the TCP connection. Until the handshake is done, it may be one that hangs."""
        self.retry.reached(now)
        self._slow = True

    def _expected(self) -> Address | None:
        """The MAC that must answer, where it is known."""
        if self.entry is not None:
            return self.entry.mac or self._context.known.bound(self.entry.name)
        return self.mac

    def _vet(self, node: NodeInfo, *, encrypted: bool) -> Diagnosis | None:
        """None where this is the expected node and it streams. Records that the node has our key, if it proved that."""
        known, expected = self._context.known, self._expected()
        refused = identify(node.mac, expected, known, encrypted=encrypted)
        if refused is not None:
            return refused
        if node.mac is not None:
            if not self._context.claim(self, node.mac):
                return _ANOTHER_ENTRYS
            if encrypted:
                known.add_encrypted(node.mac)
                if self.entry is not None and expected is None:
                    known.bind(self.entry.name, node.mac)
            known.set_proxy(node.mac, self.targets.firmware, proxy=bool(node.flags))
            self.mac = node.mac
        self.node, self.encrypted, self.proved = node, encrypted, encrypted or self.listed
        return node.refused

    def _failed(self, error: BaseException) -> ConnectionEnd:
        """How the attempt ended; what it showed about encryption is used by the next one."""
        sighting = self.targets.current_sighting
        diagnosis = diagnose(error, unprovisioned=sighting is not None and sighting.unprovisioned)
        if diagnosis.state is ProxyState.NEEDS_KEY:
            self._encrypts = True
        elif diagnosis.state is ProxyState.NOT_ENCRYPTED and self.discovery.accept == "all":
            self._encrypts = False
        return ConnectionEnd(diagnosis, garbage=broke_protocol(error))

    def _ended(self, end: ConnectionEnd, began: float, *, called: bool) -> None:
        """An attempt or a call is over: set the state, and when the next attempt is due."""
        now = self._clock()
        if self._was_up and end.diagnosis.state is ProxyState.BENCHED:
            self.calls.bar(now + self._timing.bench)
        if self._was_up and not end.goodbye:
            self._dead_session_until = now + self._timing.reap
        self._was_up = False
        if not called:
            self.targets.advance()
        end = self.retry.ended(end, began, now, listed=self.listed, known=self.listed or self.proved)
        if end.diagnosis.state in _MOVED and self.targets.current_sighting is not None:
            self._context.mdns.search(self.targets.current_sighting.name)
        diagnosis = end.diagnosis
        if (
            diagnosis.state is ProxyState.UNREACHABLE
            and self.node is None
            and now < self._created + self._timing.search
        ):
            # After a power cut everything starts at once: a node may need some seconds more.
            diagnosis = STATES[ProxyState.CONNECTING].because(diagnosis.cause)
        self._set(diagnosis)

    def _set(self, diagnosis: Diagnosis) -> None:
        """A change of state is logged and reported; another cause of the same state is not."""
        before, self.diagnosis = self.diagnosis, diagnosis
        state = diagnosis.state
        if before.state is state:
            return
        # Of nodes without an entry, most are other devices of the network: no warning.
        level = log.warning if diagnosis.advice and self.listed else log.info
        if state is ProxyState.CONNECTING:
            level = log.debug
        more = {"advice": diagnosis.advice} if diagnosis.advice else {}
        level("proxy state: " + state.replace("_", " "), proxy=self.name, room=self.room, cause=diagnosis.cause, **more)
        self._context.changed(self.status(self._clock()))

    def status(self, now: float) -> ProxyStatus:
        """How it is now."""
        session, node, receiver = self._session, self.node, self.receiver
        slots = session.slots if session is not None else None
        return ProxyStatus(
            name=self.name,
            room=self.room,
            mac=self.mac,
            state=self.diagnosis.state,
            cause=self.diagnosis.cause,
            advice=self.diagnosis.advice,
            address=self.targets.shown if self._caller is None else None,
            version=node.version if node is not None else self.targets.version,
            encrypted=self.encrypted,
            active=bool(self.features & BluetoothProxyFeature.ACTIVE_CONNECTIONS) if node is not None else None,
            scanner=session.scanner_text if session is not None else None,
            advertisements=receiver.count,
            rate=receiver.rate(now),
            heard_age=None if receiver.heard is None else now - receiver.heard,
            uptime=None if session is None or session.up is None else now - session.up,
            slots_free=slots.free if slots is not None else None,
            slots_limit=slots.limit if slots is not None else None,
            connecting=self.connecting,
            called_from=self._caller,
            wifi_rssi=session.wifi_rssi if session is not None else None,
            round_trip=self.round_trip,
            outcomes={str(outcome): receiver.outcomes[outcome] for outcome in Outcome if receiver.outcomes[outcome]},
        )
