"""Flood detection at the transport: a session's bytes from the socket in; the same bytes, or the session's end out.

::

    plaintext   00 | varint length | varint number | payload        a message
    Noise       01 | length 16 bits, big endian | body              a message, encrypted

Messages of every kind are counted before the client library sees them: it answers some, such as pings, by itself, and
a node could keep a core busy with those (docs/protocol/threats.md#l7). Invariant: a session never costs more than its
two token buckets hold. When one is empty, the socket is not read any more, and the session ends.
"""

import socket
from collections.abc import Callable, Iterable
from typing import Any

from proxy_listener.model.rate import TokenBucket

ADVERTISEMENT = 80
"""Bytes of one, at most: 62 of data, 8 of address, 3 of RSSI, 2 of its type, 4 around it; most have less data."""

MESSAGES = 500
"""Messages a second. Advertisements come in 10 to 125, and a few more come when something happens."""

BURST = 2000
"""Messages at once: a node with a thousand entities lists them when a session begins."""

CHUNK = 16_384
"""Bytes of one read at most, so that other sockets have their turn. The event loop would read 256 kB."""

UNREAD = 30.0
"""Seconds for which a node may refuse what we send: answers to its messages would wait in memory without a limit."""

_PLAIN, _NOISE = 0x00, 0x01
_HEADER = 11
"""Bytes of the longest header: an indicator and two numbers of five bytes."""


class FloodError(OSError):
    """The session broke its limits, and is not read any more."""


class MessageCounter:
    """Counts the messages of a byte stream by their headers, of which one may be cut anywhere."""

    __slots__ = ("_begun", "_inside")

    def __init__(self) -> None:
        self._begun = b""
        self._inside = 0

    def count(self, data: bytes, limit: int) -> int:
        """How many messages begin in ``data``; counting ends at ``limit``."""
        data = self._begun + data
        self._begun = b""
        at, found = self._inside, 0
        while at < len(data) and found < limit:
            end = _end(data, at)
            if end == 0:
                self._begun = data[at:]
                at = len(data)
                break
            found += 1
            at = end
        self._inside = max(0, at - len(data))
        return found


def _end(data: bytes, at: int) -> int:
    """Where the message that begins at ``at`` ends; 0 where its header is not complete."""
    if data[at] == _NOISE:
        return at + 3 + int.from_bytes(data[at + 1 : at + 3], "big") if len(data) >= at + 3 else 0
    if data[at] != _PLAIN:
        return len(data)  # not the native API: the library ends the session
    length, start = _varint(data, at + 1)
    if start:
        _, start = _varint(data, start)
    return start + length if start else (0 if len(data) - at < _HEADER else len(data))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at ``at`` and where it ends; (0, 0) where it does not."""
    value = 0
    for index in range(at, min(len(data), at + 5)):
        value |= (data[index] & 0x7F) << 7 * (index - at)
        if data[index] < 0x80:
            return value, index + 1
    return 0, 0


class LimitedSocket(socket.socket):
    """The socket of one session; it takes over the descriptor of ``sock``.

    ``rate``: bytes a second; ``alarm`` is called once, with what the node did.
    """

    def __init__(
        self, sock: socket.socket, rate: float, clock: Callable[[], float], alarm: Callable[[str], None]
    ) -> None:
        super().__init__(sock.family, sock.type, sock.proto, sock.detach())
        now = clock()
        self._clock = clock
        self._alarm: Callable[[str], None] | None = alarm
        self._bytes = TokenBucket(rate, rate, now)
        self._messages = TokenBucket(MESSAGES, BURST, now)
        self._counter = MessageCounter()
        self._refused: float | None = None

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """As ``socket.recv``. FloodError beyond the limits."""
        data = super().recv(min(bufsize, CHUNK), flags)
        now = self._clock()
        if not self._bytes.take(now, len(data)):
            self._end("it sent more bytes than a radio hears")
        if not self._messages.take(now, self._counter.count(data, BURST + 1)):
            self._end("it sent more messages than a proxy has")
        if self._refused is not None and now - self._refused > UNREAD:
            self._end("it does not read what it is sent")
        return data

    def send(self, data: Any, flags: int = 0) -> int:
        """As ``socket.send``. Notes since when the node takes nothing."""
        try:
            sent = super().send(data, flags)
        except BlockingIOError:
            self._refused = self._refused or self._clock()
            raise
        self._refused = None
        return sent

    def sendmsg(self, buffers: Iterable[Any], *more: Any) -> int:
        """As ``socket.sendmsg``, which Python 3.12 uses; notes the same."""
        try:
            sent = super().sendmsg(buffers, *more)
        except BlockingIOError:
            self._refused = self._refused or self._clock()
            raise
        self._refused = None
        return sent

    def _end(self, what: str) -> None:
        if self._alarm is not None:
            alarm, self._alarm = self._alarm, None
            alarm(what)
        raise FloodError(what)
