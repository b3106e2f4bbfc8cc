"""A beacon that goes on with an event: presses that nobody made.

What comes in: of one device, the new frames that hold events. What goes out: whether their events fire.

Some firmware of Shelly's buttons repeats the last press in every beacon, each time under the next packet id
(home-assistant/core#92758, #95892)::

    id 17 press   id 18 press   id 19 press   id 20 press        every eight seconds, for minutes
    fires         fires         does not      does not

By its bytes the second one is a person who presses again. A person does not press a third time after exactly the same
pause, so from the third on at one pace the event is the beacon's.
"""

from proxy_listener.formats.layout import Events, Values
from proxy_listener.model.timing import NEVER

SHORTEST = 3.0
"""Seconds between two beacons, at least; a person presses faster in a row."""

LONGEST = 120.0

UNEVEN = 0.08
"""Part of the pause by which beacons differ, at most: the radio adds up to 10 ms to each, a proxy 200 ms."""

LOST_IN_A_ROW = 4
"""Beacons that may be lost between two that are heard."""


class Beacon:
    """The last event of one device, and the pace at which it comes again."""

    __slots__ = ("_found", "_heard", "_pace")

    def __init__(self) -> None:
        self._found: tuple[Values, Events] | None = None
        self._heard = NEVER
        self._pace = 0.0

    def fires(self, values: Values, events: Events, heard: float) -> bool:
        """Note a new frame with events; False where they are a beacon's."""
        pause, pace, same = heard - self._heard, self._pace, self._found == (values, events)
        self._found, self._heard = (values, events), heard
        if not same or not SHORTEST <= pause <= LONGEST:
            self._pace = 0.0
            return True
        beats = max(1, round(pause / pace)) if pace else 0
        if 0 < beats <= 1 + LOST_IN_A_ROW and abs(pause - beats * pace) <= max(0.3, UNEVEN * pace):
            return False
        self._pace = pause
        return True
