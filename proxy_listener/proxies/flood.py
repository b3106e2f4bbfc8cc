"""Flood detection: what a session's socket received in; in words, what the node sent beyond what a radio hears, out.

The kernel counts the bytes. Messages that are not advertisements never reach this process's own code, and a node could
keep a core busy with them (docs/protocol/threats.md#l7).
"""

import socket
import struct

_BYTES_RECEIVED = struct.Struct("=128xQ")
"""Where Linux's ``struct tcp_info`` has ``tcpi_bytes_received`` (since Linux 4.1)."""

ADVERTISEMENT = 80
"""Bytes of one, at most: 62 of data, 8 of address, 3 of RSSI, 2 of its type, 4 around it; most have less data."""

MESSAGES = 100
"""Messages a second, beside advertisements, that call a handler: scanner state, connection slots. Each costs as much as
ten advertisements, and a proxy sends a few an hour."""

_FORGIVEN = 30.0
"""Seconds of calm that cancel a flood just below the limit: short floods with pauses are a flood, too."""

_WINDOW, _CALM = 0.5, 1.0
"""Seconds over which the rate is measured, at least: after a window of flood, and otherwise."""


class FloodDetector:
    """Adds up seconds of flood; calm takes them off again, slowly. ``limit``: seconds from which it is a flood."""

    __slots__ = ("_limit", "flooded")

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.flooded = 0.0

    def flood(self, seconds: float) -> bool:
        """So many seconds had too much. Whether it is a flood now."""
        self.flooded += seconds
        return self.flooded >= self._limit

    def calm(self, seconds: float) -> None:
        """So many seconds did not."""
        if self.flooded:
            self.flooded = max(0.0, self.flooded - seconds * self._limit / _FORGIVEN)


class SocketTraffic:
    """Judges one session. ``rate``: advertisements a second that are no flood yet; ``limit``: seconds of more."""

    def __init__(self, sock: socket.socket, rate: int, limit: float, now: float) -> None:
        self._socket = sock
        self._bytes = rate * ADVERTISEMENT
        self._flood = FloodDetector(limit)
        self._since = now
        self._before = self._received()
        self._messages = 0

    def message(self) -> None:
        """A message came that is not an advertisement."""
        self._messages += 1

    def judge(self, now: float) -> str | None:
        """What the node did, where it is a flood."""
        elapsed = now - self._since
        if elapsed < (_WINDOW if self._flood.flooded else _CALM):
            return None
        received = self._received()
        rate, messages = (received - self._before) / elapsed, self._messages / elapsed
        self._since, self._before, self._messages = now, received, 0
        if rate <= self._bytes and messages <= MESSAGES:
            self._flood.calm(elapsed)
            return None
        if not self._flood.flood(elapsed):
            return None
        if messages > MESSAGES:
            return f"it sent {messages:.0f} messages a second that are no advertisements"
        return f"it sent {rate / 1000:.0f} kB a second; no radio hears so much"

    def _received(self) -> int:
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED.size)
        except OSError:
            # Closed meanwhile: the session ends for that reason.
            return 0
        return int(_BYTES_RECEIVED.unpack(info)[0]) if len(info) == _BYTES_RECEIVED.size else 0
