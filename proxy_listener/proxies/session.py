"""One session with one node: a client in; the node's stream and slots while it lasts, and how it ended, out.

Invariant: everything that belongs to one connection is made and ended here, and every session is left cleanly.
"""

import asyncio
import re
import socket
from collections.abc import Callable, Collection
from contextlib import suppress

import attrs
import structlog
from aioesphomeapi.client import APIClient
from aioesphomeapi.core import APIConnectionError, BluetoothGATTAPIError
from aioesphomeapi.model import (
    BluetoothProxyFeature,
    BluetoothScannerMode,
    BluetoothScannerStateResponse,
    ConnectionClosedEvent,
)
from google.protobuf.message import Message

from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.status import ProxyState
from proxy_listener.model.timing import NEVER
from proxy_listener.proxies.client import (
    ConnectLimits,
    NodeInfo,
    WifiSignal,
    connection_of,
    dial,
    handshake,
    leave,
    limit_socket,
)
from proxy_listener.proxies.coalesce import CoalescingEventLoop
from proxy_listener.proxies.flood import ADVERTISEMENT, LimitedSocket
from proxy_listener.proxies.receive import Receiver
from proxy_listener.proxies.retry import ConnectionEnd
from proxy_listener.proxies.states import ASLEEP, RESTARTS, STATES, Diagnosis, broke_protocol, diagnose
from proxy_listener.proxies.stream import ProxyStream, Step, StreamTraits
from proxy_listener.proxies.tap import Tap, tap_connection
from proxy_listener.proxies.timing import ProxyTiming

log = structlog.get_logger()

_NEWEST_WINS = (2026, 7)
"""ESPHome 2026.7.0 (esphome#17423): the newest subscriber takes the stream."""
_RELEASE = re.compile(r"(\d{4})\.(\d{1,2})(?:\.|$)", re.ASCII)
_HANDSHAKE_TRIPS = 3
"""Round trips of a handshake: hello and login, DeviceInfo, DeviceCapabilities; Noise takes one more."""
_NO_DEVICE = 0xFFFF_FFFF_FFFF
"""No device has this address. Zero would be that of a free slot in the firmware."""
_SLOTS = 16
"""Allocated addresses that are kept; an ESP32 has nine slots at most."""
_SUSPENDED = 2.0
"""Seconds between two ticks after which this process did not run: what came meanwhile comes at once, and is no flood.
"""
_REST_TICKS = 2
"""Ticks until a quiet stream that is all right is judged again: a judgement of fifty such streams costs a wake-up more
than all else that they do.
"""
_JUDGE_AGAIN = 0.1
"""Seconds between judgements of the stream because of a scanner state: a node may send such states without end."""


@attrs.frozen
class Slots:
    """Connection slots; ``allocated``: the addresses that hold one, which old firmware does not report."""

    free: int
    limit: int
    allocated: tuple[int, ...]


