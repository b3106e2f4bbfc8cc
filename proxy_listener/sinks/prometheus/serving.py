"""Metrics at a port of their own.

The rule of this file: with a token only who has it is answered, and without one only who asks this machine by its own
name, so that no page in a browser reads them by a name that points here (DNS rebinding).
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.text import loopback, split_endpoint
from proxy_listener.sinks.prometheus.metrics import Metrics
from proxy_listener.sinks.prometheus.settings import Settings

log = structlog.get_logger()


async def serve(settings: Settings, metrics: Metrics) -> None:
    """Until cancelled. ProxyListenerError where the port cannot be had."""
    bound = split_endpoint(settings.listen or "")
    assert bound is not None

    async def answer(_request: web.Request) -> web.Response:
        content_type, body = metrics.exposition()
        return web.Response(body=body, headers={"Content-Type": content_type, "X-Content-Type-Options": "nosniff"})

    app = web.Application(middlewares=[_guard(settings)])
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=5.0, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, *bound).start()
        log.info("metrics are served", listen=settings.listen, token=settings.token is not None)
        await asyncio.Event().wait()
    except OSError as error:
        text = error.strerror or str(error)
        raise ProxyListenerError(f"[sink.prometheus] listen: {settings.listen}: {text}") from error
    finally:
        await runner.cleanup()


def _guard(settings: Settings) -> Any:
    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if settings.token is not None:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            expected = settings.token.reveal().encode()
            if scheme.lower() != "bearer" or not hmac.compare_digest(
                given.strip().encode("utf-8", "surrogateescape"), expected
            ):
                raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        elif not loopback(_host(request.headers.get("Host", ""))):
            raise web.HTTPMisdirectedRequest
        return await handler(request)

    return middleware


def _host(header: str) -> str:
    return header[1:].partition("]")[0] if header.startswith("[") else header.partition(":")[0]
