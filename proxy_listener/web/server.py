"""Listening sockets -> served routes: the control socket always, TCP where configured.

No client can stall the service or lock out other clients: a connection without a complete request is closed after 5 s,
at the limit the connection that has been without a request for longest is closed for a new one, and a client that reads
nothing for 10 s is disconnected (docs/protocol/threats.md#h5).
"""

import asyncio
import errno
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.settings import WebSettings
from proxy_listener.web.context import CONTEXT, STUCK_TIMEOUT, WebContext
from proxy_listener.web.control import BACKLOG
from proxy_listener.web.guard import Handler, errors, guard, headers
from proxy_listener.web.routes import ROUTES

log = structlog.get_logger()

CONNECTIONS_LIMIT = 128
"""Connections of one listening socket (docs/protocol/threats.md#h5)."""

HEADER_TIMEOUT = 5.0
"""Seconds for a request's headers to arrive (docs/protocol/threats.md#h5)."""

ACCEPT_PAUSE = 1.0
"""Seconds until the next try when there is no file descriptor for a connection; asyncio's servers wait as long."""

BODY_LIMIT = 16_384
"""Bytes of a request's body: the largest valid one is ``{"history": true}``, or the form with its token."""

SHUTDOWN_TIMEOUT = 0.2
"""Seconds for streams to end when the service stops; the whole service has two."""

_silent = logging.getLogger("proxy_listener.web.aiohttp")
_silent.setLevel(logging.CRITICAL)
"""aiohttp logs a traceback for each malformed request, and anyone on the network can send thousands of them."""


class ConnectionLimit:
    """Accepts connections for an aiohttp server, at most ``limit`` at a time.

    At the limit a new connection replaces the one that has been without a request for longest; if every connection has
    a request in progress, the new one is closed.
    """

    def __init__(self, limit: int = CONNECTIONS_LIMIT) -> None:
        self._limit = limit
        self._idle: list[RequestHandler] = []  # longest first

    async def accept(self, listener: socket.socket, server: web.Server) -> None:
        """Accept connections until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except ConnectionError:  # the client has gone
                await asyncio.sleep(0)
                continue
            except OSError as error:
                log.warning("a connection could not be accepted", error=error.strerror)
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            if self._make_room(server):
                await self._connect(connection, server())
            else:
                connection.close()
                await asyncio.sleep(0)  # sock_accept does not suspend while connections wait in the backlog

    async def _connect(self, connection: socket.socket, handler: RequestHandler) -> None:
        self._idle.append(handler)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: handler, connection)

    def _make_room(self, server: web.Server) -> bool:
        open_connections = {handler for handler in server.connections if handler.transport is not None}
        self._idle = [handler for handler in self._idle if handler in open_connections]
        if len(open_connections) < self._limit:
            return True
        if not self._idle:
            return False
        transport = self._idle.pop(0).transport
        assert transport is not None
        transport.abort()
        return True

    def middleware(self) -> Any:
        """Marks a connection as busy while its request is handled."""

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.protocol in self._idle:
                self._idle.remove(request.protocol)
            try:
                return await handler(request)
            finally:
                self._idle.append(request.protocol)

        return middleware


def application(context: WebContext, *middlewares: Any) -> web.Application:
    """The routes, behind these middlewares."""
    app = web.Application(middlewares=middlewares, client_max_size=BODY_LIMIT)
    app[CONTEXT] = context
    app.on_response_prepare.append(headers)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.handler)
    return app


@asynccontextmanager
async def serving(
    context: WebContext,
    listener: socket.socket,
    *middlewares: Any,
    limit: int = CONNECTIONS_LIMIT,
    header_timeout: float = HEADER_TIMEOUT,
) -> AsyncIterator[asyncio.Task[None]]:
    """Serve the routes inside the block, then close the listening socket. Gives the task that accepts connections."""
    connections = ConnectionLimit(limit)
    # Until its first request aiohttp counts a connection as kept alive, so that timeout covers the headers as well.
    runner = web.AppRunner(
        application(context, connections.middleware(), errors, *middlewares),
        access_log=None,
        logger=_silent,
        keepalive_timeout=header_timeout,
        shutdown_timeout=SHUTDOWN_TIMEOUT,
        handler_cancellation=True,
    )
    await runner.setup()
    assert runner.server is not None
    accepting = asyncio.create_task(connections.accept(listener, runner.server))
    try:
        yield accepting
    finally:
        accepting.cancel()
        await asyncio.wait([accepting])
        listener.close()
        await runner.cleanup()


async def serve_control(listener: socket.socket, context: WebContext) -> None:
    """Serve the routes at the control socket until cancelled."""
    async with serving(context, listener) as accepting:
        await accepting


_CURES: Mapping[int, str] = {
    errno.EADDRINUSE: "; another program has this port: give [web] listen another one, or end that program",
    errno.EADDRNOTAVAIL: "; this machine does not have this address: 0.0.0.0 is all of its addresses",
    errno.EACCES: "; ports below 1024 are for root: give [web] listen a higher one",
}
"""What to do about an address that cannot be bound."""


def _split(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise ProxyListenerError(f"[web] listen: {listen!r} is not host:port")
    return host.strip("[]"), int(port)


async def tcp_addresses(listen: str, token_set: bool) -> Sequence[tuple[socket.AddressFamily, Any]]:
    """The socket addresses of ``host:port``.

    ProxyListenerError: it cannot be resolved, or is reachable from the network and there is no token.
    """
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
    """A listening socket. ProxyListenerError if the address cannot be bound."""
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
            cure = _CURES.get(error.errno or 0, "")
            raise ProxyListenerError(f"[web] listen: {listen}: {error.strerror or error}{cure}") from error
        yield listener


async def serve_tcp(listen: str, settings: WebSettings, context: WebContext) -> None:
    """Serve the page and the API at ``listen`` until cancelled. ProxyListenerError if that is impossible or unsafe."""
    async with AsyncExitStack() as stack:
        accepting = []
        for family, address in await tcp_addresses(listen, settings.token is not None):
            listener = stack.enter_context(tcp_socket(listen, family, address))
            accepting.append(await stack.enter_async_context(serving(context, listener, guard(settings))))
        log.info("the page is served", listen=listen, token=settings.token is not None)
        await asyncio.gather(*accepting)
