"""The state of one proxy's advertisement stream: events and time in; a state and the next step out.

The session is up in all of these states. What is judged is whether advertisements come, and who gets them if not
(docs/protocol/esphome-proxy.md#one-subscriber). Invariant: it only decides. It sends nothing and reads no clock;
:mod:`proxy_listener.proxies.session` acts.

::

    subscribed -> CONNECTING -- scanner state or advertisement --> LIVE
                      |  no state in 2 s (firmware that reports it)    |  silence
                      v                                                v
                    HELD  subscribe again after 10, 30, 60 s         TAKEN   newest wins, and the stream had flowed:
                                                                             subscribe again after 5 min or more
                                                                     SILENT  resubscribe, toggle scan mode, reconnect,
                                                                       v     each 20 s apart, then
                                                                     WEDGED
"""

from enum import Enum, auto, unique

import attrs

from proxy_listener.model.status import ProxyState
from proxy_listener.model.timing import NEVER
from proxy_listener.proxies.timing import ProxyTiming


@unique
class Step(Enum):
    """What the session does next about its stream."""

    NOTHING = auto()
    SUBSCRIBE = auto()  # ask for the stream again
    RESUBSCRIBE = auto()  # give it up first: older firmware refuses the client that holds the stream already
    TOGGLE = auto()  # change the scan mode and back, which restarts the scan
    RECONNECT = auto()


@attrs.frozen
class StreamTraits:
    """How a proxy's firmware treats subscribers, and what the user configured.

    ``reports_state``: it sends its scanner state to the holder (flag 64). ``newest_wins``: from 2026.7 on.
    """

    reports_state: bool
    newest_wins: bool
    insist: bool


_RECOVERY = (Step.RESUBSCRIBE, Step.TOGGLE, Step.RECONNECT)
"""For a silent scanner (docs/protocol/esphome-proxy.md#silent-scanner)."""
_LONGEST_WAIT = 12
"""Times ``taken``: an hour."""
_QUIETEST = 16.0
"""Each time that a silence ends by itself, the time limit for the next one doubles, up to this many times."""
_FORGOTTEN = 3600.0
"""A stream that flowed for an hour is judged as a new one: the waits start at their shortest again."""


class ProxyStream:
    """Judges one stream, over all sessions of a proxy: recovery continues after its reconnect."""

    def __init__(self, timing: ProxyTiming) -> None:
        self._timing = timing
        self._traits = StreamTraits(reports_state=False, newest_wins=False, insist=False)
        self._subscribed = 0.0
        self._since = 0.0
        self._resumed = NEVER
        self._reported: float | None = None
        self._flowed = False
        self._asked = 0
        self._taken = 0
        self._step = 0
        self._quietness = 1.0
        self._due = 0.0
        self.state = ProxyState.CONNECTING

    def connected(self, traits: StreamTraits, now: float) -> None:
        """A session is up and was subscribed for the first time."""
        self._traits = traits
        self._asked = 0
        self._since = now
        self.subscribed(now)
        if self._step < len(_RECOVERY):
            self.state = ProxyState.CONNECTING

    def subscribed(self, now: float) -> None:
        """The stream was asked for."""
        self._subscribed = now
        self._reported = None
        self._flowed = False

    def state_reported(self, now: float) -> None:
        """A scanner state came: the stream is ours."""
        self._reported = now

    def resumed(self, now: float) -> None:
        """This process was suspended until now: do not count that time as silence."""
        self._resumed = now

    def flows(self, now: float, heard: float | None) -> bool:
        """Whether it is live and was heard just now. That is the usual case, in which nothing has to be judged."""
        fresh = heard is not None and heard >= self._subscribed and now - heard < 2 * self._timing.tick
        return fresh and self.state is ProxyState.LIVE

    def tick(self, now: float, heard: float | None, *, others: bool, busy: bool = False) -> Step:
        """Judge the stream. ``heard``: when the last advertisement came. ``others``: whether another proxy hears any.

        ``busy``: a connection to a device is open or being set up, so the stream is not touched.
        """
        if heard is not None and heard >= self._subscribed:
            self._flowed = True
            quiet = now - max(heard, self._resumed)
        else:
            quiet = now - max(self._subscribed, self._since, self._resumed)
        limit = self._quietness * (self._timing.silence if others else self._timing.silence_alone)
        if self._flowed and quiet < limit:
            return self._judge_flowing(now)
        if self._traits.reports_state and self._reported is None and not self._flowed:
            return self._judge_refused(now, busy=busy)
        ours = False
        if self._reported is not None and self._flowed and heard is not None:
            # The scanner state is sent to the holder only; this one came during the silence.
            ours = self._reported > heard + self._timing.state
        if not ours and (self.state is ProxyState.TAKEN or (self._traits.newest_wins and self._flowed)):
            return self._judge_taken(now, busy=busy)
        if self._reported is not None and self._step == 0 and quiet < limit:
            self.state = ProxyState.LIVE
            return Step.NOTHING
        if self._step == 0 and quiet < limit:
            return Step.NOTHING
        return self._judge_silent(now, busy=busy)

    def _judge_flowing(self, now: float) -> Step:
        if self.state is not ProxyState.LIVE:
            if self.state in {ProxyState.SILENT, ProxyState.WEDGED}:
                self._quietness = min(2.0 * self._quietness, _QUIETEST)
            self.state = ProxyState.LIVE
            self._since = now
        elif now - self._since > _FORGOTTEN:
            self._taken = 0
            self._quietness = 1.0
        self._step = 0
        self._asked = 0
        return Step.NOTHING

    def _judge_refused(self, now: float, *, busy: bool) -> Step:
        waited = now - self._subscribed
        if waited < self._timing.state:
            return Step.NOTHING
        self.state = ProxyState.HELD
        pauses = self._timing.held
        if busy or waited < pauses[min(self._asked, len(pauses) - 1)]:
            return Step.NOTHING
        self._asked += 1
        return Step.SUBSCRIBE

    def _judge_taken(self, now: float, *, busy: bool) -> Step:
        if self.state is not ProxyState.TAKEN:
            self.state = ProxyState.TAKEN
            wait = self._timing.taken * min(2**self._taken, _LONGEST_WAIT)
            self._due = now + (self._timing.insist if self._traits.insist else wait)
            self._taken += 1
        if busy or now < self._due:
            return Step.NOTHING
        self.state = ProxyState.CONNECTING
        self._since = now
        return Step.SUBSCRIBE

    def _judge_silent(self, now: float, *, busy: bool) -> Step:
        if self._step == 0:
            self.state = ProxyState.SILENT
            self._due = now
        if busy or now < self._due:
            return Step.NOTHING
        if self._step >= len(_RECOVERY):
            self.state = ProxyState.WEDGED
            self._due = now + self._timing.wedged
            return Step.RESUBSCRIBE
        step = _RECOVERY[self._step]
        self._step += 1
        self._due = now + self._timing.recovery_step
        if step is Step.TOGGLE and not self._traits.reports_state:
            return Step.NOTHING
        return step
