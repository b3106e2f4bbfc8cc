"""The client of the control socket: a path of the API in, its JSON or its lines out.

The rule of this file: where nothing answers it is a NotRunningError (exit status 69), whatever the reason looks like.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from proxy_listener.cli.verb import NotRunningError
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.web.control import NAME

T = TypeVar("T")

LINE_LIMIT = 1 << 22
"""Bytes of one line of a stream: an event of every device of a large house at once is well below."""


class Service:
    """The running service, as its API answers. Errors are ProxyListenerErrors with the API's own words."""

    def __init__(self, session: aiohttp.ClientSession, socket: Path) -> None:
        self._session = session
        self._socket = socket

    async def get(self, path: str, **query: str | float) -> Any:
        """The JSON that a route answers with."""
        async with self._asked("GET", path, query) as response:
            return await response.json()

    async def lines(self, method: str, path: str, body: Any = None, **query: str | float) -> AsyncIterator[str]:
        """The lines of a route that answers bit by bit, without their ends."""
        async with self._asked(method, path, query, body) as response:
            async for line in response.content:
                yield line.decode().rstrip("\r\n")

    async def device(self, wanted: str) -> dict[str, Any]:
        """The device that is meant by a MAC, a name, or the only part of a name that fits."""
        devices: list[dict[str, Any]] = await self.get("/devices")
        return chosen(devices, wanted)

    @asynccontextmanager
    async def _asked(
        self, method: str, path: str, query: Mapping[str, str | float], body: Any = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(method, f"http://localhost{path}", params=query, json=body) as response:
                if response.status >= 400:
                    raise ProxyListenerError(await _words(response))
                yield response
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, PermissionError):
                text = f"not allowed to open {self._socket}: it belongs to who runs the service"
                raise ProxyListenerError(text) from None
            raise NotRunningError(
                f"no service is running: nothing answers at {self._socket}; start one with: proxy-listener run; "
                "or name the state directory of one that runs with --state"
            ) from None
        except (aiohttp.ClientError, TimeoutError):
            raise NotRunningError("the service stopped answering") from None


def chosen(devices: list[dict[str, Any]], wanted: str) -> dict[str, Any]:
    """One device of a listing, by MAC or by name; ProxyListenerError where none or several are meant."""
    plain = wanted.casefold()
    digits = plain.replace(":", "").replace("-", "")
    exact = [
        device
        for device in devices
        if device["mac"].replace(":", "").lower() == digits or device["name"].casefold() == plain
    ]
    found = exact or [device for device in devices if plain in device["name"].casefold()]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(device["name"] for device in found)[:5])
    raise ProxyListenerError(f"{wanted} is more than one device: {names}" if found else f"no such device: {wanted}")


async def _words(response: aiohttp.ClientResponse) -> str:
    try:
        document = json.loads(await response.text())
        return str(document["message"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {response.status}"


def ask(state: Path, question: Callable[[Service], Awaitable[T]]) -> T:
    """Run ``question`` against the service of this state directory."""

    async def run() -> T:
        socket = state / NAME
        connector = aiohttp.UnixConnector(path=str(socket))
        # Reads through a proxy and live streams take as long as they take.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=LINE_LIMIT) as session:
            return await question(Service(session, socket))

    return asyncio.run(run())
