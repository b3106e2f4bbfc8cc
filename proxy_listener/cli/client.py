"""The client of the control socket: a path of the API in, its JSON or its lines out.

Where no service answers it raises NotRunningError (exit status 69), whatever the cause.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from proxy_listener.cli.verb import NotRunningError
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.state import CONTROL_SOCKET

T = TypeVar("T")

LINE_LIMIT = 1 << 22
"""Bytes of one line of a stream. An event with every device of a large house is well below."""


class ServiceClient:
    """The API of the running service. An error answer becomes a ProxyListenerError with the API's message."""

    def __init__(self, session: aiohttp.ClientSession, socket: Path) -> None:
        self._session = session
        self._socket = socket

    async def get(self, path: str, **query: str | float) -> Any:
        """The JSON that a route answers with."""
        async with self._request("GET", path, query) as response:
            return await response.json()

    async def post(self, path: str) -> Any:
        """The JSON that a route answers a POST with."""
        async with self._request("POST", path, {}) as response:
            return await response.json()

    async def lines(self, method: str, path: str, body: Any = None, **query: str | float) -> AsyncGenerator[str, None]:
        """The lines of a streamed answer, without their ends, as they come."""
        async with self._request(method, path, query, body) as response:
            async for line in response.content:
                yield line.decode().rstrip("\r\n")

    async def device(self, wanted: str) -> dict[str, Any]:
        """The device with this MAC or name, or the only one whose name contains the text."""
        devices: list[dict[str, Any]] = await self.get("/devices")
        return select(devices, wanted)

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, query: Mapping[str, str | float], body: Any = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(method, f"http://localhost{path}", params=query, json=body) as response:
                if response.status >= 400:
                    raise ProxyListenerError(await _message(response))
                yield response
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, PermissionError):
                text = f"not allowed to open {self._socket}: it belongs to the user who runs the service"
                raise ProxyListenerError(text) from None
            raise NotRunningError(
                f"no service is running: nothing answers at {self._socket}; start one with: proxy-listener run; "
                "or name the state directory of one that runs with --state"
            ) from None
        except (aiohttp.ClientError, TimeoutError):
            raise NotRunningError("the service stopped answering") from None


def select(devices: list[dict[str, Any]], wanted: str, where: str = "") -> dict[str, Any]:
    """The device with this MAC or name, or the only one whose name contains the text. ProxyListenerError otherwise."""
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
    raise ProxyListenerError(
        f"{wanted} is more than one device: {names}" if found else f"no such device: {wanted} {where}".rstrip()
    )


async def _message(response: aiohttp.ClientResponse) -> str:
    try:
        document = json.loads(await response.text())
        return str(document["message"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {response.status}"


@asynccontextmanager
async def connected(state: Path) -> AsyncIterator[ServiceClient]:
    """A client of the service of this state directory. It connects with the first question."""
    socket = state / CONTROL_SOCKET
    connector = aiohttp.UnixConnector(path=str(socket))
    # Reads through a proxy and live streams take as long as they take.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=LINE_LIMIT) as session:
        yield ServiceClient(session, socket)


def ask(state: Path, question: Callable[[ServiceClient], Awaitable[T]]) -> T:
    """Run ``question`` against the service of this state directory."""

    async def run() -> T:
        async with connected(state) as service:
            return await question(service)

    return asyncio.run(run())
