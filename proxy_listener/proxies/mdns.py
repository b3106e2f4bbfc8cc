"""The one AsyncZeroconf of the process and the browser on it, for as long as the fleet runs.

A machine without a network is no failure: mDNS is opened as soon as that succeeds, follows interfaces that come and go,
and is opened again when the configuration names others. Proxies with a host do not wait for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from zeroconf.asyncio import AsyncZeroconf

from proxy_listener.model.advertisement import Address
from proxy_listener.proxies.discovery import Discovery, Sighting, open_zeroconf

log = structlog.get_logger()

RETRY = 10.0
"""Seconds between attempts to open mDNS where there is no network."""
_REFRESH = 30.0
"""Seconds between checks for new interfaces and missing nodes."""


class Mdns:
    """``make`` builds a :class:`Discovery` on an AsyncZeroconf; ``missing`` says whether a node is not found yet.
    ``retry``: seconds between attempts to open.
    """

    def __init__(
        self, make: Callable[[AsyncZeroconf], Discovery], missing: Callable[[], bool], retry: float = RETRY
    ) -> None:
        self._make = make
        self._missing = missing
        self._retry = retry
        self._tasks: set[asyncio.Task[None]] = set()
        self._current: asyncio.Task[None] | None = None
        self.zeroconf: AsyncZeroconf | None = None
        self.discovery: Discovery | None = None

    @property
    def sightings(self) -> list[Sighting]:
        """The nodes that are seen now."""
        return list(self.discovery.sightings.values()) if self.discovery is not None else []

    def open(self, interfaces: Sequence[str]) -> None:
        """Browse on these interfaces from now on, or on all where none are given. Closes what was open."""
        if self._current is not None:
            self._current.cancel()
        self._current = asyncio.get_running_loop().create_task(self._browse(interfaces))
        self._tasks.add(self._current)
        self._current.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop browsing and close the AsyncZeroconf."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._current = None

    def search(self, node: str) -> None:
        """Ask the network where this node is now."""
        if self.discovery is not None:
            self.discovery.ask(node)

    def others_of_its_name(self, mac: Address | None) -> tuple[str, Sequence[Address]] | None:
        """As :meth:`Discovery.others_of_its_name`; None for a node whose MAC is not known."""
        return self.discovery.others_of_its_name(mac) if self.discovery is not None and mac is not None else None

    async def _browse(self, interfaces: Sequence[str]) -> None:
        logged: str | None = None
        while True:
            try:
                await self._browse_once(interfaces)
            except OSError as error:
                if error.strerror != logged:
                    logged = error.strerror
                    log.warning(
                        "mDNS cannot be opened, trying again",
                        error=logged,
                        interfaces=list(interfaces) or "all",
                    )
            except Exception:  # whatever the library raises, proxies must still be found later
                log.exception("mDNS failed, and is opened again")
            await asyncio.sleep(self._retry)

    async def _browse_once(self, interfaces: Sequence[str]) -> None:
        zeroconf = open_zeroconf(interfaces)
        # Cancelling this await would cancel zeroconf's start itself, and its sockets would stay open.
        starting = asyncio.create_task(zeroconf.zeroconf.async_wait_for_start())
        try:
            await asyncio.shield(starting)
            await self._refresh(zeroconf, interfaces)
        finally:
            await zeroconf.async_close()

    async def _refresh(self, zeroconf: AsyncZeroconf, interfaces: Sequence[str]) -> None:
        discovery = self._make(zeroconf)
        try:
            discovery.start()
            self.zeroconf, self.discovery = zeroconf, discovery
            while True:
                await asyncio.sleep(_REFRESH)
                if not interfaces:
                    with suppress(OSError, RuntimeError):
                        await zeroconf.async_update_interfaces()
                if self._missing():
                    discovery.ask()
        finally:
            if self.discovery is discovery:
                self.zeroconf = self.discovery = None
            await discovery.stop()
