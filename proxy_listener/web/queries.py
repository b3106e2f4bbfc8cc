"""The handlers that answer with one document: the present state from the view, the past from the journal.

Times in a query are ISO 8601 or seconds since 1970; a range is ``[since, until)``. Every answer is bounded; what is
longer is a stream (:mod:`proxy_listener.web.streams`).
"""

import math
import os
import time
from collections.abc import Iterable
from datetime import UTC, datetime

from aiohttp import web

from proxy_listener import __version__
from proxy_listener.history import Point
from proxy_listener.model.advertisement import Address
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.reading import as_json
from proxy_listener.model.status import NOT_EXPECTED, ProxyState
from proxy_listener.model.timing import DAY
from proxy_listener.web.context import CONTEXT, address_of, answer, refusal
from proxy_listener.web.documents import Health, Series, Status, plain

READINGS, READINGS_LIMIT = 500, 10_000
"""Readings of one answer: by default, and at most."""

POINTS, POINTS_LIMIT = 400, 1_000
"""Buckets of a curve: by default, and at most. The page draws a plot at most 620 pixels wide."""

CURVES_LIMIT = 16
"""Curves of one answer; a device has about ten quantities at most."""

LATEST_TIME = 32_503_680_000.0
"""The year 3000: later times are typing errors, and would overflow SQLite's integer arithmetic."""


async def status(request: web.Request) -> web.Response:
    """The state of the service."""
    context = request.app[CONTEXT]
    document = Status(
        version=__version__,
        pid=os.getpid(),
        uptime=round(time.monotonic() - context.started, 1),
        storage=context.journal.storage,
        outcomes=context.view.outcomes(),
        skipped=context.view.skipped(),
        proxies=context.view.proxies(),
        admissions=context.view.admissions(),
        dial_in=context.view.dial_in(),
    )
    return answer(plain(document))


async def proxies(request: web.Request) -> web.Response:
    """Every proxy."""
    return answer(plain(request.app[CONTEXT].view.proxies()))


async def devices(request: web.Request) -> web.Response:
    """Every device."""
    return answer(await request.app[CONTEXT].documents())


async def device(request: web.Request) -> web.Response:
    """One device."""
    context = request.app[CONTEXT]
    return answer(await context.document(context.device(address_of(request))))


async def newcomers(request: web.Request) -> web.Response:
    """Devices without an entry that were heard and are not admitted yet."""
    return answer(plain(request.app[CONTEXT].actions.newcomers()))


async def admit(request: web.Request) -> web.Response:
    """Admit a device, heard or not."""
    context = request.app[CONTEXT]
    address = address_of(request)
    if context.actions.admit is None:
        raise refusal(web.HTTPNotImplemented, "this service admits no devices")
    try:
        context.actions.admit(address)
    except ProxyListenerError as error:
        raise refusal(web.HTTPConflict, str(error)) from None
    return answer(await context.document(context.device(address)))


async def reload(request: web.Request) -> web.Response:
    """Read the configuration again."""
    action = request.app[CONTEXT].actions.reload
    if action is None:
        raise refusal(web.HTTPNotImplemented, "the configuration is read again through the control socket only")
    try:
        return answer(plain(await action()))
    except ProxyListenerError as error:
        raise refusal(web.HTTPConflict, str(error)) from None


async def quantities(request: web.Request) -> web.Response:
    """The unit of each quantity that is a number."""
    return answer(dict(request.app[CONTEXT].actions.units))


async def routes(request: web.Request) -> web.Response:
    """The proxies that could read the device, best first, with reasons; 409 where nothing reads it."""
    context = request.app[CONTEXT]
    address = address_of(request)
    found = context.device(address)
    if not found.readable:
        why = f"{found.model} is not read over a connection" if found.model else "it was not heard yet"
        raise refusal(web.HTTPConflict, f"{found.name} has no routes: {why}")
    return answer(plain(context.actions.route(address)))


