"""One proxy served again: an ESPHome node to any number of clients.

In: the real proxy's messages, and the requests of clients. Out: the advertisements to every subscriber, in the messages
in which they came; answers. Invariant: what the real proxy gets from clients are GATT requests of links that they own
(:mod:`proxy_listener.share.links`), and scanner modes.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Protocol

import attrs
import structlog
from google.protobuf.message import Message

from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.rate import GuessLimit
from proxy_listener.model.secret import Secret
from proxy_listener.model.status import SharedClient
from proxy_listener.model.text import printable
from proxy_listener.node.firmware import ESPHOME_2026_10, Feature, Firmware, NodeTiming
from proxy_listener.node.messages import api
from proxy_listener.node.scanner import ACTIVE, ScannerState
from proxy_listener.node.session import NodeSession, SessionContext
from proxy_listener.node.wire import NOISE, PlainWire, Wire, WireError
from proxy_listener.share.links import REQUEST_TYPES, LinkRelay
from proxy_listener.share.session import SharedSession, SharedWire

log = structlog.get_logger()

HALF_OPEN = 16
"""Connections of a node that did not prove the key yet, at most; a further one ends the oldest."""

HANDSHAKE = 15.0
"""Seconds to prove it."""

RELAYED = Feature(255)
"""Of the real proxy's features, those that are passed on: all that are known."""

TELL = 3600.0
"""Seconds between two log lines of wrong keys: who goes on guessing meets the limit every ten seconds."""

FAREWELL = 1.0
"""Seconds for clients to take leave."""


@attrs.frozen
class Presented:
    """What a shared node says it is. ``version``, ``model`` and others are the real node's."""

    name: str
    friendly_name: str
    mac: Address
    bluetooth_mac: Address
    version: str
    flags: int
    area: str = ""
    model: str = ""
    manufacturer: str = ""
    project: tuple[str, str] = ("", "")
    compiled: str = ""


class Upstream(Protocol):
    """The real proxy. ``send`` raises no error: a message for a proxy that is gone is lost with its session."""

    def send(self, message: Message) -> None:
        """Send a message to it."""

    def slots(self) -> tuple[int, int]:
        """Free and all connection slots."""

    def own(self) -> Collection[Address]:
        """Devices to which reads of our own are connected."""

    def busy(self, address: Address) -> bool:
        """Whether a read of our own, or a client of another shared node, is connected to a device."""

    def scanner(self) -> tuple[int, int, int | None]:
        """State, mode, and the mode that its configuration wants; None while nothing is known of that."""


