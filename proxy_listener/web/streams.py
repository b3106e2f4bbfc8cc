"""Answers that last: an open response to write to, and the one way to write to it.

The rule of this file: a client that takes nothing for 10 s is closed, so that nobody's sleep holds memory or a place.
"""

import asyncio

from aiohttp import web

STUCK_TIMEOUT = 10.0
"""Facts: threats-and-faults, H5."""


async def opened(request: web.Request, media: str) -> web.StreamResponse:
    """A response of which the headers are sent."""
    response = web.StreamResponse(headers={"Content-Type": media, "X-Accel-Buffering": "no"})
    await response.prepare(request)
    return response


async def send(request: web.Request, response: web.StreamResponse, chunk: bytes) -> None:
    """Writes it; ConnectionError where the client is gone or takes nothing."""
    try:
        async with asyncio.timeout(STUCK_TIMEOUT):
            await response.write(chunk)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the client takes nothing") from None
