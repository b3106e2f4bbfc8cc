"""Sockets: who gets in, who has to go, what is refused at the start."""

import asyncio
import contextlib
import socket

import aiohttp
import pytest
from support.made_house import view

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import WebSettings
from proxy_listener.web import Actions, serve_control, serve_page


@contextlib.asynccontextmanager
async def running(settings, state, journal):
    """The service itself, from when its control socket is there; gives its task."""
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
    """The control socket and the port, each with its own rules; on cancelling both are gone at once."""
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
        begun = asyncio.get_running_loop().time()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.get_running_loop().time() - begun < 1.5
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
    """As is an address that is none."""
    with pytest.raises(ProxyListenerError, match=message):
        await serve_page(WebSettings(listen), view(), journal, Actions())


async def test_a_port_that_is_taken_is_told(tmp_path, journal):
    """In words, with the place in the configuration."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ProxyListenerError, match=r"\[web\] listen: 127.0.0.1:\d+: Address already in use"):
            await serve_page(WebSettings(f"127.0.0.1:{port}"), view(), journal, Actions())


async def knock(path, sent=b""):
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(sent)
    await writer.drain()
    return reader, writer


async def test_who_sends_no_request_is_closed(start, tmp_path):
    """Nothing, or half a header: the connection ends after the patience."""
    await start(patience=0.1)
    for sent in (b"", b"GET /devices HTTP/1.1\r\nHost: loc"):
        reader, writer = await knock(tmp_path / "control.sock", sent)
        assert await reader.read() == b""
        writer.close()


async def test_who_waits_longest_without_a_request_makes_room(start, tmp_path):
    """A thousand silent connections do not keep anybody out."""
    client = await start(limit=4)
    silent = [await knock(tmp_path / "control.sock", b"GET /dev") for _ in range(4)]
    for _ in range(3):
        async with client.get("/healthz", headers={"Connection": "close"}) as response:
            assert response.status == 200
    assert await silent[0][0].read() == b""
    for _, writer in silent:
        writer.close()


async def test_who_is_served_does_not_make_room(start, tmp_path):
    """When all places are in use the next one is closed, and the others go on."""
    client = await start(limit=2)
    async with client.get("/events") as first, client.get("/events") as second:
        await first.content.readline()
        await second.content.readline()
        reader, writer = await knock(tmp_path / "control.sock", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        assert not first.content.at_eof()


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
async def test_what_is_no_request_is_refused_without_a_word_in_the_log(start, tmp_path, sent, caplog):
    """A client error, a closed connection, no traceback."""
    await start(patience=0.2)
    reader, writer = await knock(tmp_path / "control.sock", sent)
    answer = await reader.read()
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert b"Traceback" not in answer
    assert caplog.records == []
    writer.close()
