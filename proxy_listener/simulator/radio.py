"""Rooms and the reception in them. Pure: positions in metres, RSSI in dBm, randomness from the given generator.

The model: log-distance path loss, a loss per wall, normal fading per packet. The constants are those of brick houses
(ITU-R P.1238 has 28 dB per decade for homes; 5 dB is a light wall at 2.4 GHz).
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
"""dB above the floor in which half of the packets are lost to noise."""


@attrs.frozen
class Room:
    """One room with one proxy. ``loss``: the share of packets lost by the scan and Wi-Fi. ``latency``: seconds."""

    name: str
    place: Point
    loss: float = 0.25
    latency: float = 0.0


@lru_cache(maxsize=65_536)
def mean_rssi(a: Point, b: Point) -> float:
    """DBm at ``b`` of a sender at ``a``, without fading."""
    distance = max(0.3, math.dist(a, b))
    walls = math.floor(distance / ROOM_WIDTH)
    return AT_ONE_METRE - PER_DECADE * math.log10(distance) - PER_WALL * walls


def receive(chance: Random, mean: float, loss: float) -> int | None:
    """Receive one packet: its RSSI, or None if it is lost."""
    if chance.random() < loss:
        return None
    rssi = mean + chance.gauss(0.0, FADING)
    if rssi < FLOOR or (rssi < FLOOR + FRINGE and chance.random() < 0.5):
        return None
    return min(-20, round(rssi))
