"""Nodes that call: the first bytes and the address of a connection in; who claims to call, and whether it may, out.

::

    01 | length 16 bits, big endian | 01 | name | 00 | MAC, 12 hex digits | 00

Anybody who reaches the port can send that hello, so it proves nothing (docs/protocol/threats.md#l10). Invariants: of
calls that have not proved a key there are at most ``PENDING``, a fixed number of networks is remembered, and what
arrives beyond the limits costs an accept and a close.
"""

import re
from collections import Counter

from proxy_listener.model.advertisement import Address
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.rate import GuessLimit, TokenBucket, network_of
from proxy_listener.model.text import printable

HELLO_LIMIT = 128
"""Bytes of a hello: the firmware's limit for a frame before encryption."""
PENDING = 64
"""Calls at once that have not proved a key."""
EACH, EACH_KNOWN = 4, 32
"""Of these, of one network; and of one from which a node proved a key before: a site's proxies share one address, and
call together when its power returns."""
STRANGERS, STRANGERS_RATE = 64, 8.0
"""Calls from networks where no node proved a key: at once, and a second."""
KNOWN = 256
"""Networks that are remembered, because a node proved a key there, or because a call from there was logged."""
_LINES, _LINES_RATE = 16, 16 / 3600
_TOLD_AGAIN = 3600.0
"""Seconds after which a network's false calls are logged again."""
_HEADER = 3
_PAYLOAD = re.compile(rb"\x01([^\x00]*)\x00([0-9A-Fa-f]{12})\x00", re.DOTALL)


class NotANodeError(ProxyListenerError):
    """What a caller sent is no hello of a node that calls."""


def parse_hello(data: bytes) -> tuple[str, Address] | None:
    """The name, made printable, and the MAC; None while bytes are missing. NotANodeError."""
    if data[:1] not in {b"", b"\x01"}:
        plain = "; only nodes with an encryption key can call" if data[0] == 0 else ""
        raise NotANodeError(f"it does not speak the encrypted native API{plain}")
    if len(data) < _HEADER:
        return None
    end = _HEADER + int.from_bytes(data[1:_HEADER], "big")
    if end > HELLO_LIMIT:
        raise NotANodeError("its hello is too long")
    if len(data) < end:
        return None
    payload = _PAYLOAD.fullmatch(data[_HEADER:end])
    if payload is None:
        raise NotANodeError("its hello has no name and MAC")
    return printable(payload[1].decode("utf-8", "replace")), int(payload[2], 16)


class CallLimits:
    """How many calls are looked at. Times are monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._pending: Counter[str] = Counter()
        self._strangers = TokenBucket(STRANGERS_RATE, STRANGERS, now)
        self._false = GuessLimit()
        self._known: dict[str, None] = {}
        self._told: dict[str, float] = {}
        self._lines = TokenBucket(_LINES_RATE, _LINES, now)

    def known(self, address: str) -> bool:
        """Whether a node proved a key from this network."""
        return network_of(address) in self._known

    def enter(self, address: str, now: float) -> bool:
        """Whether this call is looked at. If so, :meth:`leave` has to follow."""
        network = network_of(address)
        known = network in self._known
        if not self._false.allowed(address, now) or self._pending[network] >= (EACH_KNOWN if known else EACH):
            return False
        if not known and not self._strangers.take(now):
            return False
        self._pending[network] += 1
        return True

    def leave(self, address: str) -> None:
        """The call is over, or has become a session."""
        network = network_of(address)
        self._pending[network] -= 1
        self._pending += Counter()  # forgets networks that have none

    def proved(self, address: str) -> None:
        """The caller proved a key."""
        network = network_of(address)
        self._known.pop(network, None)
        self._known[network] = None
        if len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]

    def false(self, address: str, now: float) -> bool:
        """A call from there came to nothing. True where it is to be logged."""
        self._false.wrong(address, now)
        network = network_of(address)
        last = self._told.get(network)
        if (last is not None and now - last < _TOLD_AGAIN) or not self._lines.take(now):
            return False
        self._told.pop(network, None)
        self._told[network] = now
        if len(self._told) > KNOWN:
            del self._told[next(iter(self._told))]
        return True
