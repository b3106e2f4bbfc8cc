"""What a session's socket received, and whether a radio could have heard so much.

What comes in: the socket, and now and then the time. What goes out: what the node did, in words, where it is a flood.
The rule of this file: the kernel counts. Messages that are no advertisements pass through no hands of ours, and a node
could keep a core busy with them for ever.
"""

import socket
import struct

_BYTES_RECEIVED = struct.Struct("=128xQ")
"""Where Linux's ``struct tcp_info`` has ``tcpi_bytes_received`` (since 4.1)."""

ADVERTISEMENT = 80
"""Bytes that one takes: 62 of data, 8 of address, 3 of RSSI, 2 of its type, 4 around it; a radio's have less data."""

MESSAGES = 100
"""Of those that the library unpacks and we are called with, beside advertisements: a scanner's state, its slots. Each
costs as much as ten advertisements, and a proxy sends a few an hour."""

_FORGIVEN = 30.0
"""Seconds of peace after which a flood just short of the patience is forgotten: one in pulses is a flood, too."""

_WINDOW, _CALM = 0.5, 1.0
"""Seconds over which the rate is measured, at least: in doubt, and as long as there is none."""


class Traffic:
    """Judges one session. ``rate``: advertisements a second that are still no flood; ``patience``: seconds of more."""

    def __init__(self, sock: socket.socket, rate: int, patience: float, now: float) -> None:
        self._socket = sock
        self._limit = rate * ADVERTISEMENT
        self._patience = patience
        self._over = 0.0
        self._since = now
        self._before = self._received()
        self._messages = 0

    def message(self) -> None:
        """A message came that is no advertisement."""
        self._messages += 1

    def judge(self, now: float) -> str | None:
        """What the node did, where it is too much."""
        elapsed = now - self._since
        if elapsed < (_WINDOW if self._over else _CALM):
            return None
        received = self._received()
        rate, messages = (received - self._before) / elapsed, self._messages / elapsed
        self._since, self._before, self._messages = now, received, 0
        too_much = rate > self._limit or messages > MESSAGES
        self._over += elapsed if too_much else -min(self._over, elapsed * self._patience / _FORGIVEN)
        if self._over < self._patience:
            return None
        if messages > MESSAGES:
            return f"it sent {messages:.0f} messages a second that are no advertisements"
        return f"it sent {rate / 1000:.0f} kB a second; no radio hears so much"

    def _received(self) -> int:
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED.size)
        except OSError:
            # Closed meanwhile: whoever reads it will be told.
            return 0
        return int(_BYTES_RECEIVED.unpack(info)[0]) if len(info) == _BYTES_RECEIVED.size else 0
