"""A node that opens the connection to its client itself, as ``api: outgoing_connection`` has ESPHome do.

Sessions that begin and end come in; connections to the target go out. Only the TCP connection is opened the other way
round: the node remains the Noise responder, and sends its hello before it was asked (wire.py).

::

    wait ``delay`` -> dial -> session -> its end -> wait ``delay`` -> ...
                       no answer, or a session without the key: 5, 10, 20 ... 300 s, a fifth more or less

Invariant, as in the firmware: nothing is dialled while a client that declared itself a target is connected.
Source: ESPHome 2026.10.0, ``components/api/api_outgoing_connection.cpp``.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import structlog

from proxy_listener.node.firmware import NodeTiming
from proxy_listener.node.session import NodeSession
from proxy_listener.node.settings import DialOut, NodeSettings

log = structlog.get_logger()

_JITTER = 0.2


class Dialer:
    """The calls of one node. ``connect`` opens a session to an address and a port, OSError where that is impossible;
    ``full`` says whether the node takes no further client.

    ``remembered`` is the address of the last target, which a restart does not erase.
    """

    def __init__(
        self,
        settings: NodeSettings,
        dial: DialOut,
        timing: NodeTiming,
        connect: Callable[[str, int], Awaitable[NodeSession]],
        full: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._dial = dial
        self._timing = timing
        self._connect = connect
        self._full = full
        # Nodes must not retry in step; a simulated house must be repeatable.
        self._chance = Random(settings.mac)  # noqa: S311
        self._targets: set[NodeSession] = set()
        self._dialed: NodeSession | None = None
        self._backoff = timing.dial_retry
        self._alone = asyncio.Event()
        self._met = asyncio.Event()
        self._over = asyncio.Event()
        self.remembered: str | None = None

    def target(self, session: NodeSession) -> None:
        """The client of this session proved the key and declared itself a target."""
        self._targets.add(session)
        self._alone.clear()
        self._met.set()
        self._backoff = self._timing.dial_retry
        if self._dial.host is None and session.peer:
            self.remembered = session.peer

    def closed(self, session: NodeSession) -> None:
        """A session ended, of whatever client."""
        self._targets.discard(session)
        if not self._targets:
            self._met.clear()
            self._alone.set()
        if session is self._dialed:
            self._over.set()

    async def run(self) -> None:
        """Dial whenever no target is connected, until cancelled."""
        self._targets.clear()
        self._met.clear()
        self._alone.set()
        self._backoff = self._timing.dial_retry
        # A node that wakes for moments only does not spend them on waiting.
        sleeps = self._settings.deep_sleep
        idle = self._timing.dial_retry if sleeps else self._dial.delay
        wait = 0.0 if sleeps else idle
        while True:
            await self._alone.wait()
            if await self._target_within(wait):
                wait = idle
            else:
                again = await self._call()
                wait = idle if again is None else again

    async def _target_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._met.wait()
        except TimeoutError:
            return False
        return True

    async def _call(self) -> float | None:
        """One call, to the end of its session. Seconds until the next; None where the client proved the key."""
        host = self._dial.host or self.remembered
        if host is None or self._full():
            return self._timing.dial_retry
        self._over.clear()
        try:
            async with asyncio.timeout(self._timing.dial_connect):
                self._dialed = session = await self._connect(host, self._dial.port)
        except (OSError, TimeoutError) as error:
            log.debug("nobody answers the call", node=self._settings.name, error=str(error))
            return self._retry()
        if self._targets - {session}:
            session.close()
        if not session.is_over():
            await self._over.wait()
        self._dialed = None
        return None if session.authenticated else self._retry()

    def _retry(self) -> float:
        wait = self._backoff * self._chance.uniform(1 - _JITTER, 1 + _JITTER)
        self._backoff = min(2 * self._backoff, self._timing.dial_longest)
        return wait
