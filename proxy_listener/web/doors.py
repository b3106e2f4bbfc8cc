"""When the routes are loaded: for the page at the start, for the control socket when somebody first connects to it.

In: where to listen and what app hands over. Out: nothing, until cancelled. The rule of this file: nothing here imports
aiohttp before it is needed. It costs 12 MB, and most houses never ask their service anything.
"""

import asyncio
import importlib
import socket
import time
from pathlib import Path
from typing import Any

from proxy_listener.history import Journal
from proxy_listener.model.settings import WebSettings
from proxy_listener.model.status import View
from proxy_listener.web.actions import Actions
from proxy_listener.web.control import control_socket


async def serve_control(state: Path, view: View, journal: Journal, actions: Actions) -> None:
    """The control socket in ``state``, until cancelled. ProxyListenerError where another service serves it."""
    started = time.monotonic()
    with control_socket(state) as control:
        await _knock(control)
        server = await _server()
        async with server.serving(server.House(view, journal, actions, started=started), control):
            await asyncio.Event().wait()


async def serve_page(settings: WebSettings, view: View, journal: Journal, actions: Actions) -> None:
    """The page and the API at ``settings.listen``, until cancelled; nothing where that is not set.

    ProxyListenerError: the port is taken, the address is open to the network and there is no token.
    """
    if settings.listen is not None:
        started = time.monotonic()
        server = await _server()
        house = server.House(view, journal, actions, token=settings.token, started=started)
        await server.serve_tcp(settings.listen, settings, house)


async def _knock(listener: socket.socket) -> None:
    """Wait for the first connection, which stays in the backlog."""
    loop = asyncio.get_running_loop()
    knocked = asyncio.Event()
    loop.add_reader(listener, knocked.set)
    try:
        await knocked.wait()
    finally:
        loop.remove_reader(listener)


async def _server() -> Any:
    """The module, imported in a thread: it takes 0.2 s, for which proxies are not to wait."""
    return await asyncio.to_thread(importlib.import_module, "proxy_listener.web.server")
