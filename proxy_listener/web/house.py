"""What every handler of the API works with, and where it finds it."""

import asyncio
import time
from collections.abc import Callable

import attrs
from aiohttp import web

from proxy_listener.history import Journal
from proxy_listener.model.advertisement import Address, parse_mac
from proxy_listener.model.reading import Reading
from proxy_listener.model.secret import Secret
from proxy_listener.model.status import DeviceStatus, View
from proxy_listener.web.actions import Actions
from proxy_listener.web.documents import text

STREAMS_LIMIT = 32
"""Clients of ``/events`` at a time (facts: threats-and-faults, H5)."""

CAPTURES_LIMIT = 4
"""Clients of ``/capture`` at a time: each one gets every advertisement of the house."""


QUESTIONS_LIMIT = 4
"""Questions to the journal at a time: the threads that answer them answer the durable sinks too."""

STUCK_TIMEOUT = 10.0
"""Seconds (facts: threats-and-faults, H5)."""

BODY_TIMEOUT = 5.0
"""Seconds within which a request's body has come: all have less than a packet's bytes."""


@attrs.define
class Places:
    """How many clients a kind of stream may have, and how many it has."""

    limit: int
    taken: int = 0

    def __enter__(self) -> None:
        if self.taken >= self.limit:
            raise refusal(web.HTTPServiceUnavailable, f"all {self.limit} places of this stream are taken")
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.taken -= 1


@attrs.frozen
class House:
    """The view, the journal, the actions; ``token`` where one is asked for; the clock of the wall, for ages; how many
    seconds a client may take nothing.
    """

    view: View
    journal: Journal
    actions: Actions
    token: Secret | None = None
    wall: Callable[[], float] = time.time
    stuck: float = STUCK_TIMEOUT
    started: float = attrs.field(factory=time.monotonic)
    streams: Places = attrs.field(factory=lambda: Places(STREAMS_LIMIT))
    captures: Places = attrs.field(factory=lambda: Places(CAPTURES_LIMIT))
    questions: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(QUESTIONS_LIMIT))

    def device(self, address: Address) -> DeviceStatus:
        """The device with this MAC; answers 404 where there is none."""
        for device in self.view.devices():
            if device.mac == address:
                return device
        raise refusal(web.HTTPNotFound, "no such device")

    async def happened(self) -> dict[Address, Reading]:
        """Device -> the reading of its last event."""
        async with self.questions:
            return {mac: row.reading for mac, row in (await self.journal.reader.last_events()).items()}


HOUSE = web.AppKey("HOUSE", House)


def refusal(kind: type[web.HTTPError], message: str) -> web.HTTPError:
    """The error answer of a route: ``message`` is for people and names no internals."""
    return kind(text=message)


def answer(document: object) -> web.Response:
    """A document as the body."""
    return web.Response(text=text(document), content_type="application/json")


def address_of(request: web.Request) -> Address:
    """The path's ``{mac}``; answers 400 where it is none."""
    try:
        return parse_mac(request.match_info["mac"])
    except ValueError:
        raise refusal(web.HTTPBadRequest, "that is not a MAC") from None


async def body_of(request: web.Request, media: str) -> bytes:
    """The request's body; answers 415 where it is something else, 408 where it does not come."""
    if request.content_type != media:
        raise refusal(web.HTTPUnsupportedMediaType, f"the body is {media}")
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await request.read()
    except TimeoutError:
        raise refusal(web.HTTPRequestTimeout, "the body did not come") from None


async def opened(request: web.Request, media: str) -> web.StreamResponse:
    """An answer that goes on, of which the headers are sent."""
    response = web.StreamResponse(headers={"Content-Type": media, "X-Accel-Buffering": "no"})
    await response.prepare(request)
    return response


async def send(request: web.Request, response: web.StreamResponse, chunk: bytes) -> None:
    """Writes it; ConnectionError where the client is gone, or takes nothing and therefore has to go."""
    try:
        async with asyncio.timeout(request.app[HOUSE].stuck):
            await response.write(chunk)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the client takes nothing") from None
