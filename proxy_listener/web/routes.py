"""The table of the API's routes: each is served, and described in ``/openapi.json``, from its row here."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from proxy_listener.engine.coverage import Coverage
from proxy_listener.model.reading import Reading
from proxy_listener.model.status import DeviceStatus, Newcomer, ProxyStatus, Reloaded
from proxy_listener.reads import Candidate
from proxy_listener.web import page, queries, streams
from proxy_listener.web.context import answer
from proxy_listener.web.documents import CaptureLine, Health, ReadLine, ReadRequest, Series, Status
from proxy_listener.web.openapi import HTML, LINES, SSE, TEXT, ApiRoute, description

RANGE = ("since", "until")


async def openapi(_request: web.Request) -> web.Response:
    """The description of the API."""
    return answer(description(ROUTES))


ROUTES: tuple[ApiRoute, ...] = (
    ApiRoute("GET", "/status", queries.status, "Version, uptime, storage, outcomes, proxies", returns=Status),
    ApiRoute("GET", "/proxies", queries.proxies, "Every proxy and its state", returns=Sequence[ProxyStatus]),
    ApiRoute("GET", "/devices", queries.devices, "Every device and its latest values", returns=Sequence[DeviceStatus]),
    ApiRoute("GET", "/devices/{mac}", queries.device, "One device", returns=DeviceStatus),
    ApiRoute("GET", "/devices/{mac}/readings", queries.readings, "Its newest readings within a range, oldest first",
             returns=Sequence[Reading], query=(*RANGE, "limit", "events")),
    ApiRoute("GET", "/devices/{mac}/series", queries.series, "Curves of its quantities", returns=Series,
             query=(*RANGE, "points", "quantity")),
    ApiRoute("GET", "/devices/{mac}/routes", queries.routes, "The proxies that could read it, best first, and why",
             returns=Sequence[Candidate]),
    ApiRoute("POST", "/devices/{mac}/read", streams.read, "Read it now: progress lines, then the result", LINES,
             returns=ReadLine, body=ReadRequest),
    ApiRoute("GET", "/newcomers", queries.newcomers, "Devices without an entry that are not admitted yet",
             returns=Sequence[Newcomer]),
    ApiRoute("POST", "/devices/{mac}/admit", queries.admit, "Admit a device without an entry", returns=DeviceStatus),
    ApiRoute("GET", "/readings", streams.readings, "Every reading within a range, one per line", LINES,
             returns=Reading, query=(*RANGE, "mac")),
    ApiRoute("GET", "/events", streams.events, "Readings from now on; event: reading, unstored or gap", SSE),
    ApiRoute("GET", "/capture", streams.capture, "Advertisements from now on, as capture lines", LINES,
             returns=CaptureLine),
    ApiRoute("GET", "/coverage", queries.coverage, "What depends on which proxy", returns=Coverage),
    ApiRoute("GET", "/quantities", queries.quantities, "The unit of each quantity that is a number",
             returns=Mapping[str, str]),
    ApiRoute("POST", "/reload", queries.reload, "Read the configuration again", returns=Reloaded),
    ApiRoute("GET", "/healthz", queries.healthz, "Whether readings are heard and stored: 200, or 503 with the cause",
             returns=Health),
    ApiRoute("GET", "/metrics", queries.metrics, "Metrics in Prometheus' text format", TEXT),
    ApiRoute("GET", "/openapi.json", openapi, "This description", returns=Mapping[str, Any]),
    ApiRoute("GET", "/", page.index, media=HTML),
    ApiRoute("GET", "/assets/{name}", page.asset, media="*/*"),
    ApiRoute("GET", "/login", page.form, media=HTML),
    ApiRoute("POST", "/login", page.login, media=HTML),
)  # fmt: skip
