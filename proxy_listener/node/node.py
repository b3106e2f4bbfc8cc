"""One ESPHome node with a Bluetooth proxy: a TCP server for clients of the native API.

Advertisements come in by :meth:`Node.hear`, peripherals are reached through an :class:`Air`. Invariant: how the node
behaves depends on its :class:`Firmware` only.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

import structlog
from google.protobuf.message import Message
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from proxy_listener.node.air import Air, Vacuum
from proxy_listener.node.announce import service_info
from proxy_listener.node.dialer import Dialer
from proxy_listener.node.firmware import Firmware, NodeTiming
from proxy_listener.node.links import Links
from proxy_listener.node.requests import Requests
from proxy_listener.node.scanner import Scanner
from proxy_listener.node.session import NodeSession, SessionContext
from proxy_listener.node.settings import NodeSettings
from proxy_listener.node.stream import NodeStream
from proxy_listener.node.wire import NOISE, ZERO_KEY, NoiseWire, PlainWire, Wire

log = structlog.get_logger()


class Node:
    """A node. ``start`` and ``stop`` may alternate; the other methods need a started node.

    A subclass may serve its clients with another class of session, or scan with another class of scanner.
    """

    session_type: ClassVar[type[NodeSession]] = NodeSession
    scanner_type: ClassVar[type[Scanner]] = Scanner

    def __init__(
        self,
        settings: NodeSettings,
        firmware: Firmware,
        air: Air | None = None,
        timing: NodeTiming | None = None,
    ) -> None:
        self.settings = settings
        self.firmware = firmware
        self.timing = timing or NodeTiming()
        self._air: Air = air or Vacuum()
        self.sessions: set[NodeSession] = set()
        self.host = ""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._record: tuple[AsyncZeroconf, AsyncServiceInfo] | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._emptied = asyncio.Event()
        self._dialer = self._make_dialer()
        self._boot()

    def _make_dialer(self) -> Dialer | None:
        if self.settings.dial is None:
            return None
        if not self.firmware.dials:
            raise ValueError(f"ESPHome {self.firmware.version} does not know api: outgoing_connection")
        return Dialer(self.settings, self.settings.dial, self.timing, self._dial, self._full)

    def _boot(self) -> None:
        self.stream = NodeStream(self.firmware)
        send = self.stream.send
        self.scanner = self.scanner_type(self.firmware, self.timing, send if self.firmware.tells_state else _discard)
        self.links = Links(self.firmware, self.timing, self._air, self.scanner, send, self.spawn)
        self._requests = Requests(
            self.settings, self.firmware, self.stream, self.scanner, self.links, self.spawn, self.timing.teardown
        )

    async def start(self, host: str = "127.0.0.1", port: int = 0, zeroconf: AsyncZeroconf | None = None) -> None:
        """Listen and announce it. ``port`` 0: the port it had before, or a free one."""
        self._boot()
        loop = asyncio.get_running_loop()
        context = self._context()
        self._server = await loop.create_server(lambda: self.session_type(context), host, port or self.port)
        self.host, self.port = self._server.sockets[0].getsockname()[:2]
        self.spawn(self.scanner.cycle())
        if self._dialer is not None:
            self.spawn(self._dialer.run())
        if zeroconf is not None:
            await self.announce(zeroconf)

    async def announce(self, zeroconf: AsyncZeroconf, address: str | None = None) -> None:
        """Announce it by mDNS. Like ESPHome, without asking whether the name is taken."""
        record = service_info(self.settings, self.firmware, [address or self.host], self.port)
        announced = await zeroconf.async_register_service(record, cooperating_responders=True, strict=False)
        self._record = zeroconf, record
        self._announcing = self.spawn(_finish(announced))

    async def withdraw(self) -> None:
        """Withdraw the mDNS record with a goodbye."""
        if self._record is not None:
            (zeroconf, record), self._record = self._record, None
            if self._announcing is not None:
                self._announcing.cancel()  # zeroconf would repeat the announcement after the goodbye
            await (await zeroconf.async_unregister_service(record))

    async def stop(self) -> None:
        """A clean shutdown: goodbye to mDNS and to every client."""
        self._close_server()
        await self.withdraw()
        for session in list(self.sessions):
            session.say_goodbye()
        if self.sessions:
            self._emptied.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), self.timing.farewell)
        await self._end()

    def hear(
        self, address: int, address_type: int, rssi: int, data: bytes, sent: Callable[[], None] | None = None
    ) -> bool:
        """The radio received an advertisement. True if the scan is running and a client holds the stream.

        ``sent`` is called when the advertisement left in a message, and not called if it was dropped.
        """
        return self.scanner.hears and self.stream.hear(address, address_type, rssi, data, sent)

    def send(self, message: Message) -> None:
        """Send to the stream holder, if there is one."""
        self.stream.send(message)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine as a task, which is cancelled when the node stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task of a node failed", node=self.settings.name, exc_info=error)

    def _close_server(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _end(self) -> None:
        for session in list(self.sessions):
            session.abort()
        self.links.drop_all()
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    def _context(self) -> SessionContext:
        return SessionContext(
            self.settings.name,
            self.firmware,
            self.timing,
            self.settings.password,
            self._wire,
            self._requests.serve,
            self._opened,
            self._closed,
            self._targeted,
        )

    async def _dial(self, host: str, port: int) -> NodeSession:
        context = self._context()
        make = partial(self.session_type, context, dialed=True)
        _, session = await asyncio.get_running_loop().create_connection(make, host, port)
        return session

    def _targeted(self, session: NodeSession) -> None:
        if self._dialer is not None:
            self._dialer.target(session)

    def _wire(self, first: int) -> Wire:
        mac = f"{self.settings.mac:012x}" if self.firmware.hello_mac else ""
        if self.settings.noise_psk is not None:
            return NoiseWire(self.settings.noise_psk, self.settings.name, mac)
        if self.firmware.provisionable and first == NOISE:
            return NoiseWire(ZERO_KEY, self.settings.name, mac)
        return PlainWire()

    def _full(self) -> bool:
        return self.firmware.clients is not None and len(self.sessions) >= self.firmware.clients

    def _opened(self, session: NodeSession) -> bool:
        if self._full():
            log.debug("too many clients", node=self.settings.name)
            return False
        self.sessions.add(session)
        return True

    def _closed(self, session: NodeSession) -> None:
        self.sessions.discard(session)
        if self._dialer is not None:
            self._dialer.closed(session)
        if not self.sessions:
            self._emptied.set()
        if self._server is not None:
            self._requests.leave(session)


async def _finish(work: Awaitable[None]) -> None:
    await work


def _discard(_message: Message) -> None:
    """Firmware without scanner state sends none."""
