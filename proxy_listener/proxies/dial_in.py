"""The port that nodes call: connections in; calls with the name and MAC that they claim, as :class:`Caller`, out.

The hello is peeked at and stays in the socket, because the client library reads it again. Who calls is proved later, by
the handshake (``take``). Invariants: a call that does not prove a key in time is closed, a call never ends another's
session, and a port that cannot be opened is tried again.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
import structlog

from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.status import DialInStatus
from proxy_listener.model.text import split_endpoint
from proxy_listener.proxies.callers import HELLO_LIMIT, PENDING, CallLimits, NotANodeError, parse_hello
from proxy_listener.proxies.states import Diagnosis
from proxy_listener.proxies.timing import ProxyTiming

log = structlog.get_logger()

BACKLOG = 256
PAUSE = 0.001
"""Seconds after each call that is closed unread: without it accept would never let go of the event loop in a flood."""
_PEEK = 0.05
"""Seconds between looks at a hello that is not complete: its first bytes keep the socket readable."""
_BROKEN = frozenset({errno.EBADF, errno.ENOTSOCK, errno.EINVAL})
"""Errors of accept after which the socket is of no use; others, such as too many open files, pass."""
_CURES: Mapping[int, str] = {
    errno.EADDRINUSE: "another program has this port: end it, or give [discovery] dial_in and the nodes another one",
    errno.EADDRNOTAVAIL: "this machine does not have this address: 0.0.0.0 is all of its addresses",
    errno.EACCES: "ports below 1024 are for root: give [discovery] dial_in and the nodes a higher one",
}
"""What to do about an address that cannot be bound."""


@attrs.frozen
class Caller:
    """A connection whose first bytes are a hello. Name and MAC are claims."""

    name: str
    mac: Address
    address: str
    sock: socket.socket


class DialIn:
    """``take`` proves the key and goes on with the call; it gives the reason where the call is refused."""

    def __init__(self, take: Callable[[Caller], Awaitable[Diagnosis | None]], timing: ProxyTiming) -> None:
        self._clock = asyncio.get_running_loop().time
        self._take = take
        self._timing = timing
        self._limits = CallLimits(self._clock())
        self._listening: asyncio.Task[None] | None = None
        self._calls: dict[asyncio.Task[None], str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.places: list[tuple[str, int]] = []
        self.error: str | None = None
        self.refused = 0
        self._listen_at: str | None = None

    def status(self) -> DialInStatus | None:
        """How the port is; None where there is none."""
        return None if self._listen_at is None else DialInStatus(self._listen_at, self.error, self.refused)

    def open(self, listen: str | None) -> None:
        """Listen there from now on, or nowhere. Sessions of earlier calls go on."""
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
        for call in self._calls:
            call.cancel()
        self.error = None
        self._listen_at = listen
        if listen is not None:
            self._listening = self._spawn(self._listen(listen))

    async def close(self) -> None:
        """Listen no more, and end the calls that have not become sessions."""
        self.open(None)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _listen(self, listen: str) -> None:
        while True:
            sockets: list[socket.socket] = []
            try:
                sockets += await _bind(listen)
                self.places = [one.getsockname()[:2] for one in sockets]
                log.info("nodes can call", listen=listen)
                self.error = None
                await asyncio.gather(*map(self._accept, sockets))
            except OSError as error:
                self._failed(listen, error)
            finally:
                self.places = []
                for one in sockets:
                    one.close()
            await asyncio.sleep(self._timing.rebind)

    def _failed(self, listen: str, error: OSError) -> None:
        text = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)
        if text != self.error:
            self.error = text
            cure = _CURES.get(error.errno or 0, "")
            log.warning("no node can call, trying again", listen=listen, error=text, **({"help": cure} if cure else {}))

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno in _BROKEN:
                    raise
                log.warning("a call cannot be accepted", error=error.strerror)
                await asyncio.sleep(self._timing.tick)
                continue
            looked_at = self._begin(sock, str(peer[0]).removeprefix("::ffff:"))
            await asyncio.sleep(0 if looked_at else PAUSE)

    def _begin(self, sock: socket.socket, address: str) -> bool:
        """Look at a call; False where it is beyond the limits and closed."""
        if not self._limits.enter(address, self._clock()):
            self.refused += 1
            sock.close()
            return False
        if len(self._calls) >= PENDING:
            self._drop_one()
        sock.setblocking(False)
        call = self._spawn(self._answer(sock, address))
        self._calls[call] = address

        def over(_task: asyncio.Task[None]) -> None:
            self._calls.pop(call, None)
            self._limits.leave(address)
            sock.close()  # of a call that became a session, only an empty shell: the session has the descriptor

        call.add_done_callback(over)
        return True

    def _drop_one(self) -> None:
        """End the oldest call of a network from which no node ever proved a key: a node needs less than a second."""
        strangers = (call for call, address in self._calls.items() if not self._limits.known(address))
        oldest = next(strangers, next(iter(self._calls)))
        del self._calls[oldest]
        oldest.cancel()

    async def _answer(self, sock: socket.socket, address: str) -> None:
        claim: tuple[str, Address] | None = None
        try:
            async with asyncio.timeout(self._timing.identify):
                claim = await _peek(sock)
            refusal = await self._take(Caller(*claim, address, sock))
            if refusal is None:
                self._limits.proved(address)
                return
            cause, advice = refusal.cause, refusal.advice
        except NotANodeError as error:
            cause, advice = str(error), ""
        except TimeoutError:
            cause, advice = "it did not say hello in time", ""
        except OSError:
            cause, advice = "it hung up before its hello", ""
        except Exception:
            log.exception("a call failed in our own code")
            return
        self.refused += 1
        if self._limits.false(address, self._clock()):
            who = {} if claim is None else {"node": claim[0], "mac": mac_text(claim[1])}
            more = {"advice": advice} if advice else {}
            words = "a call is refused; further ones from there are not logged for an hour"
            log.warning(words, address=address, cause=cause, **who, **more)


async def _bind(listen: str) -> list[socket.socket]:
    """Listening sockets for each address of ``host:port``. OSError."""
    place = split_endpoint(listen)
    assert place is not None  # the configuration was checked
    found = await asyncio.get_running_loop().getaddrinfo(*place, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    made: list[socket.socket] = []
    try:
        for family, _, _, _, address in found:
            listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
            made.append(listener)
            listener.setblocking(False)
    except OSError:
        for one in made:
            one.close()
        raise
    return made


async def _peek(sock: socket.socket) -> tuple[str, Address]:
    """The hello's name and MAC; its bytes stay in the socket. NotANodeError, OSError."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            data = sock.recv(HELLO_LIMIT, socket.MSG_PEEK)
        except BlockingIOError:
            await _readable(loop, sock)
            continue
        if not data:
            raise ConnectionResetError
        claim = parse_hello(data)
        if claim is not None:
            return claim
        await asyncio.sleep(_PEEK)


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    ready = asyncio.Event()
    loop.add_reader(sock.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock.fileno())
