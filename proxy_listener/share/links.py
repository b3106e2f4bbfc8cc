"""Connections to devices through one shared proxy: who owns which, how many slots there are, what may be asked.

In: requests of clients, answers of the real proxy, time as an argument. Out: messages for the proxy and for clients.

::

    client A --connect--> owns the device ----> proxy          client B --connect--> "busy": A or a read of ours has it
    client A <-- answers about its devices only -- proxy       client A gone: its links are closed on the proxy

Invariants: an answer goes to the client that owns the device and to nobody else; what goes to the proxy was checked and
built here, never passed on as it came; a device has one owner at most.
"""

from collections.abc import Callable, Collection, Hashable
from enum import Enum, auto
from typing import Protocol

import attrs
from google.protobuf.message import Message

from proxy_listener.model.advertisement import ADDRESS_LIMIT, Address
from proxy_listener.model.rate import TokenBucket
from proxy_listener.node.air import BUSY, NOT_CONNECTED, OPEN_FAILED, TIMED_OUT
from proxy_listener.node.messages import api

LONGEST_VALUE = 512
"""Bytes: Bluetooth Core, volume 3, part F, 3.2.9."""

HANDLES = 0x10000
OPENING, CLOSING = 25.0, 10.0
"""Seconds for the proxy to open a link (the firmware waits 20 s for an absent device) and to close one."""

REQUESTS, REQUEST_RATE = 200, 50.0
"""Requests of one client at once, and a second: far more than a radio can carry out."""

UNITS = 0x10000
"""Connection parameters have 16 bits each."""


class Owner(Hashable, Protocol):
    """The part of a client's session that is used here."""

    def send(self, *messages: Message) -> None:
        """Send messages to the client."""


class LinkState(Enum):
    """Of a link."""

    OPENING = auto()
    OPEN = auto()
    CLOSING = auto()


@attrs.define
class Held:
    """A link, and the client that owns it; None once that is gone."""

    client: Owner | None
    state: LinkState
    since: float
    mtu: int = 0


