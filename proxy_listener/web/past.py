"""The routes that ask the journal: readings of a time range, curves of a device's quantities, the whole as lines.

Times come as ISO 8601 or as seconds since 1970; a range is ``[since, until)``. The rule of this file: every answer is
bounded, and what is longer comes as a stream at the pace of the reader.
"""

import math
from collections.abc import Iterable
from datetime import UTC, datetime

from aiohttp import web

from proxy_listener.history import Point, Row
from proxy_listener.model.advertisement import Address, parse_mac
from proxy_listener.model.reading import as_json
from proxy_listener.model.timing import DAY
from proxy_listener.web.documents import text
from proxy_listener.web.house import HOUSE, address_of, opened, refusal, send

READINGS, READINGS_LIMIT = 500, 10_000
POINTS, POINTS_LIMIT = 400, 1_000
"""What is given where nothing is asked for, and at most: a plot of 1,000 points is wider than a screen's column."""

CURVES_LIMIT = 16
"""Curves of one answer; a device has at most about ten quantities."""


FAR = 32_503_680_000.0
"""The year 3000: further off, times are typing errors, and SQLite's arithmetic gets its own ideas."""

CHUNK = 64
"""Lines of an export that are written at once."""


def moment(request: web.Request, name: str) -> float | None:
    """A query parameter that is a time."""
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
    if not 0 <= seconds <= FAR:
        raise refusal(web.HTTPBadRequest, f"{name} is ISO 8601, or seconds since 1970")
    return seconds


def count(request: web.Request, name: str, default: int, limit: int) -> int:
    """A query parameter that is a number from 1 to ``limit``."""
    given = request.query.get(name, str(default))
    if not given.isascii() or not given.isdecimal() or len(given) > 9 or not 1 <= int(given) <= limit:
        raise refusal(web.HTTPBadRequest, f"{name} is a number from 1 to {limit}")
    return int(given)


def _lines(rows: Iterable[Row]) -> list[str]:
    return [as_json(row.reading) for row in rows]


async def readings(request: web.Request) -> web.Response:
    """The newest readings of a device within a range, oldest first."""
    house = request.app[HOUSE]
    ask = house.journal.reader.events if request.query.get("events") == "true" else house.journal.reader.readings
    address, since, until = address_of(request), moment(request, "since"), moment(request, "until")
    limit = count(request, "limit", READINGS, READINGS_LIMIT)
    async with house.questions:
        rows = await ask(address, since, until, limit)
    return web.Response(text=f"[{','.join(_lines(rows))}]", content_type="application/json")


def _measured(request: web.Request, address: Address) -> list[str]:
    """The quantities that are asked for: by name, else all of the device that are numbers."""
    asked = request.query.getall("quantity", [])
    if asked:
        return list(dict.fromkeys(asked))[:CURVES_LIMIT]
    values = request.app[HOUSE].device(address).values
    numbers = [name for name, (value, _) in values.items() if isinstance(value, int | float)]
    return numbers[:CURVES_LIMIT]


def _curve(points: Iterable[Point]) -> list[list[float]]:
    return [[round(p.time), *(float(f"{value:.6g}") for value in (p.low, p.mean, p.high))] for p in points]


async def series(request: web.Request) -> web.Response:
    """Curves: ``[time, least, mean, greatest]`` of each bucket that has any value, time in seconds since 1970."""
    house = request.app[HOUSE]
    address = address_of(request)
    until = moment(request, "until")
    until = house.wall() if until is None else until
    since = moment(request, "since")
    since = until - DAY if since is None else since
    if since >= until:
        raise refusal(web.HTTPBadRequest, "since is before until")
    points = count(request, "points", POINTS, POINTS_LIMIT)
    names = _measured(request, address)
    curves = {}
    for name in names:
        async with house.questions:
            curves[name] = _curve(await house.journal.reader.points(address, name, since, until, points))
    document = {
        "since": since,
        "until": until,
        "width": (until - since) / points,
        "series": curves,
    }
    return web.Response(text=text(document), content_type="application/json")


async def export(request: web.Request) -> web.StreamResponse:
    """Every reading within a range, in order of time, one a line."""
    given = request.query.get("mac")
    try:
        address = None if given is None else parse_mac(given)
    except ValueError:
        raise refusal(web.HTTPBadRequest, "that is not a MAC") from None
    since, until = moment(request, "since"), moment(request, "until")
    response = await opened(request, "application/x-ndjson")
    waiting: list[str] = []
    async for row in request.app[HOUSE].journal.reader.export(address, since, until):
        waiting.append(as_json(row.reading) + "\n")
        if len(waiting) >= CHUNK:
            await send(request, response, "".join(waiting).encode())
            waiting.clear()
    await send(request, response, "".join(waiting).encode())
    return response
