"""The state of one proxy's advertisement stream: events and time in; a state and the next step out.

The session is up in all of these states. What is judged is whether advertisements come, and who gets them if not
(docs/protocol/esphome-proxy.md#one-subscriber). Invariant: it only decides. It sends nothing and reads no clock;
:mod:`proxy_listener.proxies.session` acts.

::

    subscribed -> CONNECTING -- scanner state or advertisement --> LIVE
                      |  no state in 2 s (firmware that reports it)    |  silence
                      v                                                v
                    HELD  subscribe again every 10 s                 TAKEN   newest wins, and two probes failed, or the
                                                                             stream had flowed and cannot be probed:
                                                                             subscribe again after 30 s, then 5 min
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
    PROBE = auto()  # ask the node for what it answers to the holder only
    SUBSCRIBE = auto()  # ask for the stream again
    RESUBSCRIBE = auto()  # give it up first: older firmware refuses the client that holds the stream already
    TOGGLE = auto()  # change the scan mode and back, which restarts the scan
    RECONNECT = auto()


@attrs.frozen
class StreamTraits:
    """How a proxy's firmware treats subscribers, and what the user configured.

    ``reports_state``: it sends its scanner state to the holder (flag 64). ``newest_wins``: from 2026.7 on. ``probes``:
    it may answer a question about a connection, which it does to the holder only.
    """

    reports_state: bool
    newest_wins: bool
    insist: bool
    probes: bool = False


_RECOVERY = (Step.RESUBSCRIBE, Step.TOGGLE, Step.RECONNECT)
"""For a silent scanner (docs/protocol/esphome-proxy.md#silent-scanner)."""
_MISSES = 2
"""Probes without an answer after which the stream is another client's: one answer may be lost in a full buffer."""
_EXPECTED = 15.0
"""Advertisements whose absence is a silence, at the proxy's own pace."""
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
        self._taken = 0
        self._step = 0
        self._quietness = 1.0
        self._probed = NEVER
        self._probes = False
        self._misses = 0
        self._missed = NEVER
        self.due = 0.0  # when the stream is asked for again, or the next step of a recovery is taken
        self.state = ProxyState.CONNECTING

    def connected(self, traits: StreamTraits, now: float) -> None:
        """A session is up and was subscribed for the first time."""
        self._traits = traits
        self._probes = False
        self._since = now
        self.subscribed(now)
        if self._step < len(_RECOVERY):
            self.state = ProxyState.CONNECTING

    def subscribed(self, now: float) -> None:
        """The stream was asked for."""
        self._subscribed = now
        self._reported = None
        self._flowed = False
        self._misses = 0
        self._probed = NEVER

    def probed(self, now: float, *, ours: bool) -> None:
        """The node was asked for what it answers to the holder only, and answered, or answered everything else."""
        if ours:
            self._probes = True
            self._misses = 0
            self._reported = now
        elif self._probes:
            # Firmware that never answered this question says nothing by not answering.
            self._misses += 1
            self._missed = now

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

    def tick(self, now: float, heard: float | None, *, others: bool, busy: bool = False, pace: float = 0.0) -> Step:
        """Judge the stream. ``heard``: when the last advertisement came. ``others``: whether another proxy hears any.

        ``busy``: a connection to a device is open or being set up, so the stream is not touched. ``pace``: its
        advertisements a second.
        """
        step = self._judge(now, heard, self._limit(0.0 if busy else pace, others=others), busy=busy)
        if step is Step.NOTHING and not busy and self._to_probe(now, heard):
            self._probed = now
            return Step.PROBE
        return step

    def _limit(self, pace: float, *, others: bool) -> float:
        """Seconds from which a silence is one: at its own pace, and longer where no other proxy hears anything."""
        timing = self._timing
        shortest, longest = (timing.brief_silence, timing.silence) if others else (timing.silence, timing.silence_alone)
        expected = longest if pace <= 0.0 else shortest * max(1.0, _EXPECTED / (pace * timing.brief_silence))
        return self._quietness * min(longest, expected)

    def _to_probe(self, now: float, heard: float | None) -> bool:
        """Whether the node is asked now: once when the stream is ours, and repeatedly while it is quiet."""
        if not self._traits.probes or self._reported is None or self.state is ProxyState.TAKEN:
            return False
        quiet = now - max(heard or NEVER, self._subscribed, self._resumed)
        return self._probed < self._subscribed or (
            quiet >= self._timing.quiet and now - self._probed >= self._timing.quiet
        )

    def _judge(self, now: float, heard: float | None, limit: float, *, busy: bool) -> Step:
        if heard is not None and heard >= self._subscribed:
            self._flowed = True
            quiet = now - max(heard, self._resumed)
        else:
            quiet = now - max(self._subscribed, self._since, self._resumed)
        if heard is not None and heard >= self._missed:
            self._misses = 0
        if self._misses >= _MISSES:
            return self._judge_taken(now, busy=busy)
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
        return Step.NOTHING

    def _judge_refused(self, now: float, *, busy: bool) -> Step:
        waited = now - self._subscribed
        if waited < self._timing.state:
            return Step.NOTHING
        self.state = ProxyState.HELD
        if busy or waited < self._timing.held:
            return Step.NOTHING
        return Step.SUBSCRIBE

    def _judge_taken(self, now: float, *, busy: bool) -> Step:
        if self.state is not ProxyState.TAKEN:
            self.state = ProxyState.TAKEN
            wait = self._timing.taken * min(2.0 ** (self._taken - 1), _LONGEST_WAIT)
            if self._taken == 0:
                wait = self._timing.taken_once
            self.due = now + (self._timing.insist if self._traits.insist else wait)
            self._taken += 1
        if busy or now < self.due:
            return Step.NOTHING
        self.state = ProxyState.CONNECTING
        self._since = now
        return Step.SUBSCRIBE

    def _judge_silent(self, now: float, *, busy: bool) -> Step:
        if self._step == 0:
            self.state = ProxyState.SILENT
            self.due = now
        if busy or now < self.due:
            return Step.NOTHING
        if self._step >= len(_RECOVERY):
            self.state = ProxyState.WEDGED
            self.due = now + self._timing.wedged
            return Step.RESUBSCRIBE
        step = _RECOVERY[self._step]
        self._step += 1
        self.due = now + self._timing.recovery_step
        if step is Step.TOGGLE and not self._traits.reports_state:
            return Step.NOTHING
        return step
