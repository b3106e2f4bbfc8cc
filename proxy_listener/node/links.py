"""A node's connections to devices: slots, opens, GATT operations, and the messages about them.

Requests of all sessions come in; every answer goes to ``send``, which is the stream holder's, as in the firmware.
Invariant: a request takes a slot, and only :meth:`Links._forget` frees it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import attrs
from google.protobuf.message import Message

from proxy_listener.node.air import (
    BUSY,
    HUNG_UP_BY_US,
    NOT_CONNECTED,
    OPEN_CANCELLED,
    OPEN_FAILED,
    Air,
    Link,
    OpenError,
    OperationError,
)
from proxy_listener.node.firmware import Firmware, NodeTiming
from proxy_listener.node.gatt import services_messages
from proxy_listener.node.messages import api
from proxy_listener.node.scanner import Scanner

MTU = 23
"""Bytes: ATT's default."""

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
Operation = Callable[[Link], Awaitable[Sequence[Message]]]


@attrs.define(eq=False)
class Slot:
    """One of the few connections, from the request to its end.

    ``asked``: a valid request came for it. ``opening``: the open has begun. ``leaving``: a disconnect request came
    before the link was open. ``closing``: the open link is being closed. ``notifies``: the
    handles whose notifications are forwarded.
    """

    address: int
    cached: bool = False
    link: Link | None = None
    asked: bool = False
    opening: bool = False
    leaving: bool = False
    closing: bool = False
    services_sent: bool = False
    operating: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    notifies: set[int] = attrs.field(factory=set)
    tasks: "set[asyncio.Task[None]]" = attrs.field(factory=set)


