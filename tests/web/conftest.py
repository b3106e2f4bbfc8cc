"""A house of made values, served over real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from made_house import view

from proxy_listener.history import Journal
from proxy_listener.settings import WebSettings
from proxy_listener.status import View
from proxy_listener.web import Actions, serve

Start = Callable[..., Awaitable[aiohttp.ClientSession]]


@pytest.fixture
async def journal() -> AsyncIterator[Journal]:
    """A journal in memory that runs."""
    kept = Journal(None)
    task = asyncio.create_task(kept.run())
    yield kept
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await kept.close()


@pytest.fixture
async def start(tmp_path: Path, journal: Journal) -> AsyncIterator[Start]:
    """Starts a service and gives a client of its control socket, or of its TCP port where it listens there."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(
            settings: WebSettings | None = None, house: View | None = None, actions: Actions | None = None
        ) -> aiohttp.ClientSession:
            path = tmp_path / "control.sock"
            settings = settings or WebSettings()
            task = asyncio.create_task(serve(settings, tmp_path, house or view(), journal, actions or Actions()))

            async def end() -> None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

            stack.push_async_callback(end)
            while not path.exists():
                await asyncio.sleep(0)
                if task.done():
                    task.result()
            session = aiohttp.ClientSession("http://localhost", connector=aiohttp.UnixConnector(str(path)))
            return await stack.enter_async_context(session)

        yield begin
