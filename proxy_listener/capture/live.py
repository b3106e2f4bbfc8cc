"""The live capture: every advertisement as it comes in, for ``record`` and the API's capture stream.

What comes in: the fields of each advertisement, while a client listens. What goes out: capture lines, through a bounded
queue for each client. Without a client, the hot path does not pass through here.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import TypeAlias

import structlog

from proxy_listener.capture.lines import line_of
from proxy_listener.model.advertisement import Advertisement
from proxy_listener.model.outcome import Outcome

log = structlog.get_logger()

Hear: TypeAlias = Callable[[str, int, int, int, bytes, float, float], Outcome]

WAITING = 20_000
"""Advertisements that wait for one slow client, about 10 MB; beyond it the oldest are lost, which is logged."""


class LiveCapture:
    """``hear`` is where advertisements go; ``listen(other)`` makes the proxies call ``other`` instead."""

    def __init__(self, hear: Hear, listen: Callable[[Hear], None]) -> None:
        self._hear = hear
        self._listen = listen
        self._clients: list[tuple[deque[Advertisement], asyncio.Event]] = []

    async def lines(self) -> AsyncGenerator[str, None]:
        """Capture lines from now on, until the generator is closed."""
        waiting: deque[Advertisement] = deque(maxlen=WAITING)
        arrived = asyncio.Event()
        client = (waiting, arrived)
        self._clients.append(client)
        self._listen(self._capture)
        lost = False
        try:
            while True:
                await arrived.wait()
                arrived.clear()
                if len(waiting) == WAITING and not lost:
                    lost = True
                    log.warning("a recording is too slow; advertisements are missing from it")
                while waiting:
                    yield line_of(waiting.popleft())
        finally:
            self._clients = [other for other in self._clients if other is not client]
            if not self._clients:
                self._listen(self._hear)

    def _capture(
        self, proxy: str, address: int, address_type: int, rssi: int, data: bytes, time: float, heard: float
    ) -> Outcome:
        advertisement = Advertisement(address, address_type, data, proxy, rssi, time, heard)
        for waiting, arrived in self._clients:
            waiting.append(advertisement)
            arrived.set()
        return self._hear(proxy, address, address_type, rssi, data, time, heard)
