"""Who hears which device how well, and in which room it therefore is.

What comes in: for one device, each copy that may count (proxy, RSSI, monotonic time, the frame's serial number). What
goes out: per proxy a smoothed RSSI, when it last heard, how many frames it heard and how many nobody else did; and the
nearest proxy.

The rule of this file: the nearest proxy changes only for a lead of 6 dB that lasted 20 s, or because it stopped hearing
a device that others hear; so a sensor on a shelf never hops, and one that is carried follows within half a minute.
"""

from collections.abc import Iterator
from typing import NamedTuple

import attrs

SMOOTHING = 0.15
"""Weight of a new RSSI: single packets scatter by 5 to 10 dB indoors, and a burst of copies has four to ten of them."""

RESTART_AFTER = 120.0
"""Seconds of silence after which the old smoothed RSSI says little: the next one weighs half."""

LEAD, LEAD_SECONDS = 6.0, 20.0
"""habluetooth wants 16 dB and freezes to one room; 6 dB for 20 s is what walls differ by and people do not wait for."""

SETTLE_SECONDS = 1.0
"""Until then not every room has delivered its copy of the first frame: firmware batches for 100 to 200 ms."""

LOST_SECONDS, LOST_GAPS = 60.0, 3.0
"""A proxy has lost a device that it did not hear for three of the device's usual gaps, and a minute at least."""

UNKNOWN_RSSI = 0

PROXIES = 128
"""Routes of one device: more rooms than a signal reaches."""

FRAMES_IN_FLIGHT = 8
"""Frames of which it is still open whether another proxy delivers them too."""


@attrs.define(slots=True)
class Route:
    """How one proxy hears one device. ``heard``: monotonic seconds; ``frames``: how many distinct ones it heard;
    ``alone``: how many of these no other proxy heard.

    Not frozen: a copy of a known frame, the most frequent thing there is, moves two numbers here.
    """

    rssi: float
    heard: float
    address_type: int
    frames: int = 0
    alone: int = 0
    serial: int = 0


class Counted(NamedTuple):
    """What one proxy heard of one device since it was last asked: frames, those heard by it alone, those of all."""

    proxy: str
    frames: int
    alone: int
    of: int


class Routes:
    """The routes of one device, and the nearest of its proxies."""

    __slots__ = (
        "_challenger",
        "_challenger_heard",
        "_counted",
        "_first_heard",
        "_gap",
        "_new",
        "_only",
        "by_proxy",
        "frames",
        "nearest",
    )

    def __init__(self) -> None:
        self.by_proxy: dict[str, Route] = {}
        self.frames = 0
        self.nearest: str | None = None
        self._challenger: str | None = None
        self._challenger_heard = 0.0
        self._first_heard: float | None = None
        self._new = 0.0
        self._gap = 0.0
        self._only: dict[int, str] = {}
        self._counted: dict[str, tuple[int, int]] = {}

    def note(self, proxy: str, rssi: int, heard: float, serial: int, address_type: int) -> None:
        """A copy of the device's frame number ``serial`` came through ``proxy``; RSSI 0 is unknown."""
        route = self.by_proxy.get(proxy)
        if route is None:
            if rssi == UNKNOWN_RSSI:
                return
            self._make_room()
            route = self.by_proxy[proxy] = Route(rssi, heard, address_type)
            if self._first_heard is None:
                self._first_heard = heard
        elif rssi != UNKNOWN_RSSI:
            route.rssi += (SMOOTHING if heard - route.heard < RESTART_AFTER else 0.5) * (rssi - route.rssi)
        route.heard = heard
        if serial > route.serial:
            self._count(route, proxy, serial, heard)

    def _count(self, route: Route, proxy: str, serial: int, heard: float) -> None:
        """The first copy of a frame through this proxy; is it the first through any?"""
        route.serial = serial
        route.frames += 1
        if serial > self.frames:
            if self.frames:
                gap = heard - self._new
                self._gap += (SMOOTHING if self.frames > 1 else 1.0) * (gap - self._gap)
            self.frames, self._new = serial, heard
            self._only[serial] = proxy
            route.alone += 1
            if len(self._only) > FRAMES_IN_FLIGHT:
                del self._only[next(iter(self._only))]
        elif (first := self._only.pop(serial, None)) is not None:
            self.by_proxy[first].alone -= 1

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
        """Decide anew which proxy is nearest. True if it changed."""
        lost_before = heard - max(LOST_SECONDS, LOST_GAPS * self._gap)
        fresh = [(route.rssi, proxy) for proxy, route in self.by_proxy.items() if route.heard >= lost_before]
        if not fresh or self._first_heard is None:
            return False
        rssi, best = max(fresh)
        if self.nearest is None:
            if heard - self._first_heard < SETTLE_SECONDS:
                return False
        elif best == self.nearest:
            self._challenger = None
            return False
        elif (now := self.by_proxy[self.nearest]).heard >= lost_before:
            if rssi - now.rssi < LEAD:
                self._challenger = None
                return False
            if best != self._challenger:
                self._challenger, self._challenger_heard = best, heard
            if heard - self._challenger_heard < LEAD_SECONDS:
                return False
        self.nearest, self._challenger = best, None
        return True

    def _make_room(self) -> None:
        """Nodes can be renamed without end: the route longest unheard goes."""
        if len(self.by_proxy) >= PROXIES:
            proxy = min(self.by_proxy, key=lambda name: self.by_proxy[name].heard)
            del self.by_proxy[proxy]
            self._counted.pop(proxy, None)
            self._only = {serial: first for serial, first in self._only.items() if first != proxy}
            if proxy == self.nearest:
                self.nearest = None

    def __iter__(self) -> Iterator[tuple[str, Route]]:
        """``(proxy, route)``, best first."""
        return iter(sorted(self.by_proxy.items(), key=lambda item: item[1].rssi, reverse=True))
