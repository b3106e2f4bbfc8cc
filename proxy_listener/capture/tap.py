"""Those who want to see every advertisement as it comes in: ``record`` and the API's capture stream.

What comes in: the fields of each advertisement, while anybody looks. What goes out: capture lines, bounded per looker.
The rule of this file: while nobody looks the hot path does not know that this exists.
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
"""Advertisements that wait for one slow looker, about 10 MB; beyond it the oldest are lost and the loss is told."""


class Taps:
    """``hear`` is where advertisements go; ``listen`` makes the proxies call something else instead."""

    def __init__(self, hear: Hear, listen: Callable[[Hear], None]) -> None:
        self._hear = hear
        self._listen = listen
        self._waiting: list[tuple[deque[Advertisement], asyncio.Event]] = []

    async def lines(self) -> AsyncGenerator[str, None]:
        """Capture lines from now on, until the generator is closed."""
        waiting: deque[Advertisement] = deque(maxlen=WAITING)
        something = asyncio.Event()
        tap = (waiting, something)
        self._waiting.append(tap)
        self._listen(self._tapped)
        lost = False
        try:
            while True:
                await something.wait()
                something.clear()
                if len(waiting) == WAITING and not lost:
                    lost = True
                    log.warning("a recording is too slow; advertisements are missing from it")
                while waiting:
                    yield line_of(waiting.popleft())
        finally:
            self._waiting = [other for other in self._waiting if other is not tap]
            if not self._waiting:
                self._listen(self._hear)

    def _tapped(
        self, proxy: str, address: int, address_type: int, rssi: int, data: bytes, time: float, heard: float
    ) -> Outcome:
        advertisement = Advertisement(address, address_type, data, proxy, rssi, time, heard)
        for waiting, something in self._waiting:
            waiting.append(advertisement)
            something.set()
        return self._hear(proxy, address, address_type, rssi, data, time, heard)
