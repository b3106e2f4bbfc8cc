"""One proxy: keeps a session with one node, and its advertisement stream, for as long as the service runs.

Sightings come in from mDNS and advertisements from the node; calls of ``hear`` and changes of state go out. The rule of
this file: attempts begin where :class:`Gate` says, the stream is judged where :class:`Stream` says, and whatever fails
here ends in a verdict and another attempt, never in the death of the task.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

import attrs
import structlog
from aioesphomeapi.client import APIClient
from aioesphomeapi.core import APIConnectionError
from aioesphomeapi.model import (
    BluetoothProxyFeature,
    BluetoothScannerMode,
    BluetoothScannerStateResponse,
    ConnectionClosedEvent,
)
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.advertisement import Address
from proxy_listener.errors import GattError
from proxy_listener.outcome import Outcome
from proxy_listener.proxies.access import Access, access
from proxy_listener.proxies.causes import VERDICTS, Verdict, diagnose, garbled
from proxy_listener.proxies.coalesce import CoalescingEventLoop
from proxy_listener.proxies.discovery import Sighting
from proxy_listener.proxies.gate import Gate
from proxy_listener.proxies.hearing import Hear, Hearing
from proxy_listener.proxies.remembered import Remembered
from proxy_listener.proxies.session import Lanes, Node, dial, greet, leave, make_client, socket_of
from proxy_listener.proxies.stream import Manners, Step, Stream
from proxy_listener.proxies.targets import Targets
from proxy_listener.proxies.timing import Timing
from proxy_listener.settings import DiscoverySettings, ProxySettings
from proxy_listener.status import ProxyState, ProxyStatus

log = structlog.get_logger()

_STRIKES = 3
"""Sessions in a row that broke the protocol, after which a node is benched."""
_BARRED = frozenset({ProxyState.WRONG_KEY, ProxyState.NEEDS_KEY, ProxyState.NOT_ENCRYPTED, ProxyState.WRONG_PASSWORD})
_GOOD = frozenset({ProxyState.CONNECTING, ProxyState.LIVE})
_DISMISSED = frozenset({ProxyState.NOT_A_PROXY, ProxyState.NOT_ACCEPTED})
"""After which an unlisted node's task is over."""
_GOODBYE = "it said goodbye: it restarts, or is being updated"
_NEWEST_WINS = (2026, 7)
"""ESPHome 2026.7.0 (esphome#17423): the newest subscriber takes the stream."""


@attrs.frozen
class Slots:
    """Connection slots; ``allocated``: the addresses that hold one, which old firmware does not tell."""

    free: int
    limit: int
    allocated: tuple[int, ...]


class Surroundings(Protocol):
    """What a proxy needs of its fleet."""

    timing: Timing
    lanes: Lanes
    remembered: Remembered
    discovery: DiscoverySettings
    zeroconf: AsyncZeroconf | None
    hear: Hear

    def others_hear(self, proxy: "Proxy") -> bool:
        """Whether another proxy hears anything now."""
        ...

    def claim(self, proxy: "Proxy", mac: Address) -> bool:
        """The node with this MAC answered the proxy: False where it is another proxy's."""
        ...

    def changed(self, proxy: "Proxy") -> None:
        """The proxy's state changed."""
        ...


