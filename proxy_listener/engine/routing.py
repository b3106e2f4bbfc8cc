"""Which proxies hear a device, how well, and in which room it therefore is.

What comes in: for one device, each copy that may count (proxy, RSSI, monotonic time, the frame's serial number). What
goes out: per proxy a smoothed RSSI, when it last heard, how many frames it heard and how many no other proxy did, and
what others heard since; and the nearest proxy.

The nearest proxy changes only for a lead of 6 dB that lasted 20 s and three frames, or because it heard nothing for
five minutes of what others heard. A proxy that lost a device because it was away gets it back without a lead, once it
hears it best for as long. So the room of a sensor on a shelf does not change, and that of one that is carried follows
within half a minute. Silence of the device itself, or of a stalled proxy, changes nothing.
"""

from collections.abc import Iterator
from math import log10
from typing import NamedTuple

import attrs

SMOOTHING = 0.1
"""Weight of a new RSSI: single packets vary by 3 to 5 dB indoors, so the smoothed value varies by about one. More
weight after a silence would let the room of a device that rarely sends change with each burst."""

LEAD, LEAD_SECONDS, LEAD_FRAMES = 6.0, 20.0, 3
"""habluetooth wants 16 dB and freezes to one room; 6 dB for 20 s is what walls differ by and people do not wait for."""

LOST_SECONDS, LOST_FRAMES = 300.0, 8
"""Beyond the longest stalls seen (four minutes) a proxy that misses frame after frame has lost the device."""

SETTLE_SECONDS = 1.0
"""Until then not every room has delivered its copy of the first frame: firmware batches for 100 to 200 ms
(docs/protocol/esphome-proxy.md#batching)."""

BEAT_SECONDS = 1.0
"""Packets of one second are one beat of the device: frames are repeated within it, and proxies deliver in batches."""

OPEN_BEATS = 2
"""Beats that a proxy may still deliver: the present one, and the one before where its network is slow."""

LEAST_SHARE, MOST_SHARE = 0.05, 0.9
"""Of a device's beats, as far as a proxy's record of them is believed."""

MISSED_COST, MISSED_COST_LIMIT = 20.0, 60.0
"""dB for each power of ten by which it is improbable that a proxy that still hears the device missed so many beats in a
row. A proxy that heard nine of ten and misses three loses all 60, more than RSSI differs within a house."""

UNKNOWN_RSSI = 0
SILENCE = float("-inf")
"""dBm of a device that is not heard."""

PROXIES = 128
"""Routes of one device: more rooms than a signal reaches."""

FRAMES_IN_FLIGHT = 8
"""Frames of which it is still open whether another proxy delivers them too."""


@attrs.define(slots=True)
class Route:
    """How one proxy hears one device. ``heard``: monotonic seconds; ``frames``: how many distinct ones it heard;
    ``alone``: how many of these no other proxy heard; ``beat``: the last one in which it heard the device;
    ``beat_share``: the share of the device's beats in which it did, smoothed.

    Not frozen: a copy of a known frame, the most frequent thing there is, moves two numbers here.
    """

    rssi: float
    heard: float
    address_type: int
    frames: int = 0
    alone: int = 0
    serial: int = 0
    beat: int = 0
    beat_share: float = 0.5


class Counted(NamedTuple):
    """What one proxy heard of one device since it was last asked: frames, those heard by it alone, those of all."""

    proxy: str
    frames: int
    alone: int
    of: int


