"""What a broker may send: answers to what we publish, and few, small messages.

Each reception from the socket comes in, before and after; an error goes out where the broker sends more than that.
Invariant: what is kept of a broker's packets is at most one of :data:`LARGEST` bytes and those that wait to be read.
"""

from proxy_listener.model.rate import TokenBucket

LARGEST = 16_384
"""Bytes of a packet. Expected are acknowledgements of a few bytes and Home Assistant's birth message, ``online``. The
client library reserves the memory of a packet when it is announced, up to 268 MB."""

RATE, BURST = 1_024.0, 32_768.0
ANSWER = 256.0
"""Tokens a second, at most, and for each message that is published, whose acknowledgement may carry a reason in words.
"""

RECEPTION = 8
"""A reception costs as many tokens as it has bytes, and at least this many: small packets cost the most work."""

PUBLISH, QOS = 0x30, 0x06
QOS_2 = 0x04
"""The command of a publication in MQTT, and its bits of the quality of service. Level 2, which is never subscribed to,
would have to be kept until the broker releases it."""


class TooMuchError(OSError):
    """The broker sends what is not read. The client library takes it as a lost connection."""


class Received:
    """The receptions of one connection."""

    def __init__(self, now: float) -> None:
        self._tokens = TokenBucket(RATE, BURST, now)
        self.error: TooMuchError | None = None

    def published(self) -> None:
        """One more message awaits its acknowledgement."""
        self._tokens.spend(-ANSWER)

    def announced(self, command: int, size: int) -> None:
        """A packet of this size follows. TooMuchError where it is not to be read."""
        if size > LARGEST:
            self._refuse(f"it sends a packet of {size} bytes, and more than {LARGEST} are not read")
        if command & 0xF0 == PUBLISH and command & QOS == QOS_2:
            self._refuse("it sends a message of QoS 2, which was not asked for")

    def took(self, size: int, now: float) -> None:
        """So many bytes came at once. TooMuchError where that is more than a broker has to say."""
        self._tokens.spend(max(size, RECEPTION))
        if not self._tokens.available(now):
            self._refuse("it sends more than acknowledgements and Home Assistant's birth messages")

    def _refuse(self, cause: str) -> None:
        self.error = TooMuchError(cause)
        raise self.error
