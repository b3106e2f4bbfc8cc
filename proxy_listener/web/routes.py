"""THE TABLE of the API: method, path, handler, and what its description says. Served and described from here."""

from aiohttp import web

from proxy_listener.web import current, live, page, past
from proxy_listener.web.documents import text
from proxy_listener.web.openapi import HTML, LINES, SSE, TEXT, Route, document

RANGE = ("since", "until")


async def description(_request: web.Request) -> web.Response:
    """The description, served."""
    return web.Response(text=text(document(ROUTES)), content_type="application/json")


ROUTES: tuple[Route, ...] = (
    Route("GET", "/status", current.status, "Version, uptime, storage, outcomes, proxies", schema="Status"),
    Route("GET", "/proxies", current.proxies, "Every proxy and its health", schema="[ProxyStatus]"),
    Route("GET", "/devices", current.devices, "Every device and its latest values", schema="[DeviceStatus]"),
    Route("GET", "/devices/{mac}", current.device, "One device", schema="DeviceStatus"),
    Route("GET", "/devices/{mac}/readings", past.readings, "Its newest readings within a range, oldest first",
          schema="[Reading]", query=(*RANGE, "limit", "events")),
    Route("GET", "/devices/{mac}/series", past.series, "Curves of its quantities", schema="Series",
          query=(*RANGE, "points", "quantity")),
    Route("GET", "/devices/{mac}/routes", current.routes, "Who might read it, best first, and why",
          schema="[Candidate]"),
    Route("POST", "/devices/{mac}/read", live.read, "Read it now: progress lines, then the result", LINES,
          schema="ReadLine", body="ReadRequest"),
    Route("GET", "/readings", past.export, "Every reading within a range, one a line", LINES, schema="Reading",
          query=(*RANGE, "mac")),
    Route("GET", "/events", live.events, "Readings from now on; event: reading, unstored or gap", SSE),
    Route("GET", "/capture", live.capture, "Advertisements from now on, as capture lines", LINES, schema="Capture"),
    Route("GET", "/coverage", current.coverage, "What hangs on which proxy", schema="Coverage"),
    Route("GET", "/quantities", current.quantities, "The unit of each quantity that is a number", schema="Units"),
    Route("GET", "/healthz", current.healthz, "Whether readings flow: 200, or 503 with the cause", schema="Health"),
    Route("GET", "/metrics", current.metrics, "Prometheus' text", TEXT),
    Route("GET", "/openapi.json", description, "This description", schema="OpenAPI"),
    Route("GET", "/", page.index, media=HTML),
    Route("GET", "/assets/{name}", page.asset, media="*/*"),
    Route("GET", "/login", page.form, media=HTML),
    Route("POST", "/login", page.login, media=HTML),
)  # fmt: skip
