"""Sockets: which connections are accepted and closed, and which settings are refused."""

import asyncio
import contextlib
import resource
import socket

import aiohttp
import pytest
from aiohttp import web
from support.made_status import view

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import WebSettings
from proxy_listener.web import Actions, serve_control, serve_page
from proxy_listener.web.control import control_socket
from proxy_listener.web.server import ConnectionLimit


@contextlib.asynccontextmanager
async def running(settings, state, journal):
    """The service, once its control socket and its port are there; gives its task."""
    page = serve_page(settings, view(), journal, Actions())
    task = asyncio.gather(page, serve_control(state, view(), journal, Actions()))
    try:
        while not task.done() and not (state / "control.sock").exists():  # noqa: ASYNC110  what it waits for is a file
            await asyncio.sleep(0)
        while settings.listen and not task.done():
            with contextlib.suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection(*settings.listen.rsplit(":", 1))
                writer.close()
                break
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_the_service_serves_both_and_leaves_nothing(tmp_path, journal):
    """The control socket and the port, each with its own rules; on cancelling, both are closed, streams included."""
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        task = await stack.enter_async_context(
            running(WebSettings(f"127.0.0.1:{port}", Secret("t")), tmp_path, journal)
        )
        unix = aiohttp.UnixConnector(str(tmp_path / "control.sock"))
        local = await stack.enter_async_context(aiohttp.ClientSession("http://localhost", connector=unix))
        client = await stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{port}"))
        for session, expected in ((local, 200), (client, 401)):
            answer = await stack.enter_async_context(session.get("/status"))
            assert answer.status == expected
        stream = await stack.enter_async_context(client.get("/events", headers={"Authorization": "Bearer t"}))
        assert stream.status == 200
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not (tmp_path / "control.sock").exists()
    with pytest.raises(ConnectionRefusedError), socket.socket() as late:
        late.connect(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("listen", "message"),
    [
        ("0.0.0.0:0", "set a token"),
        (":0", "set a token"),
        ("[::]:0", "set a token"),
        ("192.0.2.1:0", "set a token"),
        ("8099", "not host:port"),
        ("localhost:99999", "not host:port"),
        ("localhost:²", "not host:port"),
    ],
)
async def test_an_open_port_without_a_token_is_refused(tmp_path, journal, listen, message):
    """So is an address that cannot be parsed."""
    with pytest.raises(ProxyListenerError, match=message):
        await serve_page(WebSettings(listen), view(), journal, Actions())


async def test_a_port_in_use_is_an_error(tmp_path, journal):
    """The error names the setting and the cause."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(
            ProxyListenerError,
            match=r"\[web\] listen: 127.0.0.1:\d+: Address already in use; another program has this port",
        ):
            await serve_page(WebSettings(f"127.0.0.1:{port}"), view(), journal, Actions())


async def connect(path, sent=b""):
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(sent)
    await writer.drain()
    return reader, writer


async def ended(reader):
    """Waits until the server closes the connection."""
    with contextlib.suppress(ConnectionResetError):
        await reader.read()


@pytest.mark.parametrize("sent", [b"", b"GET /devices HTTP/1.1\r\nHost: loc"])
async def test_a_connection_without_a_complete_request_is_closed(start, tmp_path, sent):
    """Nothing, or half a header: the connection ends after the timeout."""
    await start(header_timeout=0.1)
    reader, writer = await connect(tmp_path / "control.sock", sent)
    assert await reader.read() == b""
    writer.close()


async def test_slow_headers_do_not_extend_the_timeout(start, tmp_path):
    """Slow loris: a client that keeps sending a byte now and then is closed all the same."""
    await start(header_timeout=0.1)
    reader, writer = await connect(tmp_path / "control.sock", b"GET /devices HTTP/1.1\r\nX: ")
    end = asyncio.create_task(ended(reader))
    while not end.done():
        writer.write(b"x")
        await asyncio.wait([end], timeout=0.01)
    writer.close()


async def test_the_connection_longest_without_a_request_makes_room(start, tmp_path):
    """Silent connections do not keep a client out."""
    client = await start(limit=4)
    silent = [await connect(tmp_path / "control.sock", b"GET /dev") for _ in range(4)]
    for _ in range(3):
        async with client.get("/healthz", headers={"Connection": "close"}) as response:
            assert response.status == 200
    assert await silent[0][0].read() == b""
    for _, writer in silent:
        writer.close()


async def test_a_flood_of_silent_connections_leaves_no_more_than_the_limit(start, tmp_path):
    """Of 300 connections that are opened at once the newest 8 stay; a client is served in the middle of it."""
    client = await start(limit=8, header_timeout=60.0)
    silent = [await connect(tmp_path / "control.sock", b"GET /dev") for _ in range(300)]
    ends = [asyncio.create_task(ended(reader)) for reader, _ in silent]
    async with client.get("/healthz") as response:
        assert response.status == 200
    await asyncio.wait(ends[:293])
    assert [task.done() for task in ends] == [True] * 293 + [False] * 7
    for _, writer in silent:
        writer.close()
    await asyncio.wait(ends)


async def test_a_connection_that_was_answered_is_the_newest_without_a_request(start, tmp_path):
    """A connection without a request is closed first, even if it is younger; then those that were answered are."""
    await start(limit=2, header_timeout=60.0)
    path = tmp_path / "control.sock"
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    kept, keeper = await connect(path)
    silent, quiet = await connect(path)
    for _ in range(2):
        keeper.write(request)
        assert (await kept.readuntil(b"}")).startswith(b"HTTP/1.1 200")
    _, newest = await connect(path, request)
    await ended(silent)
    keeper.write(request)
    assert (await kept.readuntil(b"}")).startswith(b"HTTP/1.1 200")
    writers = [keeper, quiet, newest]
    for _ in range(3):
        reader, writer = await connect(path, request)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        writers.append(writer)
    assert kept.at_eof()
    for writer in writers:
        writer.close()


async def test_a_connection_with_a_request_does_not_make_room(start, tmp_path):
    """If all connections are being served, the next one is closed, and the others go on."""
    client = await start(limit=2)
    async with client.get("/events") as first, client.get("/events") as second:
        await first.content.readline()
        await second.content.readline()
        for _ in range(20):
            reader, writer = await connect(tmp_path / "control.sock", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
        assert not first.content.at_eof()
        assert not second.content.at_eof()


async def test_a_listening_socket_that_cannot_accept_is_tried_again(tmp_path):
    """Without file descriptors nothing ends: the connection is accepted once there is one."""
    connections = ConnectionLimit()
    server = web.Server(lambda request: web.Response())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with control_socket(tmp_path) as listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "control.sock"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            accepting = asyncio.create_task(connections.accept(listener, server))
            await asyncio.wait([accepting], timeout=0.05)
            assert server.connections == []
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        while not server.connections:
            await asyncio.wait([accepting], timeout=0.05)
            assert not accepting.done()
        accepting.cancel()
        await asyncio.wait([accepting])
        await server.shutdown(0.1)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET " + b"/" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
async def test_a_malformed_request_is_refused_and_not_logged(start, tmp_path, sent, caplog):
    """A client error, a closed connection, no traceback."""
    await start(header_timeout=0.2)
    reader, writer = await connect(tmp_path / "control.sock", sent)
    answer = await reader.read()
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert b"Traceback" not in answer
    assert caplog.records == []
    writer.close()
