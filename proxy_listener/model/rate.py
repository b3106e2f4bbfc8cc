"""Rate limit: a token bucket. Time is an argument, in seconds of any one clock."""


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
