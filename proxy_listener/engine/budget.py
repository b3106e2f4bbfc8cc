"""How many frames with a wrong tag each proxy may bring for one device, before its frames are no longer tried.

What comes in: proxies by name, with monotonic times. What goes out: whether a frame is tried, and whether a person is
told. The rule of this file: what one proxy spends costs the other rooms nothing.
"""

from proxy_listener.model.rate import TokenBucket
from proxy_listener.model.timing import NEVER

RATE, BURST = 10.0, 50.0
"""Failed tags a second, per device and proxy: a 32-bit tag falls in 12 h at the rate that one proxy could push, and
in 13 years at this one (facts, threats-and-faults R6)."""

TELL_AGAIN = 600.0
"""Seconds between two words about one device, however often a flood comes and goes (R9)."""

PROXIES = 128
"""Beyond it the proxy that failed longest ago is forgotten: nodes can be renamed without end."""


class Budgets:
    """The token buckets of one device, by proxy."""

    __slots__ = ("_buckets", "_told")

    def __init__(self) -> None:
        self._buckets: dict[str, TokenBucket] = {}
        self._told = NEVER

    def spent(self, proxy: str, heard: float) -> bool:
        """Whether this proxy brought more failed tags than an honest radio makes."""
        bucket = self._buckets.get(proxy)
        return bucket is not None and not bucket.available(heard)

    def charge(self, proxy: str, heard: float) -> None:
        """A frame of this proxy's failed."""
        bucket = self._buckets.get(proxy)
        if bucket is None:
            if len(self._buckets) >= PROXIES:
                del self._buckets[min(self._buckets, key=lambda name: self._buckets[name].filled)]
            bucket = self._buckets[proxy] = TokenBucket(RATE, BURST, heard)
        bucket.spend()

    def to_tell(self, heard: float) -> bool:
        """Whether a flood is to be told of now."""
        if heard - self._told < TELL_AGAIN:
            return False
        self._told = heard
        return True
