"""The API over made values, served at real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from support import made_status
from support.made_status import SALT

from proxy_listener.history import Journal
from proxy_listener.model.settings import WebSettings
from proxy_listener.web import Actions
from proxy_listener.web.context import WebContext
from proxy_listener.web.control import control_socket
from proxy_listener.web.guard import guard
from proxy_listener.web.server import serving, tcp_socket


@pytest.fixture
async def journal() -> AsyncIterator[Journal]:
    """A running journal in memory."""
    kept = Journal(None)
    task = asyncio.create_task(kept.run())
    yield kept
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await kept.close()


@pytest.fixture
async def start(tmp_path: Path, journal: Journal):
    """Serves the control socket, and gives a client of it."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(*, view=None, actions=None, limit=128, header_timeout=5.0, **more):
            context = WebContext(view or made_status.view(), journal, actions or Actions(), **more)
            listener = stack.enter_context(control_socket(tmp_path))
            await stack.enter_async_context(serving(context, listener, limit=limit, header_timeout=header_timeout))
            path = listener.getsockname()
            session = aiohttp.ClientSession("http://localhost", connector=aiohttp.UnixConnector(path, limit=0))
            return await stack.enter_async_context(session)

        yield begin


@pytest.fixture
async def start_tcp(journal: Journal):
    """Serves a TCP port behind the guard, and gives a client of it."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(settings=None, *, view=None, actions=None):
            settings = settings or WebSettings()
            context = WebContext(view or made_status.view(), journal, actions or Actions(), settings.token, salt=SALT)
            listener = stack.enter_context(tcp_socket("loopback", socket.AF_INET, ("127.0.0.1", 0)))
            await stack.enter_async_context(serving(context, listener, guard(settings)))
            session = aiohttp.ClientSession(f"http://127.0.0.1:{listener.getsockname()[1]}")
            return await stack.enter_async_context(session)

        yield begin