class LinkRelay:
    """The links of one proxy.

    ``send``: to the proxy. ``slots()``: free and all slots that the proxy has. ``own()``: devices to which reads of our
    own are connected through it. ``busy(address)``: whether a read of our own, or a client of another shared node, is
    connected to the device. ``spare``: slots that stay for these; ``most``: of all slots, how many clients may use.
    """

    def __init__(
        self,
        send: Callable[[Message], None],
        slots: Callable[[], tuple[int, int]],
        own: Callable[[], Collection[Address]],
        busy: Callable[[Address], bool],
        policy: str,
    ) -> None:
        self._send = send
        self._slots = slots
        self._own = own
        self._busy = busy
        self._policy = policy
        self._links: dict[Address, Held] = {}
        self._asked: dict[tuple[str, Address], Owner] = {}
        self._buckets: dict[Owner, TokenBucket] = {}
        self._watchers: set[Owner] = set()
        self._told: tuple[int, int, tuple[Address, ...]] | None = None

    @property
    def held(self) -> Collection[Address]:
        """Devices with a link of a client."""
        return self._links.keys()

    @property
    def connecting(self) -> bool:
        """A link is being opened, so the proxy does not scan."""
        return any(held.state is LinkState.OPENING for held in self._links.values())

    def owned(self) -> dict[Address, Owner]:
        """Device -> the client that is connected to it."""
        return {address: held.client for address, held in self._links.items() if held.client is not None}

    def request(self, client: Owner, message: Message, now: float) -> None:
        """A request of a client. One that is no sense is answered with an error, to that client alone."""
        asked: api.BluetoothDeviceRequest = message
        if type(message) is api.SubscribeBluetoothConnectionsFreeRequest:
            self._watchers.add(client)
            client.send(self._free_message(self._free()))
            return
        address = asked.address
        if not 0 < address < ADDRESS_LIMIT:
            return
        bucket = self._buckets.setdefault(client, TokenBucket(REQUEST_RATE, REQUESTS, now))
        if not bucket.take(now):
            self._refuse(client, message, BUSY)
        elif type(message) is api.BluetoothDeviceRequest:
            _DEVICE.get(asked.request_type, LinkRelay._ignore)(self, client, asked, now)
        else:
            self._operate(client, message)
        self.tell()

    def answer(self, message: Message, now: float) -> bool:
        """An answer of the proxy. False where no client's link is concerned."""
        found: api.BluetoothDeviceConnectionResponse = message
        address = found.address
        for kind in _BY_ANSWER.get(type(message), ()):
            if (asker := self._asked.pop((kind, address), None)) is not None:
                asker.send(message)
                return True
        held = self._links.get(address)
        if held is None:
            return False
        if type(message) is api.BluetoothDeviceConnectionResponse:
            self._connected(address, held, found, now)
        elif held.client is not None:
            held.client.send(message)
        self.tell()
        return True

    def leave(self, client: Owner, now: float) -> None:
        """A client is gone: its links are closed on the proxy, at once."""
        self._watchers.discard(client)
        self._buckets.pop(client, None)
        self._asked = {key: asker for key, asker in self._asked.items() if asker is not client}
        for address, held in self._links.items():
            if held.client is client:
                held.client = None
                self._close(address, held, now)
        self.tell()

    def lost(self) -> None:
        """The proxy is gone, and with it every link."""
        links, self._links = self._links, {}
        self._asked.clear()
        for address, held in links.items():
            if held.client is not None:
                held.client.send(_state(address, error=TIMED_OUT))
        self._told = None

    def tick(self, now: float) -> None:
        """End links that the proxy neither opens nor closes in time."""
        for address, held in list(self._links.items()):
            if held.state is LinkState.OPENING and now - held.since >= OPENING:
                if held.client is not None:
                    held.client.send(_state(address, error=OPEN_FAILED))
                    held.client = None
                self._close(address, held, now)
            elif held.state is LinkState.CLOSING and now - held.since >= CLOSING:
                del self._links[address]
        self.tell()

    def tell(self) -> None:
        """Tell the clients that asked how many slots are free, where that changed."""
        free = self._free()
        if free != self._told:
            self._told = free
            message = self._free_message(free)
            for watcher in list(self._watchers):
                watcher.send(message)

    def _free(self) -> tuple[int, int, tuple[Address, ...]]:
        free, limit = self._slots()
        reserve = 1 if self._policy == "spare" else 0
        most = 0 if self._policy == "none" else max(0, limit - reserve)
        own = len(self._own())
        left = min(most, limit - max(own, reserve)) - len(self._links)
        if not self.connecting:
            # The proxy's count comes later than a request; what else holds a slot is only in it.
            left = min(left, free - max(0, reserve - own))
        left = max(0, left)
        # Clients that find slots taken and no address for them take the counts for wrong (bleak-esphome 4.1).
        return left, left + len(self._links), tuple(self._links)

    @staticmethod
    def _free_message(free: tuple[int, int, tuple[Address, ...]]) -> Message:
        message: Message = api.BluetoothConnectionsFreeResponse(free=free[0], limit=free[1], allocated=free[2])
        return message

    def _connect(self, client: Owner, asked: "api.BluetoothDeviceRequest", now: float) -> None:
        address, held = asked.address, self._links.get(asked.address)
        if held is not None and held.client is client:
            if held.state is LinkState.OPEN:
                client.send(_state(address, connected=True, mtu=held.mtu))
            return
        if held is not None or self._busy(address):
            client.send(_state(address, error=BUSY))
        elif not asked.has_address_type or asked.address_type > 1 or self._free()[0] == 0:
            client.send(_state(address))
        else:
            self._links[address] = Held(client, LinkState.OPENING, now)
            self._send(_request(address, asked.request_type, asked.address_type))

    def _disconnect(self, client: Owner, asked: "api.BluetoothDeviceRequest", now: float) -> None:
        held = self._links.get(asked.address)
        if held is None or held.client is not client:
            client.send(_state(asked.address))
        else:
            self._close(asked.address, held, now)

    def _pair(self, client: Owner, asked: "api.BluetoothDeviceRequest", _now: float) -> None:
        held = self._links.get(asked.address)
        if held is None or held.client is not client or held.state is not LinkState.OPEN:
            client.send(api.BluetoothDevicePairingResponse(address=asked.address, paired=False, error=NOT_CONNECTED))
        else:
            self._ask("pair", client, asked)

    def _unpair(self, client: Owner, asked: "api.BluetoothDeviceRequest", _now: float) -> None:
        if self._taken(client, asked.address):
            client.send(api.BluetoothDeviceUnpairingResponse(address=asked.address, success=False, error=BUSY))
        else:
            self._ask("unpair", client, asked)

    def _clear(self, client: Owner, asked: "api.BluetoothDeviceRequest", _now: float) -> None:
        if self._taken(client, asked.address):
            client.send(api.BluetoothDeviceClearCacheResponse(address=asked.address, success=False, error=BUSY))
        else:
            self._ask("clear", client, asked)

    def _ignore(self, _client: Owner, _asked: "api.BluetoothDeviceRequest", _now: float) -> None:
        """A kind of request that firmware does not know."""

    def _taken(self, client: Owner, address: Address) -> bool:
        held = self._links.get(address)
        return self._busy(address) or (held is not None and held.client is not client)

    def _ask(self, kind: str, client: Owner, asked: "api.BluetoothDeviceRequest") -> None:
        if len(self._asked) < REQUESTS:
            self._asked[kind, asked.address] = client
            self._send(_request(asked.address, asked.request_type, None))

    def _operate(self, client: Owner, message: Message) -> None:
        asked: api.BluetoothGATTReadRequest = message
        held = self._links.get(asked.address)
        build = _OPERATIONS.get(type(message))
        if build is None:
            return
        if held is None or held.client is not client or held.state is not LinkState.OPEN:
            self._refuse(client, message, NOT_CONNECTED)
            return
        built = build(message)
        if built is None:
            self._refuse(client, message, BUSY)
        else:
            self._send(built)

    def _refuse(self, client: Owner, message: Message, code: int) -> None:
        asked: api.BluetoothGATTReadRequest = message
        if type(message) is api.BluetoothDeviceRequest:
            client.send(_state(asked.address, error=code))
        elif type(message) is api.BluetoothSetConnectionParamsRequest:
            client.send(api.BluetoothSetConnectionParamsResponse(address=asked.address, error=code))
        else:
            handle = getattr(asked, "handle", 0)
            client.send(api.BluetoothGATTErrorResponse(address=asked.address, handle=handle, error=code))

    def _connected(
        self, address: Address, held: Held, found: "api.BluetoothDeviceConnectionResponse", now: float
    ) -> None:
        if not found.connected:
            del self._links[address]
        elif held.client is None:
            # It was opened for a client that is gone meanwhile.
            self._close(address, held, now)
        else:
            held.state, held.since, held.mtu = LinkState.OPEN, now, found.mtu
        if held.client is not None:
            held.client.send(found)

    def _close(self, address: Address, held: Held, now: float) -> None:
        held.state, held.since = LinkState.CLOSING, now
        self._send(_request(address, api.BLUETOOTH_DEVICE_REQUEST_TYPE_DISCONNECT, None))


