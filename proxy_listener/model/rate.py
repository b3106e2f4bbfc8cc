"""Rate limits: a token bucket, and wrong guesses by address. Time is an argument, in seconds of any one clock."""

import ipaddress


class TokenBucket:
    """Holds ``burst`` tokens at first and at most; ``rate`` tokens a second are added."""

    __slots__ = ("_burst", "_level", "_rate", "filled")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = self._level = burst
        self.filled = now  # when it was last asked

    def available(self, now: float) -> bool:
        """Whether there is a token now. A clock that goes backwards adds none."""
        self._level = min(self._burst, self._level + max(0.0, now - self.filled) * self._rate)
        self.filled = now
        return self._level >= 1.0

    def level(self, now: float) -> float:
        """How many tokens there are now."""
        self.available(now)
        return self._level

    def spend(self, count: float = 1.0) -> None:
        """Remove tokens, also where there are none: the debt has to be filled up first. A negative count adds some."""
        self._level -= count

    def take(self, now: float, count: int = 1) -> bool:
        """Remove ``count`` tokens if there are so many; whether there were."""
        self.available(now)
        if self._level < count:
            return False
        self._level -= count
        return True


GUESSES, GUESS_RATE = 10, 0.1
"""Wrong tokens of one address at once, and a second: a person who mistypes never meets it."""

GUESSERS = 256
"""Addresses whose wrong tokens are remembered."""


class GuessLimit:
    """Wrong tokens by the network address that they came from: an IPv4 address, or the /64 of an IPv6 address, because
    one machine has all of that.
    """

    def __init__(self) -> None:
        self._buckets: dict[str, TokenBucket] = {}

    def allowed(self, address: str, now: float) -> bool:
        """Whether a token from there is looked at now."""
        bucket = self._buckets.get(network_of(address))
        return bucket is None or bucket.available(now)

    def wrong(self, address: str, now: float) -> bool:
        """A wrong token came from there. True where the limit is met by it."""
        network = network_of(address)
        bucket = self._buckets.pop(network, None) or TokenBucket(GUESS_RATE, GUESSES, now)
        self._buckets[network] = bucket
        if len(self._buckets) > GUESSERS:
            del self._buckets[next(iter(self._buckets))]
        return bucket.take(now) and not bucket.available(now)


def network_of(address: str) -> str:
    """What one machine has: an IPv4 address, also a mapped one, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
