"""Advertisements -> messages for the one client that holds the stream.

A message holds up to 16 advertisements and is sent when it is full or the flush interval is over.
Invariant: at most one client holds the stream. By the firmware's generation, a second subscriber is refused or takes
it, silently in both cases; when the holder leaves, no other client gets it.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeAlias

from google.protobuf.message import Message

from proxy_listener.node.firmware import Firmware
from proxy_listener.node.messages import api

Sent: TypeAlias = Callable[[], None]


class Subscriber(Protocol):
    """The part of a session that the stream uses."""

    def send(self, *messages: Message) -> None:
        """Send messages that must arrive."""

    def offer(self, message: Message) -> bool:
        """Send a message that may be dropped; False if the send buffer was full."""


class NodeStream:
    """The stream of one node."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._queue: list[tuple[int, int, int, bytes]] = []
        self._waiting: list[Sent] = []
        self._timer: asyncio.TimerHandle | None = None
        self._flushed = 0.0
        self.holder: Subscriber | None = None
        self.sent = 0
        self.dropped = 0

    def subscribe(self, session: Subscriber) -> bool:
        """True if the session holds the stream now."""
        if self.holder is not None and not self._firmware.newest_wins:
            return False
        self._clear()
        self.holder = session
        return True

    def leave(self, session: Subscriber) -> bool:
        """The session unsubscribes or ended; True if it held the stream."""
        if self.holder is not session:
            return False
        self._clear()
        self.holder = None
        return True

    def send(self, message: Message) -> None:
        """Send any other message to the holder, if there is one."""
        if self.holder is not None:
            self.holder.send(message)

    def hear(self, address: int, address_type: int, rssi: int, data: bytes, sent: Sent | None = None) -> bool:
        """Queue one advertisement for the holder; False if there is none.

        ``sent`` is called when it left in a message, and not called if that message was dropped.
        """
        if self.holder is None:
            return False
        if sent is not None:
            self._waiting.append(sent)
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