class SharedNode:
    """The node of one proxy. It is also the proxy's :class:`proxy_listener.proxies.tap.Tap`."""

    def __init__(
        self,
        presented: Presented,
        upstream: Upstream,
        key: Secret | None,
        *,
        clients: int,
        slots: str,
        guesses: GuessLimit,
    ) -> None:
        self.presented = presented
        self._upstream = upstream
        self._key = key
        self._most = clients
        self._guesses = guesses
        self.sessions: set[SharedSession] = set()
        self.port = 0
        self.links = LinkRelay(upstream.send, upstream.slots, upstream.own, upstream.busy, slots)
        self._subscribers: set[SharedSession] = set()
        self._active: set[SharedSession] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.get_running_loop()
        self.firmware = _firmware(presented, connects=slots != "none")
        self._emptied = asyncio.Event()
        self._tell_again = 0.0

    @property
    def held(self) -> Collection[Address]:
        """As :attr:`Tap.held`."""
        return self.links.held

    @property
    def connecting(self) -> bool:
        """As :attr:`Tap.connecting`."""
        return self.links.connecting

    async def start(self, host: str, port: int) -> None:
        """Listen. OSError where the port cannot be had."""
        timing = NodeTiming(handshake=HANDSHAKE)
        context = SessionContext(
            self.presented.name, self.firmware, timing, None, _unset, self._serve, self._opened, self._closed, _ignore
        )
        self._server = await self._loop.create_server(lambda: _session(self, context), host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """The proxy is gone, or is not shared any more: links lost, then a goodbye to every client."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.links.lost()
        for session in list(self.sessions):
            session.say_goodbye()
        if self.sessions:
            self._emptied.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), FAREWELL)
        for session in list(self.sessions):
            session.abort()

    def advertisements(self, message: Message) -> None:
        """As :meth:`Tap.advertisements`. HOT PATH."""
        if self._subscribers:
            payload = message.SerializeToString()
            for session in self._subscribers:
                session.forward(payload)

    def answer(self, message: Message) -> None:
        """As :meth:`Tap.answer`."""
        if type(message) in {api.BluetoothScannerStateResponse, api.BluetoothConnectionsFreeResponse}:
            # The library calls its handlers in no order: the proxy's session may not have noted it yet.
            self._loop.call_soon(self._upstream_changed, message)
        else:
            self.links.answer(message, self._loop.time())

    def _upstream_changed(self, message: Message) -> None:
        if type(message) is api.BluetoothConnectionsFreeResponse:
            self.links.tell()
            return
        told = self._scanner_message()
        for session in self._subscribers:
            session.send(told)

    def tick(self) -> None:
        """Once a second."""
        self.links.tick(self._loop.time())

    def clients(self) -> list[SharedClient]:
        """Who is connected, the longest first."""
        now, owned = self._loop.time(), self.links.owned()
        return [
            SharedClient(
                printable(session.client),
                session.address,
                now - session.since,
                session in self._subscribers,
                session.dropped,
                tuple(address for address, owner in owned.items() if owner is session),
            )
            for session in sorted(self.sessions, key=lambda session: session.since)
            if session.greeted
        ]

    def _wire(self, first: int, session: SharedSession) -> Wire:
        if self._key is not None:
            mac = f"{self.presented.mac:012x}"
            return SharedWire(self._key, self.presented.name, mac, lambda: self._wrong_key(session))
        if first == NOISE:
            raise WireError("this node has no key")
        return PlainWire()

    def _wrong_key(self, session: SharedSession) -> None:
        now = self._loop.time()
        if self._guesses.wrong(session.address, now) and now >= self._tell_again:
            self._tell_again = now + TELL
            log.warning(
                "many wrong keys at shared nodes",
                address=session.address,
                node=self.presented.name,
                limit="10 at once, then 6 a minute",
            )

    def is_full(self) -> bool:
        """As many clients as may be proved the key."""
        return sum(session.greeted for session in self.sessions) >= self._most

    def _opened(self, session: NodeSession) -> bool:
        assert isinstance(session, SharedSession)
        half_open = [other for other in self.sessions if not other.greeted]
        if self.is_full() or not self._guesses.allowed(session.address, self._loop.time()):
            return False
        if len(half_open) >= HALF_OPEN:
            # The oldest: a client with the key needs milliseconds, and nobody who keeps connections open shuts it out.
            min(half_open, key=lambda other: other.since).abort()
        self.sessions.add(session)
        return True

    def _closed(self, session: NodeSession) -> None:
        assert isinstance(session, SharedSession)
        if session in self.sessions:
            self.sessions.discard(session)
            self._leave(session)
            self.links.leave(session, self._loop.time())
        if not self.sessions:
            self._emptied.set()

    def _leave(self, session: SharedSession) -> None:
        self._subscribers.discard(session)
        self._want(session, active=False)

    def _want(self, session: SharedSession, *, active: bool) -> None:
        """A client wants active scans, or does not any more. They go on while anyone wants them."""
        (self._active.add if active else self._active.discard)(session)
        _, mode, configured = self._upstream.scanner()
        wanted = ACTIVE if self._active else configured
        if wanted is not None and wanted != mode:
            self._upstream.send(api.BluetoothScannerSetModeRequest(mode=wanted))

    def _serve(self, session: NodeSession, message: Message) -> None:
        assert isinstance(session, SharedSession)
        if isinstance(message, REQUEST_TYPES):
            self.links.request(session, message, self._loop.time())
            return
        handler = _HANDLERS.get(type(message))
        if handler is not None:
            handler(self, session, message)

    def _device_info(self, session: SharedSession, _message: Message) -> None:
        shown = self.presented
        session.send(
            api.DeviceInfoResponse(
                name=shown.name,
                friendly_name=shown.friendly_name,
                mac_address=mac_text(shown.mac),
                bluetooth_mac_address=mac_text(shown.bluetooth_mac),
                esphome_version=shown.version,
                compilation_time=shown.compiled,
                model=shown.model,
                manufacturer=shown.manufacturer,
                # Home Assistant splits the name at its dot and fails where it has none.
                project_name=shown.project[0] if "." in shown.project[0] else "",
                project_version=shown.project[1] if "." in shown.project[0] else "",
                suggested_area=shown.area,
                bluetooth_proxy_feature_flags=int(self.firmware.flags),
                api_encryption_supported=self._key is not None,
            )
        )

    def _capabilities(self, session: SharedSession, _message: Message) -> None:
        answer = api.DeviceCapabilitiesResponse()
        answer.bluetooth_proxy.feature_flags = int(self.firmware.flags)
        answer.bluetooth_proxy.mac_address = mac_text(self.presented.bluetooth_mac)
        session.send(answer)

    def _entities(self, session: SharedSession, _message: Message) -> None:
        session.send(api.ListEntitiesDoneResponse())

    def _subscribe(self, session: SharedSession, _message: Message) -> None:
        self._subscribers.add(session)
        if self.firmware.tells_state:
            session.send(self._scanner_message())

    def _scanner_message(self) -> Message:
        state, mode, configured = self._upstream.scanner()
        more = {} if configured is None else {"configured_mode": configured}
        message: Message = api.BluetoothScannerStateResponse(state=state, mode=mode, **more)
        return message

    def _unsubscribe(self, session: SharedSession, _message: Message) -> None:
        self._leave(session)

    def _scanner_mode(self, session: SharedSession, message: Message) -> None:
        asked: api.BluetoothScannerSetModeRequest = message
        self._want(session, active=asked.mode == ACTIVE)

    def _no_key_change(self, session: SharedSession, _message: Message) -> None:
        session.send(api.NoiseEncryptionSetKeyResponse(success=False))


def _ignore(_session: NodeSession) -> None:
    """A shared node dials nobody, so it does not note whom to dial."""


def _unset(_first: int) -> Wire:
    """Each session has its own (:func:`_session`)."""
    return PlainWire()


def _session(node: SharedNode, context: SessionContext) -> SharedSession:
    """A session whose wire knows it."""
    made: list[SharedSession] = []
    own = attrs.evolve(context, wire=lambda first: node._wire(first, made[0]))  # noqa: SLF001  the node's own session
    made.append(SharedSession(own, node.is_full))
    return made[0]


def _firmware(presented: Presented, *, connects: bool) -> Firmware:
    """One current generation of the API, whatever the real proxy's. Without connections it is a passive one's."""
    made = attrs.evolve(
        ESPHOME_2026_10,
        version=presented.version,
        flags=Feature(presented.flags) & RELAYED,
        clients=None,
        provisionable=False,
    )
    return made if connects else made.passive()


_HANDLERS: dict[Any, Callable[[SharedNode, SharedSession, Message], None]] = {
    api.DeviceInfoRequest: SharedNode._device_info,  # noqa: SLF001  its own table
    api.DeviceCapabilitiesRequest: SharedNode._capabilities,  # noqa: SLF001
    api.ListEntitiesRequest: SharedNode._entities,  # noqa: SLF001
    api.SubscribeBluetoothLEAdvertisementsRequest: SharedNode._subscribe,  # noqa: SLF001
    api.UnsubscribeBluetoothLEAdvertisementsRequest: SharedNode._unsubscribe,  # noqa: SLF001
    api.BluetoothScannerSetModeRequest: SharedNode._scanner_mode,  # noqa: SLF001
    api.NoiseEncryptionSetKeyRequest: SharedNode._no_key_change,  # noqa: SLF001
}

IDLE = (int(ScannerState.IDLE), ACTIVE, None)
"""What a scanner is that never told its state."""

__all__ = ["IDLE", "Presented", "SharedClient", "SharedNode", "Upstream"]