class Proxy:
    """One ESPHome node that listens for us. ``entry`` None: found by mDNS only."""

    def __init__(
        self, name: str, surroundings: Surroundings, entry: ProxySettings | None, mac: Address | None = None
    ) -> None:
        loop = asyncio.get_running_loop()
        self.name = name
        self.entry = entry
        self.mac = mac
        self.proved = False
        self.node: Node | None = None
        self.slots: Slots | None = None
        self.verdict = VERDICTS[ProxyState.CONNECTING]
        self.targets = Targets(entry)
        self.encrypted: bool | None = None
        self._around = surroundings
        self._timing = surroundings.timing
        self._clock = loop.time
        self._born = loop.time()
        self.hearing = Hearing(name, surroundings.hear, surroundings.timing, loop.time)
        self.stream = Stream(surroundings.timing)
        self.gate = Gate(surroundings.timing)
        self._woken = asyncio.Event()
        self._client: APIClient | None = None
        self._ended: asyncio.Future[Verdict] | None = None
        self._dialling: asyncio.Timeout | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._scanner: BluetoothScannerStateResponse | None = None
        self._up: float | None = None
        self._probe: asyncio.Task[None] | None = None
        self._probed = float("-inf")
        self._encrypts: bool | None = None
        self._connecting = False
        self._socket: int | None = None
        self._sockets = loop.sockets if isinstance(loop, CoalescingEventLoop) else None
        self._failures = 0
        self._strikes = 0

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
    def connecting(self) -> bool:
        """Set by :mod:`proxy_listener.proxies.gatt` while it opens a connection: the room is deaf meanwhile."""
        return self._connecting

    @connecting.setter
    def connecting(self, connecting: bool) -> None:
        self._connecting = connecting
        self._pace()

    @property
    def busy(self) -> bool:
        """Whether a connection to a device is open or being opened through it."""
        return self._connecting or (self.slots is not None and self.slots.free < self.slots.limit)

    @property
    def client(self) -> APIClient:
        """The connected client. GattError where there is no session."""
        if self._client is None or self._up is None:
            raise GattError("proxy_gone", f"no session with {self.name}")
        return self._client

    @property
    def features(self) -> int:
        """Its ``bluetooth_proxy_feature_flags``; 0 while not known."""
        return self.node.flags if self.node is not None else 0

    @property
    def active(self) -> bool | None:
        """Whether it can connect to devices; None while not known."""
        return bool(self.features & BluetoothProxyFeature.ACTIVE_CONNECTIONS) if self.node is not None else None

    def seen(self, sighting: Sighting) -> None:
        """The node announced itself, or answered a question."""
        moved = self.targets.add(sighting)
        now = self._clock()
        if self._up is None:
            self.gate.announce()
            self._woken.set()
            if moved and self._dialling is not None:
                self._dialling.reschedule(now)
            return
        if self._probe is not None or now - self._probed < self._timing.probe_spacing:
            return
        if moved or now - max(self.hearing.heard or 0.0, self._up) > self._timing.probe:
            self._probed = now
            self._probe = asyncio.get_running_loop().create_task(self._ask())
            self._probe.add_done_callback(self._asked)

    def lost(self, name: str) -> None:
        """The node's mDNS record is gone. A working session is not touched."""
        self.targets.remove(name)

    def lift(self) -> None:
        """The configuration changed: an attempt that it may mend is made soon."""
        if self._up is None:
            self.gate.lift()
            self._woken.set()

    async def run(self) -> None:
        """Connect and stay connected, until cancelled; then leave the node cleanly."""
        while True:
            await self._turn()
            now = self._clock()
            self.gate.begin(now)
            try:
                verdict = await self._attempt()
            except (APIConnectionError, OSError, TimeoutError) as error:
                verdict = self._judge(error)
            except Exception:
                log.exception("a proxy's session failed in our own code", proxy=self.name)
                verdict = VERDICTS[ProxyState.UNREACHABLE].because("an error of our own; see the log")
            self._set_back(verdict, now)
            if not self.listed and verdict.state in _DISMISSED:
                return

    async def _turn(self) -> None:
        """Wait until there is somebody to call, and until the gate opens."""
        while True:
            now = self._clock()
            self._woken.clear()
            if not self.targets:
                searching = self._born + self._timing.search
                if now >= searching:
                    self._settle(VERDICTS[ProxyState.UNREACHABLE].because("mDNS does not show it, and it has no host"))
                until: float | None = searching if now < searching else None
            else:
                until = self.gate.opens()
                if now >= until:
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._woken.wait()

    async def _attempt(self) -> Verdict:
        """One session, from the first byte to the last. Gives the verdict that it ended with."""
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
            return way
        client = make_client(target, way, self._expected(), self._timing, self._around.zeroconf)
        ended: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        client.add_connection_closed_callback(lambda event: self._closed(ended, event))
        try:
            node = await self._meet(client)
            refused = self._vet(node, encrypted=way.noise_psk is not None)
            if refused is not None:
                return refused
            self.targets.good(target)
            self._subscribe(client, node, ended, way)
            return await ended
        finally:
            await self._hang_up(client)

    async def _meet(self, client: APIClient) -> Node:
        async with self._around.lanes.dialling():
            began = self._clock()
            try:
                async with asyncio.timeout(self._timing.dial) as self._dialling:
                    await dial(client)
            finally:
                self._dialling = None
        self.gate.reached(self._clock())
        spent = self._clock() - began
        stranger = not self.listed and not self.proved
        async with self._around.lanes.handshaking(stranger=stranger), asyncio.timeout(self._timing.attempt - spent):
            return await greet(client)

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
                self._around.remembered.note_not_proxy(node.mac, self.targets.firmware or node.version)
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

    def _subscribe(self, client: APIClient, node: Node, ended: asyncio.Future[Verdict], way: Access) -> None:
        """Take the stream: the scanner's state first, so that the answer to the subscription is not missed."""
        now = self._clock()
        self._client, self._ended, self._up = client, ended, now
        self._failures = 0
        tells = bool(node.flags & BluetoothProxyFeature.FEATURE_STATE_AND_MODE)
        newest_wins = _release(node.version) >= _NEWEST_WINS
        insist = self.entry is not None and self.entry.insist
        self.hearing.session()
        self.stream.connected(Manners(tells, newest_wins, insist), now)
        if tells:
            client.subscribe_bluetooth_scanner_state(self._told)
        if node.flags & BluetoothProxyFeature.ACTIVE_CONNECTIONS:
            client.subscribe_bluetooth_connections_free(self._counted)
        self._ask_for_stream()
        self._socket = socket_of(client)
        self._pace()
        log.debug("subscribed", proxy=self.name, version=node.version, encrypted=way.noise_psk is not None)

    def _ask_for_stream(self) -> None:
        client = self.client
        if self.features & BluetoothProxyFeature.RAW_ADVERTISEMENTS:
            # The library keeps handlers in a set, and this one stays itself: subscribing again adds none.
            self._unsubscribe = client.subscribe_bluetooth_le_raw_advertisements(self.hearing.raw)
        else:
            self._give_up_stream()
            self._unsubscribe = client.subscribe_bluetooth_le_advertisements(self.hearing.parsed)
        self.stream.subscribed(self._clock())

    def _give_up_stream(self) -> None:
        if self._unsubscribe is not None:
            unsubscribe, self._unsubscribe = self._unsubscribe, None
            with suppress(APIConnectionError):
                unsubscribe()

    def _told(self, state: BluetoothScannerStateResponse) -> None:
        self._scanner = state
        now = self._clock()
        self.stream.told(now)
        self.tick(now)

    def _counted(self, free: int, limit: int, allocated: list[int]) -> None:
        self.slots = Slots(free, limit, tuple(allocated[:16]))
        self._pace()

    def _pace(self) -> None:
        """Read its socket together with the other proxies', unless somebody waits for answers from a device."""
        if self._sockets is not None and self._socket is not None:
            (self._sockets.fast if self.busy else self._sockets.slow)(self._socket)

    def tick(self, now: float) -> None:
        """Judge the stream and act on it. Called by the fleet a few times a second."""
        if self._up is None or self._ended is None or self._ended.done():
            return
        if self.hearing.misbehaviour is not None:
            self._end(VERDICTS[ProxyState.BENCHED].because(self.hearing.misbehaviour))
            return
        step = self.stream.tick(now, self.hearing.heard, others=self._around.others_hear(self), busy=self.busy)
        self._settle(VERDICTS[self.stream.state])
        if self.stream.state is ProxyState.LIVE:
            self._strikes = 0
        try:
            self._act(step)
        except APIConnectionError as error:
            self._end(diagnose(error))

    def _act(self, step: Step) -> None:
        match step:
            case Step.SUBSCRIBE:
                self._ask_for_stream()
            case Step.RESUBSCRIBE:
                self._give_up_stream()
                self._ask_for_stream()
            case Step.TOGGLE:
                configured = self._scanner.configured_mode if self._scanner is not None else None
                active = configured is not BluetoothScannerMode.PASSIVE
                modes = (BluetoothScannerMode.PASSIVE, BluetoothScannerMode.ACTIVE)
                for mode in modes if active else reversed(modes):
                    self.client.bluetooth_scanner_set_mode(mode)
            case Step.RECONNECT:
                self._end(VERDICTS[ProxyState.SILENT].because("its session is renewed, because its scanner is silent"))
            case Step.NOTHING:
                pass

    async def _ask(self) -> None:
        """Ask a node that announces itself, though its session is up, whether it still knows of that session."""
        try:
            async with asyncio.timeout(self._timing.probe):
                await self.client.device_info()
        except (APIConnectionError, TimeoutError):
            self.gate.announce()
            self._end(VERDICTS[ProxyState.UNREACHABLE].because("it announced itself anew and no longer knows us"))

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._probe = None
        if not task.cancelled():
            task.exception()

    def _end(self, verdict: Verdict) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(verdict)

    def _closed(self, ended: asyncio.Future[Verdict], event: ConnectionClosedEvent) -> None:
        """The established connection ended, from either side."""
        if ended.done():
            return
        lost = VERDICTS[ProxyState.UNREACHABLE]
        if garbled(event.error):
            self._strikes += 1
        if event.expected_disconnect or event.error is None:
            ended.set_result(lost.because(_GOODBYE))
        else:
            verdict = diagnose(event.error)
            ended.set_result(lost.because("the connection was lost") if verdict.state is ProxyState.FULL else verdict)

    async def _hang_up(self, client: APIClient) -> None:
        """Leave the node cleanly: an unclean end blocks the stream of older firmware for 151 s."""
        self._give_up_stream()
        self._client, self._ended, self._up = None, None, None
        self._scanner, self.slots, self._socket = None, None, None
        if self._probe is not None:
            self._probe.cancel()
        await leave(client, self._timing.leave)

    def _judge(self, error: BaseException) -> Verdict:
        """A failed attempt, and what is learned from it for the next one."""
        sighting = self.targets.current_sighting
        verdict = diagnose(error, unprovisioned=sighting is not None and sighting.unprovisioned)
        if garbled(error):
            self._strikes += 1
        if verdict.state is ProxyState.NEEDS_KEY:
            self._encrypts = True
        elif verdict.state is ProxyState.NOT_ENCRYPTED and self._around.discovery.accept == "all":
            self._encrypts = False
        return verdict

    def _set_back(self, verdict: Verdict, began: float) -> None:
        """An attempt is over: show why, and say when the next one is due."""
        now = self._clock()
        if self._strikes >= _STRIKES:
            self._strikes = 0
            verdict = VERDICTS[ProxyState.BENCHED].because("what it sends is not the native API, time and again")
        self.targets.turn()
        timing = self._timing
        patience = min(self._failures, 10)
        goodbye = verdict.cause == _GOODBYE
        match verdict.state:
            case ProxyState.BENCHED:
                self.gate.bar(now, timing.bench)
            case state if state in _BARRED:
                self.gate.bar(now, timing.auth if self.listed else min(timing.auth * 2.0**patience, timing.settle))
            case ProxyState.WRONG_NODE | ProxyState.NOT_ACCEPTED:
                self.gate.wait(now, timing.auth)
            case ProxyState.NOT_A_PROXY | ProxyState.NO_RAW_STREAM | ProxyState.INCOMPATIBLE:
                self.gate.bar(now, timing.settle)
            case ProxyState.FULL:
                self.gate.wait(now, timing.full)
            case ProxyState.SILENT:
                self.gate.wait(now, 0.0)
            case _ if self._failures == 0:
                self.gate.wait(now, timing.spacing if goodbye else timing.redial)
            case _ if self.listed or self.proved:
                self.gate.wait(began, timing.spacing)
            case _:
                self.gate.wait(now, min(timing.spacing * 2.0**patience, timing.stranger_spacing))
        self._failures += 1
        self._settle(verdict)

    def _settle(self, verdict: Verdict) -> None:
        """Take a verdict on. A change of state is one line of the log; another cause for the same state is none."""
        before, self.verdict = self.verdict, verdict
        if before.state is verdict.state:
            return
        say = log.info if verdict.state in _GOOD else log.warning
        if verdict.state is ProxyState.CONNECTING:
            say = log.debug
        more = {"advice": verdict.advice} if verdict.advice else {}
        say("proxy is " + verdict.state.replace("_", " "), proxy=self.name, room=self.room, cause=verdict.cause, **more)
        self._around.changed(self)

    def status(self, now: float) -> ProxyStatus:
        """How it is now."""
        node, scanner, slots = self.node, self._scanner, self.slots
        state = None
        if scanner is not None and scanner.state is not None and scanner.mode is not None:
            state = f"{scanner.state.name.lower()}, {scanner.mode.name.lower()}"
        return ProxyStatus(
            name=self.name,
            room=self.room,
            mac=self.mac,
            state=self.verdict.state,
            cause=self.verdict.cause,
            advice=self.verdict.advice,
            address=self.targets.shown,
            version=node.version if node is not None else self.targets.version,
            encrypted=self.encrypted,
            active=self.active,
            scanner=state,
            advertisements=self.hearing.count,
            rate=self.hearing.rate(now),
            heard_age=None if self.hearing.heard is None else now - self.hearing.heard,
            uptime=None if self._up is None else now - self._up,
            slots_free=slots.free if slots is not None else None,
            slots_limit=slots.limit if slots is not None else None,
            connecting=self.connecting,
            wifi_rssi=None,
            outcomes=_named(self.hearing.outcomes),
        )


def _named(counts: list[int]) -> Mapping[str, int]:
    return {str(outcome): counts[outcome] for outcome in Outcome if counts[outcome]}


def _release(version: str) -> tuple[int, int]:
    """``2026.7.0-dev`` -> (2026, 7); (0, 0) where it is not of that form."""
    year, _, rest = version.partition(".")
    month = rest.partition(".")[0]
    return (int(year), int(month)) if year.isdecimal() and month.isdecimal() else (0, 0)