def _state(address: Address, *, connected: bool = False, mtu: int = 0, error: int = 0) -> Message:
    message: Message = api.BluetoothDeviceConnectionResponse(address=address, connected=connected, mtu=mtu, error=error)
    return message


def _request(address: Address, kind: int, address_type: int | None) -> Message:
    message: Message = api.BluetoothDeviceRequest(
        address=address,
        request_type=kind,
        has_address_type=address_type is not None,
        address_type=address_type or 0,
    )
    return message


def _services(message: Message) -> Message | None:
    asked: api.BluetoothGATTGetServicesRequest = message
    built: Message = api.BluetoothGATTGetServicesRequest(address=asked.address)
    return built


def _read(message: Message) -> Message | None:
    asked: api.BluetoothGATTReadRequest = message
    return type(message)(address=asked.address, handle=asked.handle) if asked.handle < HANDLES else None


def _write(message: Message) -> Message | None:
    asked: api.BluetoothGATTWriteRequest = message
    if asked.handle >= HANDLES or len(asked.data) > LONGEST_VALUE:
        return None
    more = {"response": asked.response} if type(message) is api.BluetoothGATTWriteRequest else {}
    return type(message)(address=asked.address, handle=asked.handle, data=asked.data, **more)


def _notify(message: Message) -> Message | None:
    asked: api.BluetoothGATTNotifyRequest = message
    if asked.handle >= HANDLES:
        return None
    built: Message = api.BluetoothGATTNotifyRequest(address=asked.address, handle=asked.handle, enable=asked.enable)
    return built