async def coverage(request: web.Request) -> web.Response:
    """What depends on which proxy."""
    action = request.app[CONTEXT].actions.coverage
    if action is None:
        raise refusal(web.HTTPNotImplemented, "this service keeps no record of hearing")
    return answer(plain(await action()))


async def healthz(request: web.Request) -> web.Response:
    """200 while readings can be stored and a proxy streams, otherwise 503. Of a history that was harmed and mended, the
    cause says so while it is 200.
    """
    context = request.app[CONTEXT]
    states = {proxy.state for proxy in context.view.proxies()} - NOT_EXPECTED
    cause = ""
    if not context.journal.storage.ok:
        cause = "readings cannot be stored; /status says why"
    elif states and not states & {ProxyState.LIVE, ProxyState.CONNECTING}:
        cause = "no proxy streams to the service; /proxies says why"
    return answer(Health(ok=not cause, cause=cause or context.journal.alarm or ""), 503 if cause else 200)


async def metrics(request: web.Request) -> web.Response:
    """Metrics in Prometheus' text format."""
    action = request.app[CONTEXT].actions.metrics
    if action is None:
        raise refusal(
            web.HTTPNotImplemented, "there are no metrics: add a table [sink.prometheus] to devices.toml, and reload"
        )
    content_type, body = action()
    return web.Response(body=body, headers={"Content-Type": content_type})


def time_parameter(request: web.Request, name: str) -> float | None:
    """A query parameter that is a time; 400 if it is not one."""
    given = request.query.get(name)
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        try:
            at = datetime.fromisoformat(given)
            seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            seconds = math.nan
    if not 0 <= seconds <= LATEST_TIME:
        raise refusal(web.HTTPBadRequest, f"{name} is ISO 8601, or seconds since 1970")
    return seconds


def _count_parameter(request: web.Request, name: str, default: int, limit: int) -> int:
    given = request.query.get(name, str(default))
    if not given.isascii() or not given.isdecimal() or len(given) > 9 or not 1 <= int(given) <= limit:
        raise refusal(web.HTTPBadRequest, f"{name} is a number from 1 to {limit}")
    return int(given)


async def readings(request: web.Request) -> web.Response:
    """The newest readings of a device within a range, oldest first."""
    context = request.app[CONTEXT]
    reader = context.journal.reader
    query = reader.events if request.query.get("events") == "true" else reader.readings
    address, since, until = address_of(request), time_parameter(request, "since"), time_parameter(request, "until")
    limit = _count_parameter(request, "limit", READINGS, READINGS_LIMIT)
    async with context.queries:
        rows = await query(address, since, until, limit)
    lines = ",".join(as_json(row.reading) for row in rows)
    return web.Response(text=f"[{lines}]", content_type="application/json")


def _quantities(request: web.Request, address: Address) -> list[str]:
    """The quantities that the query names, by default all of the device that are numbers."""
    named = request.query.getall("quantity", [])
    if named:
        return list(dict.fromkeys(named))[:CURVES_LIMIT]
    values = request.app[CONTEXT].device(address).values
    numbers = [name for name, (value, _) in values.items() if isinstance(value, int | float)]
    return numbers[:CURVES_LIMIT]


def _curve(points: Iterable[Point]) -> list[list[float]]:
    return [[round(p.time), *(float(f"{value:.6g}") for value in (p.low, p.mean, p.high))] for p in points]


async def series(request: web.Request) -> web.Response:
    """Curves: one point for each bucket that has a value."""
    context = request.app[CONTEXT]
    address = address_of(request)
    until = time_parameter(request, "until")
    until = context.wall() if until is None else until
    since = time_parameter(request, "since")
    since = until - DAY if since is None else since
    if since >= until:
        raise refusal(web.HTTPBadRequest, "since is before until")
    points = _count_parameter(request, "points", POINTS, POINTS_LIMIT)
    curves = {}
    for name in _quantities(request, address):
        async with context.queries:
            curves[name] = _curve(await context.journal.reader.points(address, name, since, until, points))
    return answer(Series(since=since, until=until, width=(until - since) / points, series=curves))
