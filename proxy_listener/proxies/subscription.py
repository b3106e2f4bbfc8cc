"""The notifications of one characteristic, in order, until the link is lost."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from proxy_listener.model.errors import GattError

QUEUED = 256
"""Notifications that wait for their reader; further ones are dropped. A log sends a few a second, in bursts."""

LONGEST_VALUE = 512
"""Bytes of a characteristic's value (Bluetooth Core, volume 3, part F, 3.2.9)."""


def too_long(length: int) -> GattError:
    """The proxy sent a value that no device can have."""
    return GattError("excess", f"the proxy sent a value of {length} bytes; a device's have {LONGEST_VALUE} at most")


class Subscription:
    """``ended`` is set when the link is lost; ``loss`` then gives the error."""

    def __init__(self, ended: asyncio.Event, loss: Callable[[], GattError]) -> None:
        self._ended = ended
        self._loss = loss
        self._excess: GattError | None = None
        self._values: asyncio.Queue[bytes] = asyncio.Queue(QUEUED)

    def put(self, _handle: int, data: bytearray) -> None:
        """Queue a value that arrived. One that is too long fails the next read, and what follows is dropped."""
        if len(data) > LONGEST_VALUE or self._excess is not None:
            self._excess = self._excess or too_long(len(data))
            return
        with suppress(asyncio.QueueFull):
            self._values.put_nowait(bytes(data))

    async def next(self, seconds: float) -> bytes | None:
        """The next value; None if none arrives within ``seconds``. Raises GattError if the link is lost first."""
        if not self._values.empty():
            return self._values.get_nowait()
        if self._excess is not None:
            raise self._excess
        value, end = asyncio.ensure_future(self._values.get()), asyncio.ensure_future(self._ended.wait())
        try:
            done, _ = await asyncio.wait((value, end), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            value.cancel()
            end.cancel()
        if value in done:
            return value.result()
        if end in done:
            raise self._loss()
        return None
