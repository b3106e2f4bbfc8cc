"""What every handler works with: the context, and how it reads requests and answers them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from secrets import token_hex

import attrs
from aiohttp import web

from proxy_listener.history import Journal
from proxy_listener.model.advertisement import Address, parse_mac
from proxy_listener.model.rate import GuessLimit
from proxy_listener.model.reading import Reading, timestamp
from proxy_listener.model.secret import Secret
from proxy_listener.model.status import DeviceStatus, View
from proxy_listener.web.documents import Document, KeptFrames, device_document, text
from proxy_listener.web.interface import Actions

STREAMS_LIMIT = 32
"""Clients of ``/events`` at a time (docs/protocol/threats.md#h5)."""

CAPTURES_LIMIT = 4
"""Clients of ``/capture`` at a time: each one is sent every advertisement."""

QUERIES_LIMIT = 4
"""Queries of the journal at a time: the threads that run them also serve the durable sinks."""

STUCK_TIMEOUT = 10.0
"""Seconds after which a client that reads nothing is disconnected (docs/protocol/threats.md#h5)."""

BODY_TIMEOUT = 5.0
"""Seconds for a request's body to arrive: the time for headers; every valid body fits into one packet."""


@attrs.define
class Places:
    """Limits the clients of one kind of stream: one more than ``limit`` is answered 503."""

    limit: int
    taken: int = 0

    def __enter__(self) -> None:
        if self.taken >= self.limit:
            raise refusal(web.HTTPServiceUnavailable, f"all {self.limit} places of this stream are taken")
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.taken -= 1


@attrs.frozen
class WebContext:
    """What handlers may use. ``token``: None if none is required; ``salt`` goes into its cookie. ``stuck``: see
    ``STUCK_TIMEOUT``.
    """

    view: View
    journal: Journal
    actions: Actions
    token: Secret | None = None
    wall: Callable[[], float] = time.time
    stuck: float = STUCK_TIMEOUT
    started: float = attrs.field(factory=time.monotonic)
    salt: str = attrs.field(factory=lambda: token_hex(16), repr=False)
    guesses: GuessLimit = attrs.field(factory=GuessLimit)
    streams: Places = attrs.field(factory=lambda: Places(STREAMS_LIMIT))
    captures: Places = attrs.field(factory=lambda: Places(CAPTURES_LIMIT))
    queries: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(QUERIES_LIMIT))

    def device(self, address: Address) -> DeviceStatus:
        """The device with this MAC; 404 if there is none."""
        for device in self.view.devices():
            if device.mac == address:
                return device
        raise refusal(web.HTTPNotFound, "no such device")

    async def document(self, device: DeviceStatus) -> Document:
        """The document of one device."""
        return self._document(device, await self.last_events())

    async def documents(self) -> list[Document]:
        """The documents of all devices."""
        events = await self.last_events()
        return [self._document(device, events) for device in self.view.devices()]

    def _document(self, device: DeviceStatus, events: Mapping[Address, Reading]) -> Document:
        frames, since = self.journal.kept(device.mac)
        kept = KeptFrames(frames=frames, since=timestamp(since)) if since is not None else None
        return device_document(device, self.wall(), events.get(device.mac), kept)

    async def last_events(self) -> dict[Address, Reading]:
        """Device -> the reading with its last event."""
        async with self.queries:
            return {mac: row.reading for mac, row in (await self.journal.reader.last_events()).items()}


CONTEXT = web.AppKey("CONTEXT", WebContext)


def refusal(kind: type[web.HTTPError], message: str) -> web.HTTPError:
    """An error answer: ``message`` is for people and must not contain internals."""
    return kind(text=message)


def answer(document: object, status: int = 200) -> web.Response:
    """A document as the body."""
    return web.Response(text=text(document), status=status, content_type="application/json")


def address_of(request: web.Request) -> Address:
    """The MAC in the path; 400 if it is not a MAC."""
    return parse_address(request.match_info["mac"])


def parse_address(given: str) -> Address:
    """A MAC from a request; 400 if it is not a MAC."""
    try:
        return parse_mac(given)
    except ValueError:
        raise refusal(web.HTTPBadRequest, "that is not a MAC") from None


async def body_of(request: web.Request, media: str) -> bytes:
    """The request's body; 415 if it has another content type, 408 if it does not arrive in time."""
    if request.content_type != media:
        raise refusal(web.HTTPUnsupportedMediaType, f"the body is {media}")
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await request.read()
    except TimeoutError:
        raise refusal(web.HTTPRequestTimeout, "the body did not come") from None
