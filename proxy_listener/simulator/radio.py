"""Rooms and how far radio goes in them. Pure: positions in metres, RSSI in dBm, chance from the generator handed in.

The rule of this file: log-distance path loss, a loss per wall on the way, normal fading per packet. Exponent and
walls are those of brick houses (ITU-R P.1238 gives 28 dB a decade for homes; 5 dB is a light wall at 2.4 GHz).
"""

import math
from functools import lru_cache
from random import Random
from typing import TypeAlias

import attrs

Point: TypeAlias = tuple[float, float]

AT_ONE_METRE = -55.0
PER_DECADE = 28.0
PER_WALL = 5.0
ROOM_WIDTH = 4.0
FADING = 3.5
"""dB, standard deviation from packet to packet."""
FLOOR = -97
"""dBm: an ESP32 receives nothing weaker."""
FRINGE = 8.0
"""dB above the floor where half of the packets that would get through are lost to noise."""


@attrs.frozen
class Room:
    """One room with one proxy in it. ``loss`` is the share of packets that the scan's duty cycle and Wi-Fi lose."""

    name: str
    place: Point
    loss: float = 0.25
    latency: float = 0.0


@lru_cache(maxsize=65_536)
def mean_rssi(a: Point, b: Point) -> float:
    """What arrives at ``b`` of a sender at ``a``, dBm, without fading."""
    distance = max(0.3, math.dist(a, b))
    walls = math.floor(distance / ROOM_WIDTH)
    return AT_ONE_METRE - PER_DECADE * math.log10(distance) - PER_WALL * walls


def receive(chance: Random, mean: float, loss: float) -> int | None:
    """One packet at a receiver: its RSSI, or None where it was lost."""
    if chance.random() < loss:
        return None
    rssi = mean + chance.gauss(0.0, FADING)
    if rssi < FLOOR or (rssi < FLOOR + FRINGE and chance.random() < 0.5):
        return None
    return min(-20, round(rssi))