class ProxySession:
    """One connection, from the dial to the disconnect. ``changed`` is called when a scanner state came; ``links()`` are
    the devices to which connections of ours, or of the tap's clients, are open.
    """

    def __init__(
        self,
        client: APIClient,
        receiver: Receiver,
        stream: ProxyStream,
        timing: ProxyTiming,
        changed: Callable[[], None],
        links: Callable[[], Collection[Address]],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.client = client
        self.ended: asyncio.Future[ConnectionEnd] = loop.create_future()
        self.up: float | None = None
        self.slots: Slots | None = None
        self.scanner: BluetoothScannerStateResponse | None = None
        self.connecting = False
        self.round_trip = 0.0
        self.newest_wins = False
        self._sleeps = False
        self._wifi: WifiSignal | None = None
        self._receiver = receiver
        self._stream = stream
        self._timing = timing
        self._changed = changed
        self._links = links
        self._tap: Tap | None = None
        self._untap: Callable[[], None] | None = None
        self._full_since: float | None = None
        self._clock = loop.time
        self._dialling: asyncio.Timeout | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._probe: asyncio.Task[None] | None = None
        self._probed = NEVER
        self._stream_probe: asyncio.Task[None] | None = None
        self._sockets = loop.sockets if isinstance(loop, CoalescingEventLoop) else None
        self._socket: int | None = None
        self._judged = NEVER
        self._rests_until = NEVER
        self._ticked = loop.time()
        client.add_connection_closed_callback(self._closed)

    @property
    def busy(self) -> bool:
        """Whether a connection to a device is open or being opened."""
        used = self.slots is not None and self.slots.free < self.slots.limit
        return self.connecting or used or (self._tap is not None and self._tap.connecting)

    @property
    def wifi_rssi(self) -> int | None:
        """How well the node receives its own Wi-Fi, dBm, where it reports that."""
        return self._wifi.rssi if self._wifi is not None else None

    @property
    def scanner_text(self) -> str | None:
        """The scanner's state and mode, such as ``running, active``; None where it did not report both."""
        scanner = self.scanner
        if scanner is None or scanner.state is None or scanner.mode is None:
            return None
        return f"{scanner.state.name.lower()}, {scanner.mode.name.lower()}"

    async def open(self, limits: ConnectLimits, *, slow: bool, reached: Callable[[float], None]) -> NodeInfo:
        """Connect and ask what the node is, within the attempt's time. Raises the library's errors, TimeoutError."""
        async with limits.dialling:
            began = self._clock()
            try:
                async with asyncio.timeout(self._timing.dial) as self._dialling:
                    await dial(self.client)
            finally:
                self._dialling = None
        reached(self._clock())
        self._socket = limit_socket(self.client, self._limited)
        left = self._timing.attempt - (self._clock() - began)
        async with limits.handshaking(slow=slow), asyncio.timeout(left if slow else self._timing.handshake):
            return await self._shake_hands()

    async def adopt(self, sock: socket.socket) -> NodeInfo:
        """As :meth:`open`, over a connection that the node opened."""
        self.client.start_connection_from_socket(sock, log_errors=False)
        self._socket = limit_socket(self.client, self._limited)
        async with asyncio.timeout(self._timing.handshake):
            return await self._shake_hands()

    async def _shake_hands(self) -> NodeInfo:
        began = self._clock()
        node = await handshake(self.client)
        self.measured((self._clock() - began) / _HANDSHAKE_TRIPS)
        return node

    def _limited(self, sock: socket.socket) -> socket.socket:
        return LimitedSocket(sock, self._timing.flood_rate * ADVERTISEMENT, self._clock, self._bench)

    def measured(self, seconds: float) -> None:
        """An answer of the node took so long. One quick answer at most halves the round trip: waits depend on it."""
        self.round_trip = max(seconds, self.round_trip / 2)

    def moved(self) -> None:
        """The node has another address now: cancel a dial to the old one."""
        if self._dialling is not None:
            self._dialling.reschedule(self._clock())

    def subscribe(self, node: NodeInfo, *, insist: bool) -> None:
        """Take the stream. The scanner state is subscribed first: it is the answer to the stream's subscription."""
        self._sleeps = node.sleeps
        self.up = self._clock()
        reports_state = bool(node.flags & BluetoothProxyFeature.FEATURE_STATE_AND_MODE)
        self.newest_wins = _release(node.version) >= _NEWEST_WINS
        self._receiver.new_session(self._bench)
        active = bool(node.flags & BluetoothProxyFeature.ACTIVE_CONNECTIONS)
        # Where the first client keeps the stream, it cannot be taken, and passive firmware answers no such question.
        self._stream.connected(
            StreamTraits(reports_state, self.newest_wins, insist, probes=self.newest_wins and active), self.up
        )
        if reports_state:
            self.client.subscribe_bluetooth_scanner_state(self._scanner_state)
        if active:
            self.client.subscribe_bluetooth_connections_free(self._slots_free)
        self._subscribe_stream()
        if (connection := connection_of(self.client)) is not None:
            self._wifi = WifiSignal(connection)
        self.set_pace()

    def _subscribe_stream(self) -> None:
        # The library keeps handlers in a set, so subscribing the same one again adds none.
        self._unsubscribe = self.client.subscribe_bluetooth_le_raw_advertisements(self._receiver.raw)
        self._stream.subscribed(self._clock())

    def _unsubscribe_stream(self) -> None:
        if self._unsubscribe is not None:
            unsubscribe, self._unsubscribe = self._unsubscribe, None
            with suppress(APIConnectionError):
                unsubscribe()

    def _scanner_state(self, state: BluetoothScannerStateResponse) -> None:
        now = self._clock()
        self.scanner = state
        self._stream.state_reported(now)
        if now - self._judged >= _JUDGE_AGAIN:
            self._judged = now
            self._rests_until = NEVER
            self._changed()

    def _close_strays(self, now: float) -> None:
        """Close links of clients that left, where they hold the last slots: firmware 2025.6 keeps them, and nobody
        could read a device through this proxy any more.
        """
        slots = self.slots
        # Only the holder of the stream is told of changes: the list of a session that is held or taken is old.
        ours = self._stream.state is ProxyState.LIVE
        if slots is None or slots.free or not slots.allocated or self.connecting or not ours:
            self._full_since = None
            return
        if self._full_since is None:
            self._full_since = now
        if now - self._full_since < self._timing.stray:
            return
        self._full_since = None
        links = self._links()
        strays = [address for address in slots.allocated if address not in links]
        for address in strays:
            with suppress(APIConnectionError):
                self.client.bluetooth_device_disconnect_no_wait(address)
        if strays:
            names = [mac_text(address) for address in strays]
            words = "closing connections that nobody here asked for: no slot is free"
            log.warning(words, proxy=self._receiver.name, devices=names)

    def _slots_free(self, free: int, limit: int, allocated: list[int]) -> None:
        self.slots = Slots(free, limit, tuple(allocated[:_SLOTS]))
        self.set_pace()

    def use_tap(self, tap: Tap | None) -> None:
        """Pass the node's answers to this tap from now on."""
        if self._untap is not None:
            self._untap()
            self._untap = None
        self._tap = tap
        connection = connection_of(self.client)
        if tap is not None and connection is not None and self.up is not None:
            self._untap = tap_connection(connection, tap)

    def send(self, message: Message) -> None:
        """Send a message of the tap's clients to the node. APIConnectionError where the session is over."""
        connection = connection_of(self.client)
        if self.up is None or connection is None:
            raise APIConnectionError("no session")
        connection.send_message(message)

    def set_pace(self) -> None:
        """Read the socket together with those of other proxies, unless a read waits for answers from a device."""
        if self._sockets is not None and self._socket is not None:
            (self._sockets.fast if self.busy else self._sockets.slow)(self._socket)

    def tick(self, now: float, others: Callable[[], bool]) -> bool:
        """Judge the stream and act on it. False where there was nothing to judge."""
        self._ticked = now
        if self.up is None or self.ended.done():
            return False
        self._close_strays(now)
        if now < self._rests_until or self._stream.flows(now, self._receiver.heard):
            return False
        pace = self._receiver.rate(now)
        step = self._stream.tick(now, self._receiver.heard, others=others(), busy=self.busy, pace=pace)
        if step is Step.NOTHING and self._stream.state is ProxyState.LIVE:
            self._rests_until = now + _REST_TICKS * self._timing.tick
        try:
            self._act(step)
        except APIConnectionError as error:
            self.end(diagnose(error))
        return True

    def _act(self, step: Step) -> None:
        match step:
            case Step.SUBSCRIBE:
                self._subscribe_stream()
            case Step.PROBE:
                self._probe_stream()
            case Step.RESUBSCRIBE:
                self._unsubscribe_stream()
                self._subscribe_stream()
            case Step.TOGGLE:
                # From the current mode, not the configured one: 2025.6 does not report that, which reads as passive,
                # and the scanner would be left passive.
                current = self.scanner.mode if self.scanner is not None else None
                modes = [BluetoothScannerMode.PASSIVE, BluetoothScannerMode.ACTIVE]
                for mode in reversed(modes) if current is BluetoothScannerMode.PASSIVE else modes:
                    self.client.bluetooth_scanner_set_mode(mode)
            case Step.RECONNECT:
                self.end(STATES[ProxyState.SILENT].because("its session is renewed, because its scanner is silent"))
            case Step.NOTHING:
                pass

    def _probe_stream(self) -> None:
        if self._stream_probe is None:
            self._stream_probe = asyncio.get_running_loop().create_task(self._ask_holder())

    async def _ask_holder(self) -> None:
        """Ask for a read without a connection: the refusal goes to the holder of the stream, whoever asked.

        The node answers in order, so the answer to a question that every client may ask is the time limit.
        """
        client, stream, limit = self.client, self._stream, self._timing.attempt
        refusal = asyncio.create_task(client.bluetooth_gatt_read(_NO_DEVICE, 1, limit))
        try:
            async with asyncio.timeout(limit):
                await client.device_info()
            await asyncio.wait({refusal}, timeout=self._timing.probe)
            if refusal.done():
                with suppress(BluetoothGATTAPIError):
                    refusal.result()
            stream.probed(self._clock(), ours=refusal.done())
        except (APIConnectionError, TimeoutError):
            return  # the session itself does not answer, which its keepalive judges
        finally:
            refusal.cancel()
            await asyncio.gather(refusal, return_exceptions=True)
            self._stream_probe = None

    def announced(self, *, moved: bool, lost: Callable[[], None]) -> None:
        """The node announces itself although this session is up: ask it whether it still knows the session.

        ``lost`` is called where it does not. A node that was heard a moment ago is not asked.
        """
        now = self._clock()
        if self.up is None or self._probe is not None or now - self._probed < self._timing.probe_spacing:
            return
        if moved or now - max(self._receiver.heard or 0.0, self.up) > self._timing.probe:
            self._probed = now
            self._probe = asyncio.get_running_loop().create_task(self._ask(lost))

    async def _ask(self, lost: Callable[[], None]) -> None:
        try:
            async with asyncio.timeout(self._timing.probe):
                await self.client.device_info()
        except (APIConnectionError, TimeoutError):
            lost()
            self.end(STATES[ProxyState.UNREACHABLE].because("it announced itself again and has lost the session"))
        finally:
            self._probe = None

    def end(self, diagnosis: Diagnosis) -> None:
        """End the session for this reason."""
        if not self.ended.done():
            self.ended.set_result(ConnectionEnd(diagnosis))

    def _bench(self, misbehaviour: str) -> None:
        if self._clock() - self._ticked > _SUSPENDED:
            self.end(STATES[ProxyState.UNREACHABLE].because("this process was suspended, and the session is renewed"))
        else:
            self.end(STATES[ProxyState.BENCHED].because(misbehaviour))
        # No clean disconnect: what the node already sent would be handled before its answer.
        self.client.force_disconnect()

    def _closed(self, event: ConnectionClosedEvent) -> None:
        """The established connection ended, from either side."""
        if self.ended.done():
            return
        lost = STATES[ProxyState.UNREACHABLE]
        if event.expected_disconnect or event.error is None:
            diagnosis = ASLEEP if self._sleeps else lost.because(RESTARTS)
            self.ended.set_result(ConnectionEnd(diagnosis, goodbye=True))
            return
        diagnosis = diagnose(event.error)
        if diagnosis.state is ProxyState.FULL:
            diagnosis = lost.because("the connection was lost")
        self.ended.set_result(ConnectionEnd(diagnosis, garbage=broke_protocol(event.error)))

    async def close(self) -> None:
        """Leave the node cleanly: otherwise older firmware keeps the stream for 151 s
        (docs/protocol/esphome-proxy.md#half-open-holder).
        """
        self._unsubscribe_stream()
        self.up = None
        for task in (self._probe, self._stream_probe):
            if task is not None:
                task.cancel()
        await leave(self.client, self._timing.leave)


def _release(version: str) -> tuple[int, int]:
    """``2026.7.0-dev`` -> (2026, 7); (0, 0) where it is not of that form."""
    match = _RELEASE.match(version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
