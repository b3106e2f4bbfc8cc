"""When a proxy may be tried again: what happened and the time in, a time out.

The rule of this file: an announcement may bring an attempt forward, but never below the floor. An attempt that reached
the node costs it one of its few client slots, so those are 5 s apart whatever mDNS says; after an error that only a
person can mend, a minute.
"""

import attrs

from proxy_listener.model.status import ProxyState
from proxy_listener.model.timing import NEVER
from proxy_listener.proxies.causes import Verdict
from proxy_listener.proxies.timing import Timing

_PATIENCE = 10
"""Doublings of a wait, at most."""
_PERSONAL = frozenset({ProxyState.WRONG_KEY, ProxyState.NEEDS_KEY, ProxyState.NOT_ENCRYPTED, ProxyState.WRONG_PASSWORD})
"""What only a person can mend."""
_FIRM = frozenset({ProxyState.NOT_A_PROXY, ProxyState.NO_RAW_STREAM, ProxyState.INCOMPATIBLE})
"""What only new firmware changes."""


@attrs.frozen
class Ending:
    """How an attempt or a session ended. ``goodbye``: the node took its leave. ``garbage``: it broke the protocol."""

    verdict: Verdict
    goodbye: bool = False
    garbage: bool = False


class Gate:
    """The waits before one proxy's next attempt. Times are monotonic seconds."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._tried = NEVER
        self._reached = NEVER
        self._hurried = NEVER
        self._barred = NEVER
        self._due = NEVER
        self._announced = False

    def opens(self) -> float:
        """When the next attempt may begin."""
        floor = max(self._reached + self._timing.spacing, self._barred)
        if self._announced:
            hurried = max(self._tried + self._timing.redial, self._hurried + self._timing.spacing)
            return max(floor, min(hurried, self._due))
        return max(floor, self._due)

    def announce(self) -> None:
        """The node showed itself."""
        self._announced = True

    def begin(self, now: float) -> None:
        """An attempt begins."""
        if self._announced and now < self._due:
            self._hurried = now
        self._announced = False
        self._tried = now
        self._due = now + self._timing.spacing

    def reached(self, now: float) -> None:
        """The node took the connection."""
        self._reached = now

    def after(self, ending: Ending, began: float, now: float, *, failures: int, listed: bool, known: bool) -> None:
        """An attempt is over. ``failures`` before it, since the last session; ``known``: listed, or proved itself."""
        timing, state = self._timing, ending.verdict.state
        growth = 2.0 ** min(failures, _PATIENCE)
        if state is ProxyState.BENCHED:
            self.bar(now, timing.bench)
        elif state in _PERSONAL:
            # Somebody else's node is not bothered every minute for ever.
            self.bar(now, timing.auth if listed else min(timing.auth * growth, timing.settle))
        elif state in _FIRM:
            self.bar(now, timing.settle)
        elif state in {ProxyState.WRONG_NODE, ProxyState.NOT_ACCEPTED}:
            self.wait(now, timing.auth)
        elif state is ProxyState.FULL:
            self.wait(now, timing.full)
        elif failures == 0:
            self.wait(now, timing.spacing if ending.goodbye else timing.redial)
        elif known:
            self.wait(began, timing.spacing)
        else:
            self.wait(now, min(timing.spacing * growth, timing.stranger_spacing))

    def wait(self, now: float, seconds: float) -> None:
        """Nothing for so long, unless the node shows itself."""
        self._due = now + seconds

    def bar(self, now: float, seconds: float) -> None:
        """Nothing for so long, whatever the node shows."""
        self._barred = now + seconds

    def lift(self) -> None:
        """A person changed something: try as soon as the floor allows."""
        self._barred = self._due = NEVER
