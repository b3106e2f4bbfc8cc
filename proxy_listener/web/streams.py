"""The handlers that answer with a stream: live readings, captures, an export, a read with its progress.

::

    /events               Server-Sent Events:  event: reading, id: row, data: the reading's JSON
                                               event: unstored             the same while the storage fails
                                               event: gap, data: {"lost": n}    n readings were dropped for this client
    /capture              one capture line per advertisement
    /readings             one reading per line
    POST .../read         {"progress": {...}} lines, then one {"result": {...}}
"""

import asyncio
import json
from contextlib import aclosing

from aiohttp import web

from proxy_listener.history import Feed, Row
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.reading import as_json
from proxy_listener.reads import Progress, ReadOptions, ReadReport
from proxy_listener.web.context import CONTEXT, address_of, body_of, parse_address, refusal
from proxy_listener.web.documents import ReadLine, plain, text
from proxy_listener.web.queries import time_parameter

EVENTS_LIMIT = 256
"""Readings that wait for one slow client of ``/events`` (docs/protocol/threats.md#h5)."""

HEARTBEAT = 15.0
"""Seconds after which a quiet stream sends a comment: HTTP proxies close connections that are idle for a minute."""

STEPS_LIMIT = 64
"""Steps of a read that wait for a slow client; the oldest are dropped."""

READ_FLAGS = {"history", "set_clock"}
"""What the body of a read may ask for."""

CHUNK = 64
"""Lines of an export that are written at once."""


async def _start(request: web.Request, media: str) -> web.StreamResponse:
    """A stream whose headers are sent."""
    response = web.StreamResponse(headers={"Content-Type": media, "X-Accel-Buffering": "no"})
    await response.prepare(request)
    return response


async def _send(request: web.Request, response: web.StreamResponse, chunk: str) -> None:
    """Write to a stream; ConnectionError if the client is gone, or read nothing for so long that it is disconnected."""
    try:
        async with asyncio.timeout(request.app[CONTEXT].stuck):
            await response.write(chunk.encode())
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the client takes nothing") from None


def _event(row: Row) -> str:
    kind = "reading" if row.stored else "unstored"
    return f"event: {kind}\nid: {row.id}\ndata: {as_json(row.reading)}\n\n"


async def _next(feed: Feed) -> list[Row] | None:
    """What waits in the feed, empty after ``HEARTBEAT``; None when the feed has ended."""
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
    context = request.app[CONTEXT]
    with context.streams, context.journal.feed(EVENTS_LIMIT) as feed:
        response = await _start(request, "text/event-stream")
        await _send(request, response, "retry: 3000\n\n")
        reported = 0
        while (rows := await _next(feed)) is not None:
            lost = feed.lost
            gap = f'event: gap\ndata: {{"lost":{lost - reported}}}\n\n' if lost > reported else ""
            reported = lost
            await _send(request, response, gap + "".join(map(_event, rows)) or ": quiet\n\n")
    return response


async def capture(request: web.Request) -> web.StreamResponse:
    """Every advertisement from now on, as capture lines."""
    context = request.app[CONTEXT]
    if context.actions.stream is None:
        raise refusal(web.HTTPNotImplemented, "this service gives no capture")
    with context.captures:
        async with aclosing(context.actions.stream()) as lines:
            response = await _start(request, "application/x-ndjson")
            async for line in lines:
                await _send(request, response, line + "\n")
    return response


async def readings(request: web.Request) -> web.StreamResponse:
    """Every reading within a range, of all devices or of one, by time."""
    given = request.query.get("mac")
    address = None if given is None else parse_address(given)
    since, until = time_parameter(request, "since"), time_parameter(request, "until")
    response = await _start(request, "application/x-ndjson")
    waiting: list[str] = []
    async for row in request.app[CONTEXT].journal.reader.export(address, since, until):
        waiting.append(as_json(row.reading) + "\n")
        if len(waiting) >= CHUNK:
            await _send(request, response, "".join(waiting))
            waiting.clear()
    await _send(request, response, "".join(waiting))
    return response


async def _read_options(request: web.Request) -> ReadOptions:
    """What the body asks for: nothing, or flags such as ``{"history": true}``."""
    if not request.can_read_body:
        return ReadOptions()
    try:
        document = json.loads(await body_of(request, "application/json"))
    except (ValueError, RecursionError):
        raise refusal(web.HTTPBadRequest, "the body is not JSON") from None
    flags = document if isinstance(document, dict) else {"": None}
    if flags.keys() - READ_FLAGS or not all(isinstance(flag, bool) for flag in flags.values()):
        raise refusal(web.HTTPBadRequest, 'the body is {"history": true} or {"set_clock": true}, or has both flags')
    return ReadOptions(**flags)


async def read(request: web.Request) -> web.StreamResponse:
    """Read the device now. A client that disconnects ends the read."""
    context = request.app[CONTEXT]
    address = address_of(request)
    context.device(address)
    action = context.actions.read
    if action is None:
        raise refusal(web.HTTPNotImplemented, "this service makes no active reads")
    options = await _read_options(request)
    response = await _start(request, "application/x-ndjson")
    steps: asyncio.Queue[Progress | None] = asyncio.Queue()  # None when the read has ended

    def add(step: Progress) -> None:
        if steps.qsize() >= STEPS_LIMIT:
            steps.get_nowait()
        steps.put_nowait(step)

    async def report() -> ReadReport:
        try:
            return await action(address, options, add)
        except ProxyListenerError as error:
            return ReadReport(False, str(error))

    async def send_line(line: ReadLine) -> None:
        await _send(request, response, text(plain(line)) + "\n")

    task = asyncio.create_task(report())
    task.add_done_callback(lambda _task: steps.put_nowait(None))
    try:
        while (step := await steps.get()) is not None:
            await send_line(ReadLine(progress=step))
        await send_line(ReadLine(result=await task))
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
    return response
