"""A connection to one device through one proxy.

What comes in: a proxy, an address, the address type as heard. What goes out: read, write, notifications and pause,
and a GattError with its cause for whatever goes wrong. Invariants: every step has a time limit, and whatever happens
the link is closed and the proxy is asked whether the slot is free
(docs/protocol/esphome-proxy.md#gatt-through-a-proxy).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import structlog
from aioesphomeapi.core import (
    APIConnectionError,
    BluetoothConnectionDroppedError,
    TimeoutAPIError,
)
from aioesphomeapi.model import BluetoothProxyFeature

from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.errors import GattError
from proxy_listener.proxies.client import connection_of
from proxy_listener.proxies.handle_cache import CLIENT_CONFIGURATION, HandleCache
from proxy_listener.proxies.link_errors import failed, gatt_error, lost, refused, unanswered
from proxy_listener.proxies.proxy import Proxy
from proxy_listener.proxies.services import list_services
from proxy_listener.proxies.subscription import LONGEST_VALUE, Subscription, too_long
from proxy_listener.proxies.timing import GattTiming

log = structlog.get_logger()
T = TypeVar("T")

_NOTIFY_ON, _NOTIFY_OFF = b"\x01\x00", b"\x00\x00"
"""Bluetooth Core, volume 3, part G, 3.3.3.3."""


@asynccontextmanager
async def connection(
    proxy: Proxy, address: Address, address_type: int, handles: HandleCache, timing: GattTiming | None = None
) -> AsyncIterator["GattConnection"]:
    """An open connection to a device. Afterwards it is closed, and its slot is checked to be free. Raises GattError."""
    if not proxy.features & BluetoothProxyFeature.ACTIVE_CONNECTIONS:
        raise GattError("refused", "the proxy is passive")
    if not proxy.features & BluetoothProxyFeature.REMOTE_CACHING:
        raise GattError("refused", "the proxy's firmware is older than 2022.12")
    link = GattConnection(proxy, address, handles, timing or GattTiming())
    proxy.connecting = True
    try:
        try:
            await link.open(address_type)
        finally:
            proxy.connecting = False
        yield link
    finally:
        await link.release()


class GattConnection:
    """One connection; it implements :class:`proxy_listener.gatt.interface.Gatt`."""

    def __init__(self, proxy: Proxy, address: Address, handles: HandleCache, timing: GattTiming) -> None:
        self._proxy = proxy
        self._client = proxy.client
        self._address = address
        self._handles = handles
        self._table = dict(handles.get(address))
        self._timing = timing.stretched(proxy.round_trip)
        self._unhurried = timing
        self._one_at_a_time = asyncio.Lock()
        self._first: tuple[bool, int] | None = None
        self._code = 0
        self._ended = asyncio.Event()
        self._ended_at = 0.0
        self._asked = False
        self._clear = False
        self._unsubscribe: Callable[[], None] = _nothing
        self._free_before: int | None = None
        self.cached = bool(self._table)

    async def open(self, address_type: int) -> None:
        """Connect. Raises GattError."""
        if self._proxy.tap is not None and self._proxy.tap.holds(self._address):
            raise GattError("refused", "a client of a shared node is connected to it")
        await self._close_stale_link()
        self._asked = True
        self._proxy.links.add(self._address)
        try:
            self._unsubscribe = await self._client.bluetooth_device_connect(
                self._address,
                self._changed,
                timeout=self._timing.connect,
                disconnect_timeout=self._timing.disconnect,
                feature_flags=self._proxy.features,
                has_cache=self.cached,
                address_type=address_type,
            )
        except TimeoutAPIError:
            raise GattError("no_answer", "the proxy did not answer: its stream may have another holder") from None
        except APIConnectionError as error:
            raise self._named(error) from None
        connected, code = self._first or (False, 0)
        if not connected:
            raise refused(code)
        if not self.cached:
            await self._discover()

    async def read(self, characteristic: str) -> bytes:
        """The characteristic's value."""
        handle = self._handle(characteristic)
        value = bytes(await self._operate(lambda: self._client.bluetooth_gatt_read(self._address, handle)))
        if len(value) > LONGEST_VALUE:
            raise too_long(len(value))
        return value

    async def write(self, characteristic: str, data: bytes, response: bool) -> None:
        """Write ``data``; with ``response``, return when the device confirmed it."""
        handle = self._handle(characteristic)
        await self._operate(lambda: self._client.bluetooth_gatt_write(self._address, handle, data, response))

    @asynccontextmanager
    async def notifications(self, characteristic: str) -> AsyncIterator[Subscription]:
        """Subscribe to the notifications of a characteristic while the block runs. Raises GattError.

        A proxy with remote caching forwards notifications, but its client must write the descriptor that makes the
        device send them (docs/protocol/lywsd02.md#notifications-through-an-esphome-proxy).
        """
        handle, descriptor = self._handle(characteristic), self._handle(characteristic + CLIENT_CONFIGURATION)
        arrived = Subscription(self._ended, self._loss)
        stop, _ = await self._operate(
            lambda: self._client.bluetooth_gatt_start_notify(self._address, handle, arrived.put)
        )
        try:
            await self._configure(descriptor, _NOTIFY_ON)
            yield arrived
        finally:
            if not self._ended.is_set():
                with suppress(GattError):
                    await self._configure(descriptor, _NOTIFY_OFF)
                with suppress(APIConnectionError):
                    await stop()

    async def _configure(self, descriptor: int, data: bytes) -> None:
        await self._operate(lambda: self._client.bluetooth_gatt_write_descriptor(self._address, descriptor, data))

    async def pause(self, seconds: float) -> None:
        """Wait while the device works. Raises at once where the link is lost meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        if self._ended.is_set():
            raise self._loss()

    def distrust(self) -> bool:
        """An answer made no sense: forget the cached handles. False where they came from the device just now."""
        if self.cached:
            self._handles.forget(self._address)
            self._clear = True
        return self.cached

    async def release(self) -> None:
        """Close the link and check that its slot is free."""
        if not self._asked:
            return
        self._unsubscribe()
        self._proxy.links.discard(self._address)
        try:
            await self._disconnect()
            if not await self._freed():
                self._client.bluetooth_device_disconnect_no_wait(self._address)
                log.warning("connection slot not released", proxy=self._proxy.name, mac=mac_text(self._address))
            if self._clear and self._proxy.features & BluetoothProxyFeature.CACHE_CLEARING:
                await self._client.bluetooth_device_clear_cache(self._address, self._timing.slots)
        except APIConnectionError:
            return  # when the session ends the proxy closes its links by itself
        if self._ended.is_set():
            passed = asyncio.get_running_loop().time() - self._ended_at
            await asyncio.sleep(max(0.0, self._timing.settle - passed))

    async def _disconnect(self) -> None:
        """Disconnect, unless the proxy reported the link's end.

        The answer to a needless request would come later, and the next connection would take it for its own end.
        """
        if self._first is None:
            self._client.bluetooth_device_disconnect_no_wait(self._address)
        elif not self._ended.is_set():
            with suppress(TimeoutAPIError):
                await self._client.bluetooth_device_disconnect(self._address, self._timing.disconnect)

    def _changed(self, connected: bool, _mtu: int, code: int) -> None:
        # The first and the last are enough: a node may send states without end.
        self._first = self._first or (connected, code)
        self._code = code
        if not connected and not self._ended.is_set():
            self._ended_at = asyncio.get_running_loop().time()
            self._ended.set()

    async def _close_stale_link(self) -> None:
        """End a link that an earlier run or attempt left on the proxy; count the free slots.

        A proxy that is asked to connect to a device with a link says yes, and the state of that link is not known.
        """
        free, limit, allocated = await self._measured_slots()
        self._free_before = free
        if self._address in allocated or (free < limit and not allocated):
            with suppress(APIConnectionError):
                await self._client.bluetooth_device_disconnect(self._address, self._timing.disconnect)
            await asyncio.sleep(self._timing.settle)
            if (slots := await self._slots()) is not None:
                self._free_before = slots[0]

    async def _measured_slots(self) -> tuple[int, int, list[int]]:
        """As :meth:`_slots`; the time that the answer takes stretches the waits of this connection."""
        clock = asyncio.get_running_loop().time
        began = clock()
        slots = await self._slots(self._timing.first)
        if slots is None:
            raise GattError("no_answer", f"the proxy did not answer within {self._timing.first:.0f} s")
        self._proxy.measured(clock() - began)
        self._timing = self._unhurried.stretched(self._proxy.round_trip)
        return slots

    async def _slots(self, seconds: float | None = None) -> tuple[int, int, list[int]] | None:
        """Ask the proxy for its free slots, their limit and the allocated addresses. None where it does not answer."""
        answer: asyncio.Future[tuple[int, int, list[int]]] = asyncio.get_running_loop().create_future()

        def answered(free: int, limit: int, allocated: list[int]) -> None:
            if not answer.done():
                answer.set_result((free, limit, list(allocated)))

        try:
            stop = self._client.subscribe_bluetooth_connections_free(answered)
        except APIConnectionError as error:
            raise self._named(error) from None
        try:
            async with asyncio.timeout(seconds or self._timing.slots):
                return await answer
        except TimeoutError:
            return None
        finally:
            stop()

    async def _freed(self) -> bool:
        """Whether the slot is free; True where the proxy does not answer."""
        with suppress(TimeoutError, GattError):
            async with asyncio.timeout(self._timing.release):
                while True:
                    slots = await self._slots()
                    if slots is None:
                        return True
                    free, limit, allocated = slots
                    if allocated and self._address not in allocated:
                        return True
                    if not allocated and free >= (limit if self._free_before is None else self._free_before):
                        return True
                    await asyncio.sleep(self._timing.settle / 3)
        return False

    async def _discover(self) -> None:
        link = connection_of(self._client)
        if link is None:
            raise GattError("proxy_gone", "the session with the proxy ended")
        seconds = self._timing.services
        found = await self._operate(lambda: list_services(link, self._address, seconds), seconds)
        if found.lost:
            raise self._loss()
        if found.error is not None:
            raise self._checked(gatt_error(found.error))
        self._table = found.table
        if not self._table:
            raise GattError("error", "the device has no characteristics")
        self._handles.put(self._address, self._table)

    def _handle(self, characteristic: str) -> int:
        handle = self._table.get(characteristic)
        if handle is not None:
            return handle
        if self.distrust():
            raise GattError("bad_handle", f"the cached handles lack {characteristic}")
        raise GattError("error", f"the device has no characteristic {characteristic}")

    async def _operate(self, operation: Callable[[], Awaitable[T]], limit: float | None = None) -> T:
        """One operation at a time: firmware from 2026.8 on refuses a second one as busy."""
        try:
            async with self._one_at_a_time, asyncio.timeout(limit or self._timing.operation):
                return await operation()
        except TimeoutError:
            raise unanswered() from None
        except APIConnectionError as error:
            raise self._named(error) from None

    def _named(self, error: APIConnectionError) -> GattError:
        """The library's error as one of our causes."""
        return self._loss() if isinstance(error, BluetoothConnectionDroppedError) else self._checked(failed(error))

    def _checked(self, error: GattError) -> GattError:
        if error.cause == "bad_handle":
            self.distrust()
        return error

    def _loss(self) -> GattError:
        return lost(self._code)


def _nothing() -> None:
    return
