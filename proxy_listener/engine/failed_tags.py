"""How many frames with a wrong tag are tried in the name of one device.

What comes in: which frames failed, through which proxy, and when (monotonic seconds). What goes out: whether a frame is
tried. Invariant: over all proxies no more tags are tried than are guessed within ten years in the mean, and what is
remembered is bounded.
"""

from proxy_listener.model.rate import TokenBucket
from proxy_listener.model.timing import NEVER

EXPECTED = (10.0, 50.0)
OTHER = (3.0, 20.0)
"""Failed tags a second, and at once, per device: of frames whose counter is one of the expected next few, and of all
others. A tag of 32 bits is guessed within 10 years in the mean at 13 a second (docs/protocol/threats.md#r6)."""

QUIET = 10.0
"""Seconds after which a proxy's last failed tag is forgiven."""

REPORT_AGAIN = 600.0
"""Seconds between two reports about one device, however often a flood comes and goes: docs/protocol/threats.md#r9."""

PROXIES = 128
"""Proxies that are told apart; beyond it the one that failed longest ago is forgotten. Nodes can be renamed without
end."""

FAILED_KEPT = 256
FAILED_SECONDS = 2.0
"""Frames with a failed tag whose copies are not tried again: eight rooms hear each forged frame within this time."""

HEARD_KEPT = 2048
"""Frames, each by proxy, that are known to be heard again: half a second of 400 a second that eight rooms hear."""


class FailedTags:
    """Rate limit of one device's frames with a wrong tag, over all proxies, so that guesses do not add up over them.

    The last half of each budget is for proxies without a failed tag in the last 10 s, and for frames that a proxy hears
    again. So a flood that only some rooms hear, or that one node invents, costs the other rooms nothing; and devices
    repeat each frame, which halves a forger's rate. Frames that verify cost nothing.
    """

    __slots__ = ("_expected", "_failed", "_heard", "_last", "_other", "_reported")

    def __init__(self, heard: float) -> None:
        self._expected, self._other = TokenBucket(*EXPECTED, heard), TokenBucket(*OTHER, heard)
        self._last: dict[str, float] = {}
        self._failed: dict[bytes, float] = {}
        self._heard: dict[int, None] = {}
        self._reported = NEVER

    def failed(self, payload: bytes, heard: float) -> bool:
        """Whether this is a copy of a frame that failed a moment ago."""
        return heard - self._failed.get(payload, NEVER) <= FAILED_SECONDS

    def exhausted(self, proxy: str, heard: float, payload: bytes, *, expected: bool) -> bool:
        """Whether more tags failed than bit errors explain: this proxy's frames with such counters are not tried."""
        bucket, burst = (self._expected, EXPECTED[1]) if expected else (self._other, OTHER[1])
        last_half = self._heard_again(proxy, payload) or heard - self._last.get(proxy, NEVER) >= QUIET
        return bucket.level(heard) < (1.0 if last_half else burst / 2)

    def _heard_again(self, proxy: str, payload: bytes) -> bool:
        copy = hash((payload, proxy))
        if copy in self._heard:
            return True
        self._heard[copy] = None
        if len(self._heard) > HEARD_KEPT:
            del self._heard[next(iter(self._heard))]
        return False

    def count(self, proxy: str, heard: float, payload: bytes, keys: int, *, expected: bool) -> None:
        """The tag of this frame failed under so many keys."""
        (self._expected if expected else self._other).spend(keys)
        if proxy not in self._last and len(self._last) >= PROXIES:
            del self._last[min(self._last, key=self._last.__getitem__)]
        self._last[proxy] = heard
        self._failed.pop(payload, None)
        self._failed[payload] = heard
        if len(self._failed) > FAILED_KEPT:
            del self._failed[next(iter(self._failed))]

    def report_due(self, heard: float) -> bool:
        """Whether a person is told of the flood now."""
        if heard - self._reported < REPORT_AGAIN:
            return False
        self._reported = heard
        return True
