"""What the service calls: serve the control socket, serve the page.

In: the sockets' places, and what the API may ask of the service, as callables. Out: nothing, until cancelled.

aiohttp is imported when it is first needed: for the page at the start, for the control socket at its first connection.
It takes 12 MB of memory and 0.2 s, and most services are never asked anything.
"""

import asyncio
import importlib
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

import attrs

from proxy_listener.engine.coverage import Coverage
from proxy_listener.history import Journal
from proxy_listener.model.advertisement import Address
from proxy_listener.model.settings import WebSettings
from proxy_listener.model.status import Newcomer, Reloaded, View
from proxy_listener.reads import Candidate, OnProgress, ReadOptions, ReadReport
from proxy_listener.web.control import control_socket


def _no_candidates(_mac: Address) -> Sequence[Candidate]:
    return ()


@attrs.frozen
class Actions:
    """What the API may ask of the service, beside the view and the journal. The route of a missing action answers 501.

    ``route``: the proxies that could read a device, best first. ``read``: read a device; cancelling it ends the
    connection. ``newcomers``: devices that are not admitted yet; ``admit``: admit a device. ``stream``: capture lines
    without the line's end, from the call on, in a bounded queue. ``metrics``: content type and body. ``units``:
    quantity -> unit, for those that are numbers. ``reload``: read the configuration again.
    """

    route: Callable[[Address], Sequence[Candidate]] = _no_candidates
    read: Callable[[Address, ReadOptions, OnProgress], Awaitable[ReadReport]] | None = None
    coverage: Callable[[], Awaitable[Coverage]] | None = None
    newcomers: Callable[[], Sequence[Newcomer]] = tuple
    admit: Callable[[Address], object] | None = None
    stream: Callable[[], AsyncGenerator[str, None]] | None = None
    metrics: Callable[[], tuple[str, bytes]] | None = None
    units: Mapping[str, str] = attrs.field(factory=dict)
    reload: Callable[[], Awaitable[Reloaded]] | None = None


async def serve_control(state: Path, view: View, journal: Journal, actions: Actions) -> None:
    """Serve ``control.sock`` in ``state``. ProxyListenerError if another service does."""
    started = time.monotonic()
    with control_socket(state) as listener:
        await _first_connection(listener)
        server = await _server()
        await server.serve_control(listener, server.WebContext(view, journal, actions, started=started))


SALT_NOTE = "page-salt"
"""The history's note with the salt of the session's cookie."""


async def serve_page(settings: WebSettings, view: View, journal: Journal, actions: Actions) -> None:
    """Serve the page and the API at ``settings.listen``; returns at once if that is not set.

    ProxyListenerError: the port is taken, or the address is reachable from the network and there is no token.
    """
    if settings.listen is not None:
        started = time.monotonic()
        server = await _server()
        # Kept, so that a restart of the service logs nobody out.
        salt = journal.tables.noted(SALT_NOTE) or token_hex(16)
        journal.tables.note(SALT_NOTE, salt)
        context = server.WebContext(view, journal, actions, token=settings.token, started=started, salt=salt)
        await server.serve_tcp(settings.listen, settings, context)


async def _first_connection(listener: socket.socket) -> None:
    """Wait for a connection without accepting it."""
    loop = asyncio.get_running_loop()
    connected = asyncio.Event()
    loop.add_reader(listener, connected.set)
    try:
        await connected.wait()
    finally:
        loop.remove_reader(listener)


async def _server() -> Any:
    """The server module, imported in a thread so that the event loop does not stall."""
    return await asyncio.to_thread(importlib.import_module, "proxy_listener.web.server")
