"""The state of one proxy's advertisement stream: events and time in, a state and the next step out.

The session is up in all of these; what is judged is whether advertisements come, and who has them if not. The rule of
this file: it only decides. It sends nothing and knows no clock; :mod:`proxy_listener.proxies.proxy` acts.

::

    subscribed -> CONNECTING -- scanner state or advertisement --> LIVE
                      |  no state in 2 s (firmware that tells it)      |  silence
                      v                                                v
                    HELD  subscribe again after 10, 30, 60 s         TAKEN   newest wins, and the stream had flowed:
                                                                             seldom subscribe again
                                                                     SILENT  resubscribe, toggle scan mode, reconnect,
                                                                       v     each 20 s apart, then
                                                                     WEDGED
"""

from enum import Enum, auto, unique

import attrs

from proxy_listener.model.status import ProxyState
from proxy_listener.model.timing import NEVER
from proxy_listener.proxies.timing import Timing


@unique
class Step(Enum):
    """What the proxy does next about its stream."""

    NOTHING = auto()
    SUBSCRIBE = auto()  # ask for the stream once more
    RESUBSCRIBE = auto()  # give it up and ask again: the holder of an older firmware's stream is refused otherwise
    TOGGLE = auto()  # switch the scan mode there and back, which restarts the scan
    RECONNECT = auto()


@attrs.frozen
class Manners:
    """How a proxy's firmware treats those who subscribe, and what the user wants of it.

    ``tells``: it sends its scanner state to the holder (flag 64). ``newest_wins``: from 2026.7 on.
    """

    tells: bool
    newest_wins: bool
    insist: bool


_LADDER = (Step.RESUBSCRIBE, Step.TOGGLE, Step.RECONNECT)
_PATIENCE = 12
_CALMEST = 16.0
"""A quiet room's silence is judged later every time that it ended by itself, up to this many times."""
_FORGOTTEN = 3600.0
"""A stream that flowed for an hour after it was taken back, or fell silent, is as any other: the waits start anew."""


class Stream:
    """Judges one stream. Lives as long as the proxy, over sessions: a ladder goes on after its reconnect."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._manners = Manners(tells=False, newest_wins=False, insist=False)
        self._subscribed = 0.0
        self._since = 0.0
        self._excused = NEVER
        self._told: float | None = None
        self._flowed = False
        self._asked = 0
        self._taken = 0
        self._rung = 0
        self._calm = 1.0
        self._due = 0.0
        self.state = ProxyState.CONNECTING

    def connected(self, manners: Manners, now: float) -> None:
        """A session is up and was subscribed for the first time."""
        self._manners = manners
        self._asked = 0
        self._since = now
        self.subscribed(now)
        if self._rung < len(_LADDER):
            self.state = ProxyState.CONNECTING

    def subscribed(self, now: float) -> None:
        """The stream was asked for."""
        self._subscribed = now
        self._told = None
        self._flowed = False

    def told(self, now: float) -> None:
        """A scanner state came: the stream is ours."""
        self._told = now

    def excuse(self, now: float) -> None:
        """This process was stopped until now: what was not heard meanwhile is nobody's silence."""
        self._excused = now

    def flows(self, now: float, heard: float | None) -> bool:
        """Whether it is live and was heard just now: nearly always, and then there is nothing to judge."""
        fresh = heard is not None and heard >= self._subscribed and now - heard < 2 * self._timing.tick
        return fresh and self.state is ProxyState.LIVE

    def tick(self, now: float, heard: float | None, *, others: bool, busy: bool = False) -> Step:
        """Judge again. ``heard``: when the last advertisement came. ``others``: whether another proxy hears any now.

        ``busy``: a connection to a device is open or being set up; nothing is done to the stream meanwhile.
        """
        if heard is not None and heard >= self._subscribed:
            self._flowed = True
            quiet = now - max(heard, self._excused)
        else:
            quiet = now - max(self._subscribed, self._since, self._excused)
        limit = self._calm * (self._timing.silence if others else self._timing.silence_alone)
        if self._flowed and quiet < limit:
            return self._flows(now)
        if self._manners.tells and self._told is None and not self._flowed:
            return self._refused(now, busy=busy)
        ours = self._told is not None and self._flowed and heard is not None and self._told > heard + self._timing.state
        if not ours and (self.state is ProxyState.TAKEN or (self._manners.newest_wins and self._flowed)):
            return self._stolen(now, busy=busy)
        if self._told is not None and self._rung == 0 and quiet < limit:
            self.state = ProxyState.LIVE
            return Step.NOTHING
        if self._rung == 0 and quiet < limit:
            return Step.NOTHING
        return self._silent(now, busy=busy)

    def _flows(self, now: float) -> Step:
        if self.state is not ProxyState.LIVE:
            if self.state in {ProxyState.SILENT, ProxyState.WEDGED}:
                self._calm = min(2.0 * self._calm, _CALMEST)
            self.state = ProxyState.LIVE
            self._since = now
        elif now - self._since > _FORGOTTEN:
            self._taken = 0
            self._calm = 1.0
        self._rung = 0
        self._asked = 0
        return Step.NOTHING

    def _refused(self, now: float, *, busy: bool) -> Step:
        waited = now - self._subscribed
        if waited < self._timing.state:
            return Step.NOTHING
        self.state = ProxyState.HELD
        pauses = self._timing.held
        if busy or waited < pauses[min(self._asked, len(pauses) - 1)]:
            return Step.NOTHING
        self._asked += 1
        return Step.SUBSCRIBE

    def _stolen(self, now: float, *, busy: bool) -> Step:
        if self.state is not ProxyState.TAKEN:
            self.state = ProxyState.TAKEN
            wait = self._timing.insist if self._manners.insist else self._timing.taken * min(2**self._taken, _PATIENCE)
            self._due = now + wait
            self._taken += 1
        if busy or now < self._due:
            return Step.NOTHING
        self.state = ProxyState.CONNECTING
        self._since = now
        return Step.SUBSCRIBE

    def _silent(self, now: float, *, busy: bool) -> Step:
        if self._rung == 0:
            self.state = ProxyState.SILENT
            self._due = now
        if busy or now < self._due:
            return Step.NOTHING
        if self._rung >= len(_LADDER):
            self.state = ProxyState.WEDGED
            self._due = now + self._timing.wedged
            return Step.RESUBSCRIBE
        step = _LADDER[self._rung]
        self._rung += 1
        self._due = now + self._timing.rung
        if step is Step.TOGGLE and not self._manners.tells:
            return Step.NOTHING
        return step