class Links:
    """All slots of one node."""

    def __init__(
        self,
        firmware: Firmware,
        timing: NodeTiming,
        air: Air,
        scanner: Scanner,
        send: Callable[[Message], None],
        spawn: Spawn,
    ) -> None:
        self._firmware = firmware
        self._timing = timing
        self._air = air
        self._scanner = scanner
        self._send = send
        self._spawn = spawn
        self._slots: dict[int, Slot] = {}
        self._opening = asyncio.Lock()
        self._last_mtu = MTU
        self.limit = firmware.slots
        """Slots in all. May change while the node runs."""

    @property
    def free(self) -> int:
        """Free slots."""
        return max(0, self.limit - len(self._slots))

    @property
    def allocated(self) -> list[int]:
        """The addresses that have a slot."""
        return list(self._slots)

    def report(self) -> Message:
        """Free slots, as sent to the stream holder after each change."""
        return self._report(named=self._firmware.tells_allocated)

    def answer(self) -> Message:
        """Free slots, as sent to a client that asks."""
        return self._report(named=self._firmware.tells_allocated and self._firmware.answers_allocated)

    def _report(self, *, named: bool) -> Message:
        listed = self.allocated if named else []
        message: Message = api.BluetoothConnectionsFreeResponse(free=self.free, limit=self.limit, allocated=listed)
        return message

    def connect(self, address: int, address_type: int | None, *, cached: bool) -> None:
        """A client requests a link. ``address_type``: None if the request has none."""
        slot = self._slots.get(address)
        if slot is None and self.free:
            slot = self._slots[address] = Slot(address)
        if slot is None or (address_type is None and not self._firmware.seeks_untyped):
            # The firmware takes the slot before it checks the type, and keeps it although it refuses the request.
            self._state(address)
        elif slot.asked:
            # A request for a link that is closing is ignored: the firmware treats it as connected.
            slot.leaving = False
            if slot.link is not None and not slot.closing:
                self._state(address, connected=True)
                self._send(self.report())
        else:
            slot.asked, slot.cached, slot.leaving = True, cached, False
            self._send(self.report())
            # Without a type, 2025.6 waits to find it in an advertisement, which fails while it sends raw ones.
            if address_type is not None:
                self._run(slot, self._open(slot, address_type))

    def disconnect(self, address: int) -> None:
        """A client requests a disconnect."""
        slot = self._slots.get(address)
        if slot is None:
            self._state(address)
            self._send(self.report())
        elif slot.link is None and not self._frees(slot):
            slot.leaving = True
        elif slot.link is None:
            self._free(slot, OPEN_CANCELLED if slot.opening else NOT_CONNECTED)
        elif not slot.closing:
            slot.closing = True
            self._run(slot, self._hang_up(slot))

    def drop_all(self) -> None:
        """The stream holder left: close open links without messages. The radio ends an open in progress."""
        for slot in list(self._slots.values()):
            if slot.link is None and not self._frees(slot):
                slot.leaving = True
            else:
                self._forget(slot)

    def _frees(self, slot: Slot) -> bool:
        """Whether a slot without a link is freed immediately."""
        return self._firmware.frees_at_once if slot.opening else self._firmware.frees_unopened

    def services(self, address: int) -> None:
        """A client requests the services. The list is empty after a connect with cache, and the second time."""

        async def ask(link: Link) -> Sequence[Message]:
            slot = self._slots[address]
            wanted = not slot.cached and not slot.services_sent
            slot.services_sent = True
            return services_messages(address, await link.services() if wanted else (), self._firmware.api >= (1, 12))

        self.operate(address, 0, ask)

    def operate(self, address: int, handle: int, operation: Operation) -> None:
        """A client requests a GATT operation; the answer is its result or an error."""
        slot = self._slots.get(address)
        if slot is None or slot.link is None:
            self._error(address, handle, NOT_CONNECTED)
        elif self._firmware.one_operation and slot.operating.locked():
            self._error(address, handle, BUSY)
        else:
            self._run(slot, self._operate(slot, slot.link, handle, operation))

    def notify(self, address: int, handle: int, *, wanted: bool) -> None:
        """Forward the notifications of a handle, or stop forwarding them.

        Nothing is sent to the peripheral: esp_ble_gattc_register_for_notify does not write descriptor 0x2902.
        """
        slot = self._slots.get(address)
        if slot is None or slot.link is None:
            self._error(address, handle, NOT_CONNECTED)
            return
        if wanted:
            slot.notifies.add(handle)
        else:
            slot.notifies.discard(handle)
        self._send(api.BluetoothGATTNotifyResponse(address=address, handle=handle))

    async def _open(self, slot: Slot, address_type: int) -> None:
        async with self._opening:
            code = HUNG_UP_BY_US
            if not slot.leaving:
                slot.opening = True
                await self._scanner.stop()
                try:
                    code = await self._reach(slot, address_type)
                finally:
                    self._spawn(self._scanner.start())
        if slot.leaving or slot.link is None:
            self._free(slot, code)
            return
        if slot.cached:
            mtu = MTU if self._firmware.cached_mtu_known else self._last_mtu
        else:
            await asyncio.sleep(self._timing.discovery)
            mtu = self._last_mtu = slot.link.mtu
        self._state(slot.address, connected=True, mtu=mtu)
        self._send(self.report())

    async def _reach(self, slot: Slot, address_type: int) -> int:
        """Open the link of ``slot``; the code of the failure if it has none afterwards."""

        def notified(handle: int, data: bytes) -> None:
            if handle in slot.notifies:
                self._send(api.BluetoothGATTNotifyDataResponse(address=slot.address, handle=handle, data=data))

        try:
            async with asyncio.timeout(self._timing.open):
                slot.link = await self._air.open(slot.address, address_type, partial(self._lost, slot), notified)
        except TimeoutError:
            return OPEN_FAILED
        except OpenError as error:
            return error.code
        return HUNG_UP_BY_US

    async def _hang_up(self, slot: Slot) -> None:
        await asyncio.sleep(self._timing.hang_up)
        self._free(slot, HUNG_UP_BY_US)

    async def _operate(self, slot: Slot, link: Link, handle: int, operation: Operation) -> None:
        async with slot.operating:
            try:
                async with asyncio.timeout(self._timing.operation):
                    answers = await operation(link)
            except OperationError as error:
                self._error(slot.address, handle, error.code)
            except TimeoutError:
                # The link may have been lost in the meantime, and its end reported.
                if self._slots.get(slot.address) is slot:
                    self._free(slot, HUNG_UP_BY_US)
            else:
                for answer in answers:
                    self._send(answer)

    def _lost(self, slot: Slot, reason: int) -> None:
        """The peripheral or the distance ended the link."""
        if self._slots.get(slot.address) is not slot:
            return
        self._free(slot, reason)
        if self._firmware.reports_drop_twice:
            self._spawn(self._drop_again(slot.address, reason))

    async def _drop_again(self, address: int, reason: int) -> None:
        await asyncio.sleep(self._timing.drop_again)
        self._state(address, error=reason)

    def _free(self, slot: Slot, reason: int) -> None:
        self._forget(slot)
        self._state(slot.address, error=reason)
        self._send(self.report())

    def _forget(self, slot: Slot) -> None:
        if self._slots.get(slot.address) is slot:
            del self._slots[slot.address]
        if slot.link is not None:
            slot.link.close()
            slot.link = None
        current = asyncio.current_task()
        for task in slot.tasks - {current}:
            task.cancel()

    def _run(self, slot: Slot, work: Coroutine[Any, Any, None]) -> None:
        task = self._spawn(work)
        slot.tasks.add(task)
        task.add_done_callback(slot.tasks.discard)

    def _state(self, address: int, *, connected: bool = False, mtu: int = 0, error: int = 0) -> None:
        self._send(api.BluetoothDeviceConnectionResponse(address=address, connected=connected, mtu=mtu, error=error))

    def _error(self, address: int, handle: int, code: int) -> None:
        self._send(api.BluetoothGATTErrorResponse(address=address, handle=handle, error=code))
