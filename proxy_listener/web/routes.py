"""THE TABLE of the API: method, path, handler, and what its description says. Served and described from here."""

from collections.abc import Awaitable, Callable

import attrs
from aiohttp import web

from proxy_listener.web import current


@attrs.frozen
class Route:
    """One route. ``media`` is what a success answers with, ``schema`` the name of its schema."""

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str
    media: str = "application/json"
    schema: str | None = None


ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/status", current.status, "The service: version, uptime, storage, outcomes, proxies", schema="Status"
    ),
    Route("GET", "/proxies", current.proxies, "Every proxy and its health", schema="Proxies"),
    Route("GET", "/devices", current.devices, "Every device and its latest values", schema="Devices"),
    Route("GET", "/devices/{mac}", current.device, "One device", schema="Device"),
    Route("GET", "/devices/{mac}/routes", current.routes, "Who might read it, best first, and why", schema="Routes"),
    Route("GET", "/coverage", current.coverage, "What hangs on which proxy", schema="Coverage"),
    Route("GET", "/healthz", current.healthz, "Whether readings flow", schema="Health"),
    Route("GET", "/metrics", current.metrics, "Prometheus' text", media="text/plain"),
)
