"""Advertisements -> messages for the one client that holds the stream.

::

    raw:     up to 16 advertisements a message, sent when full or when the flush interval is over
    parsed:  one message per advertisement (firmware before raw advertisements, or a client that did not ask for them)

The rule of this file: exactly one subscriber. Who comes second is refused without a word, or takes the stream without
one, by the firmware's generation; when the holder goes, nobody is promoted.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeAlias

from google.protobuf.message import Message

from proxy_listener.node.firmware import Feature, Firmware
from proxy_listener.node.messages import api

Sent: TypeAlias = Callable[[], None]


class Subscriber(Protocol):
    """A session, as the stream sees it."""

    def send(self, *messages: Message) -> None:
        """Send messages that must arrive."""

    def offer(self, message: Message) -> bool:
        """Send a message that may be dropped; False where the send buffer was full."""


class NodeStream:
    """The stream of one node."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._queue: list[tuple[int, int, int, bytes]] = []
        self._waiting: list[Sent] = []
        self._timer: asyncio.TimerHandle | None = None
        self._flushed = 0.0
        self._raw = True
        self.holder: Subscriber | None = None
        self.sent = 0
        self.dropped = 0

    def subscribe(self, session: Subscriber, flags: int) -> bool:
        """True where the session holds the stream now. ``flags`` 1 asks for raw advertisements."""
        if self.holder is not None and not self._firmware.newest_wins:
            return False
        self._clear()
        self.holder = session
        can_raw = bool(self._firmware.flags & Feature.RAW_ADVERTISEMENTS)
        self._raw = can_raw and (bool(flags & 1) or not self._firmware.parsed)
        return True

    def leave(self, session: Subscriber) -> bool:
        """The session unsubscribes or is gone; True where it held the stream."""
        if self.holder is not session:
            return False
        self._clear()
        self.holder = None
        return True

    def tell(self, message: Message) -> None:
        """Anything else that only the holder is told; nobody, where there is none."""
        if self.holder is not None:
            self.holder.send(message)

    def hear(self, address: int, address_type: int, rssi: int, data: bytes, sent: Sent | None = None) -> bool:
        """One advertisement from the radio, on its way to the holder; False where there is none.

        ``sent`` is called when it left in a message; never, where that was thrown away.
        """
        if self.holder is None:
            return False
        if sent is not None:
            self._waiting.append(sent)
        if not self._raw:
            self._offer(parsed(address, address_type, rssi, data), 1)
            return True
        self._queue.append((address, address_type, rssi, data))
        if len(self._queue) >= self._firmware.batch:
            self.flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            busy = loop.time() - self._flushed < self._firmware.busy_flush
            self._timer = loop.call_later(self._firmware.busy_flush if busy else self._firmware.flush, self.flush)
        return True

    def flush(self) -> None:
        """Send what is queued."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._queue:
            return
        batch = api.BluetoothLERawAdvertisementsResponse()
        for address, address_type, rssi, data in self._queue:
            batch.advertisements.add(address=address, address_type=address_type, rssi=rssi, data=data)
        self._offer(batch, len(self._queue))
        self._queue.clear()
        self._flushed = asyncio.get_running_loop().time()

    def _offer(self, message: Message, advertisements: int) -> None:
        waiting, self._waiting = self._waiting, []
        if self.holder is None or not self.holder.offer(message):
            self.dropped += advertisements
            return
        self.sent += advertisements
        for sent in waiting:
            sent()

    def _clear(self) -> None:
        self._queue.clear()
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


_UUIDS_16 = (0x02, 0x03)
_NAMES = (0x08, 0x09)
_SERVICE_DATA_16, _MANUFACTURER = 0x16, 0xFF
"""AD types: Bluetooth Assigned Numbers, section 2.3."""


def parsed(address: int, address_type: int, rssi: int, data: bytes) -> Message:
    """An advertisement in the form that firmware before 2023.6 sends: its fields taken apart by the node."""
    message = api.BluetoothLEAdvertisementResponse(address=address, address_type=address_type, rssi=rssi)

    def uuids(content: bytes) -> None:
        for at in range(0, len(content) - 1, 2):
            message.service_uuids.append(_uuid(content[at : at + 2]))

    def service_data(content: bytes) -> None:
        message.service_data.add(uuid=_uuid(content[:2]), data=content[2:])

    def manufacturer(content: bytes) -> None:
        message.manufacturer_data.add(uuid=_uuid(content[:2]), data=content[2:])

    def name(content: bytes) -> None:
        message.name = content

    readers: dict[int, Callable[[bytes], None]] = {
        _SERVICE_DATA_16: service_data,
        _MANUFACTURER: manufacturer,
        **dict.fromkeys(_UUIDS_16, uuids),
        **dict.fromkeys(_NAMES, name),
    }
    at = 0
    while at + 1 < len(data) and (length := data[at]):
        content = data[at + 2 : at + 1 + length]
        reader = readers.get(data[at + 1])
        if reader is not None and (len(content) >= 2 or reader is name):
            reader(content)
        at += 1 + length
    result: Message = message
    return result


def _uuid(content: bytes) -> str:
    return f"0x{int.from_bytes(content, 'little'):04X}"