class Routes:
    """The routes of one device, and the nearest of its proxies."""

    __slots__ = (
        "_beat",
        "_beat_began",
        "_challenger",
        "_challenger_frames",
        "_challenger_heard",
        "_counted",
        "_displaced",
        "_first_heard",
        "_only",
        "by_proxy",
        "frames",
        "nearest",
    )

    def __init__(self) -> None:
        self.by_proxy: dict[str, Route] = {}
        self.frames = 0
        self.nearest: str | None = None
        self._beat = 0
        self._beat_began = SILENCE
        self._challenger: str | None = None
        self._challenger_heard = 0.0
        self._challenger_frames = 0
        self._displaced: str | None = None
        self._first_heard: float | None = None
        self._only: dict[int, Route] = {}
        self._counted: dict[str, tuple[int, int]] = {}

    def note(self, proxy: str, rssi: int, heard: float, serial: int, address_type: int) -> None:
        """A copy of the device's frame number ``serial`` came through ``proxy``; RSSI 0 is unknown."""
        if heard - self._beat_began >= BEAT_SECONDS:
            self._beat += 1
            self._beat_began = heard
        route = self.by_proxy.get(proxy)
        if route is None:
            if rssi == UNKNOWN_RSSI:
                return
            self._make_room()
            route = self.by_proxy[proxy] = Route(rssi, heard, address_type, beat=self._beat)
            if self._first_heard is None:
                self._first_heard = heard
        elif rssi != UNKNOWN_RSSI:
            route.rssi += SMOOTHING * (rssi - route.rssi)
        route.heard = heard
        if route.beat != self._beat:
            route.beat_share *= (1 - SMOOTHING) ** (self._beat - route.beat)
            route.beat_share += SMOOTHING
            route.beat = self._beat
        if serial > route.serial:
            self._count(route, serial)

    def _count(self, route: Route, serial: int) -> None:
        """The first copy of a frame through this proxy; is it the first through any?"""
        route.serial = serial
        route.frames += 1
        if serial > self.frames:
            self.frames = serial
            self._only[serial] = route
            route.alone += 1
            if len(self._only) > FRAMES_IN_FLIGHT:
                del self._only[next(iter(self._only))]
        elif (first := self._only.pop(serial, None)) is not None:
            first.alone -= 1

    def missed(self, route: Route) -> float:
        """What it costs a proxy, in dB, that others heard the device since it last did.

        The age of a route in units of the device's own pace: silence of the device costs nothing.
        """
        beats = self._beat - route.beat - OPEN_BEATS
        if beats <= 0:
            return 0.0
        share = min(MOST_SHARE, max(LEAST_SHARE, route.beat_share))
        return min(MISSED_COST_LIMIT, -MISSED_COST * beats * log10(1 - share))

    def counted(self) -> list[Counted]:
        """What each proxy heard since the last call, for the record of hearing; also those that missed it all."""
        _, of = self._counted.get("", (0, 0))
        self._counted[""] = (0, self.frames)
        rows = []
        for proxy, route in self.by_proxy.items():
            frames, alone = self._counted.get(proxy, (0, 0))
            self._counted[proxy] = (route.frames, route.alone)
            row = Counted(proxy, route.frames - frames, route.alone - alone, self.frames - of)
            if any(row[1:]):
                rows.append(row)
        return rows

    def settle(self, heard: float) -> bool:
        """Decide which proxy is nearest now. True if it changed."""
        best, highest, level = self._best(heard)
        if best is None or self._first_heard is None:
            return False
        if self.nearest is None:
            if heard - self._first_heard < SETTLE_SECONDS:
                return False
        elif best == self.nearest:
            self._challenger = None
            return False
        elif level is not None:
            if highest - level < (0.0 if best == self._displaced else LEAD):
                self._challenger = None
                return False
            if best != self._challenger:
                self._challenger, self._challenger_heard, self._challenger_frames = best, heard, self.frames
            if heard - self._challenger_heard < LEAD_SECONDS or self.frames - self._challenger_frames < LEAD_FRAMES:
                return False
        self._displaced = self.nearest if level is None else None
        self.nearest, self._challenger = best, None
        return True

    def _best(self, heard: float) -> tuple[str | None, float, float | None]:
        """The proxy that hears it best, how well, and how well the nearest does; of those that have not lost it."""
        best, highest, level = None, SILENCE, None
        frames, nearest = self.frames, self.nearest
        for proxy, route in self.by_proxy.items():
            if frames - route.serial >= LOST_FRAMES and heard - route.heard >= LOST_SECONDS:
                continue
            rssi = route.rssi
            if rssi > highest:
                best, highest = proxy, rssi
            if proxy == nearest:
                level = rssi
        return best, highest, level

    def _make_room(self) -> None:
        """Nodes can be renamed without end: the route longest unheard goes."""
        if len(self.by_proxy) >= PROXIES:
            proxy = min(self.by_proxy, key=lambda name: self.by_proxy[name].heard)
            del self.by_proxy[proxy]
            self._counted.pop(proxy, None)
            if proxy == self.nearest:
                self.nearest = None

    def __iter__(self) -> Iterator[tuple[str, Route]]:
        """``(proxy, route)``, best first."""
        return iter(sorted(self.by_proxy.items(), key=lambda item: item[1].rssi, reverse=True))
