"""Two senders under one address: the counters of claimed frames tell.

What comes in: the 8-bit counter of each frame that was new, in order of arrival, with its monotonic time. What goes
out: True when a second sender has shown itself. A device counts upward; somebody who speaks in its name beside it has a
counter of his own, and the two are heard in turns::

    10  200  11  201  12  202         ^ each time the other sequence goes on, one turn

The rule of this file: turns count only seconds apart. A restarted device leaves its old sequence for good, and a
stalled proxy delivers its backlog in one burst.
"""

from proxy_listener.model.timing import NEVER

NEAR = 16
"""Counters between two frames of one sequence, at most: what is lost between two rooms is less."""

APART = 5.0
"""Seconds between two turns that count."""

TURNS = 3
AT_ONCE = 60.0
"""Seconds after which a sequence that was left is over."""

AGAIN = 3600.0
"""Seconds before the same is told again."""


class Rivals:
    """The counter sequences of one device: the one heard last, and the one before it."""

    __slots__ = ("_here", "_left", "_left_heard", "_told", "_turned", "_turns")

    def __init__(self) -> None:
        self._here = -1
        self._left = -1
        self._left_heard = self._turned = self._told = NEVER
        self._turns = 0

    def show(self, counter: int, heard: float) -> bool:
        """Note a frame. True where it gives a second sender away; once an hour at most."""
        if self._here < 0 or _follows(self._here, counter):
            self._here = counter
            return False
        back = self._left >= 0 and heard - self._left_heard <= AT_ONCE and _follows(self._left, counter)
        if not back:
            self._turns = 0
        elif heard - self._turned >= APART:
            self._turns, self._turned = self._turns + 1, heard
        self._here, self._left, self._left_heard = counter, self._here, heard
        if self._turns < TURNS or heard - self._told < AGAIN:
            return False
        self._told = heard
        return True


def _follows(counter: int, following: int) -> bool:
    ahead = (following - counter) % 256
    return ahead <= NEAR or ahead >= 256 - NEAR