def _parameters(message: Message) -> Message | None:
    asked: api.BluetoothSetConnectionParamsRequest = message
    numbers = {name: getattr(asked, name) for name in ("min_interval", "max_interval", "latency", "timeout")}
    if not all(number < UNITS for number in numbers.values()):
        return None
    built: Message = api.BluetoothSetConnectionParamsRequest(address=asked.address, **numbers)
    return built


_OPERATIONS: dict[type[Message], Callable[[Message], Message | None]] = {
    api.BluetoothGATTGetServicesRequest: _services,
    api.BluetoothGATTReadRequest: _read,
    api.BluetoothGATTReadDescriptorRequest: _read,
    api.BluetoothGATTWriteRequest: _write,
    api.BluetoothGATTWriteDescriptorRequest: _write,
    api.BluetoothGATTNotifyRequest: _notify,
    api.BluetoothSetConnectionParamsRequest: _parameters,
}
"""Request -> the same, built anew; None where a field is out of range."""

_DEVICE: dict[int, Callable[[LinkRelay, Owner, "api.BluetoothDeviceRequest", float], None]] = {
    api.BLUETOOTH_DEVICE_REQUEST_TYPE_CONNECT_V3_WITH_CACHE: LinkRelay._connect,  # noqa: SLF001  its own table
    api.BLUETOOTH_DEVICE_REQUEST_TYPE_CONNECT_V3_WITHOUT_CACHE: LinkRelay._connect,  # noqa: SLF001
    api.BLUETOOTH_DEVICE_REQUEST_TYPE_DISCONNECT: LinkRelay._disconnect,  # noqa: SLF001
    api.BLUETOOTH_DEVICE_REQUEST_TYPE_PAIR: LinkRelay._pair,  # noqa: SLF001
    api.BLUETOOTH_DEVICE_REQUEST_TYPE_UNPAIR: LinkRelay._unpair,  # noqa: SLF001
    api.BLUETOOTH_DEVICE_REQUEST_TYPE_CLEAR_CACHE: LinkRelay._clear,  # noqa: SLF001
}

_BY_ANSWER: dict[type[Message], tuple[str, ...]] = {
    api.BluetoothDevicePairingResponse: ("pair", "unpair"),
    api.BluetoothDeviceUnpairingResponse: ("unpair",),
    api.BluetoothDeviceClearCacheResponse: ("clear",),
}
"""Answer -> what was asked. Firmware before 2026.8 answers a request to unpair as one to pair."""

REQUEST_TYPES = (
    api.SubscribeBluetoothConnectionsFreeRequest,
    api.BluetoothDeviceRequest,
    *_OPERATIONS,
)
"""What :meth:`LinkRelay.request` takes."""
