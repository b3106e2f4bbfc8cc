"""Settings -> listening sockets: the control socket always, TCP where configured, both with the same routes.

The rule of this file: whoever connects can hold neither the service nor the other clients up. A connection that has no
complete request within 5 s is closed; when all places are taken, the one that has waited longest without a request
makes room; what takes no byte for 10 s is closed.
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.settings import WebSettings
from proxy_listener.web.control import BACKLOG
from proxy_listener.web.guard import Handler, errors, guard, headers
from proxy_listener.web.house import HOUSE, STUCK_TIMEOUT, House
from proxy_listener.web.routes import ROUTES

log = structlog.get_logger()

CONNECTIONS_LIMIT = 128
HEADER_TIMEOUT = 5.0
"""Facts: threats-and-faults, H5."""

BODY_LIMIT = 16_384
"""Bytes of a request's body: the largest one that has a meaning is ``{"history": true}``."""

GOODBYE = 0.2
"""Seconds that streams get to end by themselves when the service stops; it has two in all."""

_quiet = logging.getLogger("proxy_listener.web.aiohttp")
_quiet.setLevel(logging.CRITICAL)
"""aiohttp logs a traceback for each malformed request, which anyone on the network can send a thousand of."""


class Door:
    """Counts who is in, and makes room or closes."""

    def __init__(self, limit: int = CONNECTIONS_LIMIT) -> None:
        self._limit = limit
        self._server: web.Server | None = None
        self._waiting: dict[RequestHandler, asyncio.Transport] = {}

    def open(self, server: web.Server) -> None:
        """From here on connections are let in, to this server."""
        self._server = server

    def enter(self, transport: asyncio.Transport) -> None:
        """A connection was made: it gets aiohttp's protocol, or is closed where all the others are being served."""
        assert self._server is not None
        self._waiting = {handler: line for handler, line in self._waiting.items() if not line.is_closing()}
        if len(self._server.connections) >= self._limit:
            if not self._waiting:
                transport.abort()
                return
            longest = next(iter(self._waiting))
            self._waiting.pop(longest).abort()
        handler = self._server()
        self._waiting[handler] = transport
        transport.set_protocol(handler)
        handler.connection_made(transport)

    def middleware(self) -> Any:
        """Whoever is being served does not make room for others."""

        @web.middleware
        async def serving(request: web.Request, handler: Handler) -> web.StreamResponse:
            line = self._waiting.pop(request.protocol, None)
            try:
                return await handler(request)
            finally:
                if line is not None and not line.is_closing():
                    self._waiting[request.protocol] = line

        return serving


class Knock(asyncio.Protocol):
    """A connection of which nothing is known yet."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let in, or not."""
        assert isinstance(transport, asyncio.Transport)
        self._door.enter(transport)


def application(house: House, *middlewares: Any) -> web.Application:
    """The routes, behind these middlewares."""
    app = web.Application(middlewares=middlewares, client_max_size=BODY_LIMIT)
    app[HOUSE] = house
    app.on_response_prepare.append(headers)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.handler)
    return app


@asynccontextmanager
async def serving(
    house: House,
    listener: socket.socket,
    *middlewares: Any,
    limit: int = CONNECTIONS_LIMIT,
    patience: float = HEADER_TIMEOUT,
) -> AsyncIterator[None]:
    """Serves the routes at a listening socket while the context lasts; ``guard`` and the like come as middlewares.

    At most ``limit`` connections; ``patience`` is seconds for a request's headers to come.
    """
    door = Door(limit)
    runner = web.AppRunner(
        application(house, door.middleware(), errors, *middlewares),
        access_log=None,
        logger=_quiet,
        keepalive_timeout=patience,
        shutdown_timeout=GOODBYE,
        handler_cancellation=True,
    )
    await runner.setup()
    assert runner.server is not None
    door.open(runner.server)
    loop = asyncio.get_running_loop()
    make = loop.create_unix_server if listener.family == socket.AF_UNIX else loop.create_server
    server = await make(lambda: Knock(door), sock=listener)
    try:
        yield
    finally:
        server.close()
        await runner.cleanup()


def _split(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise ProxyListenerError(f"[web] listen: {listen!r} is not host:port")
    return host.strip("[]"), int(port)


async def tcp_addresses(listen: str, token_set: bool) -> Sequence[tuple[socket.AddressFamily, Any]]:
    """Where ``host:port`` is. ProxyListenerError where that is nowhere, or open to the network without a token."""
    host, port = _split(listen)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ProxyListenerError(f"[web] listen: {listen}: {error.strerror or error}") from error
    addresses = sorted({(info[0], info[4]) for info in found}, key=str)
    loopback = all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for _, address in addresses)
    if not loopback and not token_set:
        raise ProxyListenerError(f"[web] listen: {listen} is open to the network; set a token")
    return addresses


@contextmanager
def tcp_socket(listen: str, family: socket.AddressFamily, address: Any) -> Iterator[socket.socket]:
    """A listening socket. ProxyListenerError where the address cannot be had."""
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STUCK_TIMEOUT * 1000))
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            raise ProxyListenerError(f"[web] listen: {listen}: {error.strerror or error}") from error
        yield listener


async def serve_tcp(listen: str, settings: WebSettings, house: House) -> None:
    """The page and the API at ``listen``, until cancelled. ProxyListenerError where that cannot or must not be."""
    async with AsyncExitStack() as stack:
        for family, address in await tcp_addresses(listen, settings.token is not None):
            listener = stack.enter_context(tcp_socket(listen, family, address))
            await stack.enter_async_context(serving(house, listener, guard(settings)))
        log.info("the page is served", listen=listen, token=settings.token is not None)
        await asyncio.Event().wait()
