"""One session with one node: a client in, the node's stream and slots while it lasts, and how it ended, out.

The rule of this file: everything that belongs to one connection lives and dies here, and every session is left cleanly.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import attrs
from aioesphomeapi.client import APIClient
from aioesphomeapi.core import APIConnectionError
from aioesphomeapi.model import (
    BluetoothProxyFeature,
    BluetoothScannerMode,
    BluetoothScannerStateResponse,
    ConnectionClosedEvent,
)

from proxy_listener.model.status import ProxyState
from proxy_listener.model.timing import NEVER
from proxy_listener.proxies.causes import ASLEEP, RESTARTS, VERDICTS, Verdict, diagnose, garbled
from proxy_listener.proxies.coalesce import CoalescingEventLoop
from proxy_listener.proxies.gate import Ending
from proxy_listener.proxies.handshake import Lanes, Node, connection_of, dial, greet, leave, socket_of
from proxy_listener.proxies.hearing import Hearing
from proxy_listener.proxies.stream import Manners, Step, Stream
from proxy_listener.proxies.timing import Timing
from proxy_listener.proxies.traffic import Traffic
from proxy_listener.proxies.wifi import WifiSignal

_NEWEST_WINS = (2026, 7)
"""ESPHome 2026.7.0 (esphome#17423): the newest subscriber takes the stream."""
_SLOTS = 16
"""Allocated addresses that are kept; an ESP32 has nine slots at most."""
_JUDGE_AGAIN = 0.1
"""Seconds between looks at the stream because its scanner said something: a node may say it without end."""


@attrs.frozen
class Slots:
    """Connection slots; ``allocated``: the addresses that hold one, which old firmware does not tell."""

    free: int
    limit: int
    allocated: tuple[int, ...]


class Session:
    """One connection, from the dial to the goodbye. ``changed`` is called when the scanner's state came."""

    def __init__(
        self, client: APIClient, hearing: Hearing, stream: Stream, timing: Timing, changed: Callable[[], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.client = client
        self.ended: asyncio.Future[Ending] = loop.create_future()
        self.up: float | None = None
        self.slots: Slots | None = None
        self.scanner: BluetoothScannerStateResponse | None = None
        self.connecting = False
        self.newest_wins = False
        self._flags = 0
        self._sleeps = False
        self._wifi: WifiSignal | None = None
        self._hearing = hearing
        self._stream = stream
        self._timing = timing
        self._changed = changed
        self._clock = loop.time
        self._dialling: asyncio.Timeout | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._probe: asyncio.Task[None] | None = None
        self._probed = NEVER
        self._sockets = loop.sockets if isinstance(loop, CoalescingEventLoop) else None
        self._socket: int | None = None
        self._traffic: Traffic | None = None
        self._judged = NEVER
        client.add_connection_closed_callback(self._closed)

    @property
    def busy(self) -> bool:
        """Whether a connection to a device is open or being opened."""
        return self.connecting or (self.slots is not None and self.slots.free < self.slots.limit)

    @property
    def wifi_rssi(self) -> int | None:
        """How well the node receives its own Wi-Fi, dBm, where it tells."""
        return self._wifi.rssi if self._wifi is not None else None

    async def meet(self, lanes: Lanes, *, slow: bool, reached: Callable[[float], None]) -> Node:
        """Connect and ask what the node is, within the attempt's time. Raises the library's errors, TimeoutError."""
        async with lanes.dialling():
            began = self._clock()
            try:
                async with asyncio.timeout(self._timing.dial) as self._dialling:
                    await dial(self.client)
            finally:
                self._dialling = None
        reached(self._clock())
        left = self._timing.attempt - (self._clock() - began)
        async with lanes.handshaking(slow=slow), asyncio.timeout(left if slow else self._timing.handshake):
            return await greet(self.client)

    def moved(self) -> None:
        """The node has another address now: a dial that is under way goes to the wrong one."""
        if self._dialling is not None:
            self._dialling.reschedule(self._clock())

    def subscribe(self, node: Node, *, insist: bool) -> None:
        """Take the stream: the scanner's state first, so that the answer to the subscription is not missed."""
        self._flags = node.flags
        self._sleeps = node.sleeps
        self.up = self._clock()
        tells = bool(node.flags & BluetoothProxyFeature.FEATURE_STATE_AND_MODE)
        self.newest_wins = _release(node.version) >= _NEWEST_WINS
        self._hearing.session(self._benched)
        self._stream.connected(Manners(tells, self.newest_wins, insist), self.up)
        if tells:
            self.client.subscribe_bluetooth_scanner_state(self._told)
        if node.flags & BluetoothProxyFeature.ACTIVE_CONNECTIONS:
            self.client.subscribe_bluetooth_connections_free(self._counted)
        self._ask_for_stream()
        if (connection := connection_of(self.client)) is not None:
            self._wifi = WifiSignal(connection)
        if (sock := socket_of(self.client)) is not None:
            self._socket = sock.fileno()
            self._traffic = Traffic(sock, self._timing.flood_rate, self._timing.flood, self.up)
        self.pace()

    def _ask_for_stream(self) -> None:
        if self._flags & BluetoothProxyFeature.RAW_ADVERTISEMENTS:
            # The library keeps handlers in a set, and this one stays itself: subscribing again adds none.
            self._unsubscribe = self.client.subscribe_bluetooth_le_raw_advertisements(self._hearing.raw)
        else:
            self._give_up_stream()
            self._unsubscribe = self.client.subscribe_bluetooth_le_advertisements(self._hearing.parsed)
        self._stream.subscribed(self._clock())

    def _give_up_stream(self) -> None:
        if self._unsubscribe is not None:
            unsubscribe, self._unsubscribe = self._unsubscribe, None
            with suppress(APIConnectionError):
                unsubscribe()

    def _told(self, state: BluetoothScannerStateResponse) -> None:
        now = self._clock()
        self._received()
        self.scanner = state
        self._stream.told(now)
        if now - self._judged >= _JUDGE_AGAIN:
            self._judged = now
            self._changed()

    def _counted(self, free: int, limit: int, allocated: list[int]) -> None:
        self._received()
        self.slots = Slots(free, limit, tuple(allocated[:_SLOTS]))
        self.pace()

    def _received(self) -> None:
        if self._traffic is not None:
            self._traffic.message()

    def pace(self) -> None:
        """Read its socket together with the other proxies', unless somebody waits for answers from a device."""
        if self._sockets is not None and self._socket is not None:
            (self._sockets.fast if self.busy else self._sockets.slow)(self._socket)

    def tick(self, now: float, others: Callable[[], bool]) -> bool:
        """Judge the stream and act on it. False where nothing is to be judged."""
        if self.up is None or self.ended.done():
            return False
        if self._traffic is not None and (misbehaviour := self._traffic.judge(now)):
            self._benched(misbehaviour)
            return True
        if self._stream.flows(now, self._hearing.heard):
            return False
        step = self._stream.tick(now, self._hearing.heard, others=others(), busy=self.busy)
        try:
            self._act(step)
        except APIConnectionError as error:
            self.end(diagnose(error))
        return True

    def _act(self, step: Step) -> None:
        match step:
            case Step.SUBSCRIBE:
                self._ask_for_stream()
            case Step.RESUBSCRIBE:
                self._give_up_stream()
                self._ask_for_stream()
            case Step.TOGGLE:
                # Not its configured mode: 2025.6 tells none, which reads as passive, and would be left passive.
                current = self.scanner.mode if self.scanner is not None else None
                modes = [BluetoothScannerMode.PASSIVE, BluetoothScannerMode.ACTIVE]
                for mode in reversed(modes) if current is BluetoothScannerMode.PASSIVE else modes:
                    self.client.bluetooth_scanner_set_mode(mode)
            case Step.RECONNECT:
                self.end(VERDICTS[ProxyState.SILENT].because("its session is renewed, because its scanner is silent"))
            case Step.NOTHING:
                pass

    def announced(self, *, moved: bool, doubted: Callable[[], None]) -> None:
        """The node announces itself, though this session is up: ask it whether it still knows of it.

        ``doubted`` is called where it does not. A node that was heard a moment ago is not asked, and none often.
        """
        now = self._clock()
        if self.up is None or self._probe is not None or now - self._probed < self._timing.probe_spacing:
            return
        if moved or now - max(self._hearing.heard or 0.0, self.up) > self._timing.probe:
            self._probed = now
            self._probe = asyncio.get_running_loop().create_task(self._ask(doubted))

    async def _ask(self, doubted: Callable[[], None]) -> None:
        try:
            async with asyncio.timeout(self._timing.probe):
                await self.client.device_info()
        except (APIConnectionError, TimeoutError):
            doubted()
            self.end(VERDICTS[ProxyState.UNREACHABLE].because("it announced itself anew and no longer knows us"))
        finally:
            self._probe = None

    def end(self, verdict: Verdict) -> None:
        """End the session for this reason."""
        if not self.ended.done():
            self.ended.set_result(Ending(verdict))

    def _benched(self, misbehaviour: str) -> None:
        self.end(VERDICTS[ProxyState.BENCHED].because(misbehaviour))
        # No word more with this one: what it already sent would be handled first.
        self.client.force_disconnect()

    def _closed(self, event: ConnectionClosedEvent) -> None:
        """The established connection ended, from either side."""
        if self.ended.done():
            return
        lost = VERDICTS[ProxyState.UNREACHABLE]
        if event.expected_disconnect or event.error is None:
            self.ended.set_result(Ending(ASLEEP if self._sleeps else lost.because(RESTARTS), goodbye=True))
            return
        verdict = diagnose(event.error)
        if verdict.state is ProxyState.FULL:
            verdict = lost.because("the connection was lost")
        self.ended.set_result(Ending(verdict, garbage=garbled(event.error)))

    async def close(self) -> None:
        """Leave the node cleanly: an unclean end blocks the stream of older firmware for 151 s."""
        self._give_up_stream()
        self.up = None
        if self._probe is not None:
            self._probe.cancel()
        await leave(self.client, self._timing.leave)


def _release(version: str) -> tuple[int, int]:
    """``2026.7.0-dev`` -> (2026, 7); (0, 0) where it is not of that form."""
    year, _, rest = version.partition(".")
    month = rest.partition(".")[0]
    short = len(year) == 4 and 0 < len(month) <= 2 and year.isascii() and month.isascii()
    return (int(year), int(month)) if short and year.isdecimal() and month.isdecimal() else (0, 0)
