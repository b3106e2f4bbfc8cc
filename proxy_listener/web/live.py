"""The routes that go on: live readings, the capture stream, an active read with its progress.

::

    /events               Server-Sent Events:  event: reading, id: row, data: the reading's JSON
                                               event: unstored             the same while the storage fails
                                               event: gap, data: {"lost": n}    n readings were dropped for this client
    /capture              one capture line each (DESIGN, section 3)
    POST .../read         {"progress": {...}} lines, then one {"result": {...}}
"""

import asyncio
import json
from collections import deque
from contextlib import aclosing

from aiohttp import web

from proxy_listener.history import Feed, Row
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.reading import as_json
from proxy_listener.web.actions import Values
from proxy_listener.web.documents import Document, plain, text
from proxy_listener.web.house import HOUSE, address_of, body_of, opened, refusal, send

EVENTS_LIMIT = 256
"""Readings that wait for one slow client of ``/events`` (facts: threats-and-faults, H5)."""

HEARTBEAT = 15.0
"""Seconds after which a quiet stream says that it lives: proxies on the way close what is idle for a minute."""

STEPS_LIMIT = 64
"""Steps of a read that wait for a slow client; the newest are what counts."""


def _event(row: Row) -> str:
    kind = "reading" if row.stored else "unstored"
    return f"event: {kind}\nid: {row.id}\ndata: {as_json(row.reading)}\n\n"


async def _next(feed: Feed) -> list[Row] | None:
    """What waits in the feed, empty after a quiet while; None when the feed has ended."""
    try:
        async with asyncio.timeout(HEARTBEAT):
            first = await anext(feed)
    except TimeoutError:
        return []
    except StopAsyncIteration:
        return None
    return [first, *feed.take()]


async def events(request: web.Request) -> web.StreamResponse:
    """Every reading from now on, once it is committed."""
    house = request.app[HOUSE]
    with house.streams, house.journal.feed(EVENTS_LIMIT) as feed:
        response = await opened(request, "text/event-stream")
        await send(request, response, b"retry: 3000\n\n")
        told = 0
        while (rows := await _next(feed)) is not None:
            lost = feed.lost
            gap = f'event: gap\ndata: {{"lost":{lost - told}}}\n\n' if lost > told else ""
            told = lost
            chunk = gap + "".join(map(_event, rows))
            await send(request, response, chunk.encode() or b": quiet\n\n")
    return response


async def capture(request: web.Request) -> web.StreamResponse:
    """Every advertisement from now on, as capture lines."""
    house = request.app[HOUSE]
    if house.actions.stream is None:
        raise refusal(web.HTTPNotImplemented, "this service gives no capture")
    with house.captures:
        async with aclosing(house.actions.stream()) as lines:
            response = await opened(request, "application/x-ndjson")
            async for line in lines:
                await send(request, response, line.encode() + b"\n")
    return response


async def _wants_history(request: web.Request) -> bool:
    """What the body says: nothing, or ``{"history": true}``."""
    if not request.can_read_body:
        return False
    try:
        document = json.loads(await body_of(request, "application/json"))
    except (ValueError, RecursionError):
        raise refusal(web.HTTPBadRequest, "the body is not JSON") from None
    history = document.get("history", False) if isinstance(document, dict) else None
    if not isinstance(history, bool) or document.keys() - {"history"}:
        raise refusal(web.HTTPBadRequest, 'the body is {"history": true} or {"history": false}')
    return history


class _Steps:
    """What a read tells, for the client to take; the end of the read wakes the client too."""

    def __init__(self) -> None:
        self._waiting: deque[Values] = deque(maxlen=STEPS_LIMIT)
        self._something = asyncio.Event()

    def tell(self, step: Values) -> None:
        self._waiting.append(step)
        self._something.set()

    def end(self, _task: object) -> None:
        self._something.set()

    def more(self, task: asyncio.Task[Document]) -> bool:
        return bool(self._waiting) or not task.done()

    async def take(self) -> list[Values]:
        await self._something.wait()
        self._something.clear()
        steps = list(self._waiting)
        self._waiting.clear()
        return steps


async def read(request: web.Request) -> web.StreamResponse:
    """Reads the device now. A client that goes away ends the read."""
    house = request.app[HOUSE]
    address = address_of(request)
    house.device(address)
    action = house.actions.read
    if action is None:
        raise refusal(web.HTTPNotImplemented, "this service makes no active reads")
    history = await _wants_history(request)
    steps = _Steps()
    response = await opened(request, "application/x-ndjson")

    async def result() -> Document:
        try:
            report: Document = plain(await action(address, history, steps.tell))
        except ProxyListenerError as error:
            return {"ok": False, "detail": str(error), "attempts": [], "values": {}}
        return report

    task = asyncio.create_task(result())
    task.add_done_callback(steps.end)
    try:
        while steps.more(task):
            for step in await steps.take():
                await send(request, response, text({"progress": plain(step)}).encode() + b"\n")
        await send(request, response, text({"result": await task}).encode() + b"\n")
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
    return response
