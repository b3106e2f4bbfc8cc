"""Generates a house from a seed: rooms, the firmware of their nodes, devices with places and keys.

Invariant: the same seed and sizes give the same house on every machine.
"""

from collections.abc import Sequence
from random import Random

import attrs

from proxy_listener.model.secret import Secret
from proxy_listener.node.firmware import ESPHOME_2025_6, ESPHOME_2026_6, ESPHOME_2026_10, Firmware
from proxy_listener.simulator.devices import SimulatedDevice
from proxy_listener.simulator.profiles import PROFILES
from proxy_listener.simulator.radio import Point, Room
from proxy_listener.simulator.seeded_random import random_for

NAMES = ("Kitchen", "Hall", "Bedroom", "Living room", "Office", "Bathroom", "Cellar", "Attic", "Nursery", "Garage")
COLUMNS, WIDTH, DEPTH = 3, 5.0, 4.0
"""Rooms are laid out in rows of three, metres apart."""

FIRMWARES: Sequence[Firmware] = (ESPHOME_2026_10, ESPHOME_2026_6, ESPHOME_2025_6, ESPHOME_2026_10.passive())
"""Of the rooms' nodes, in turn."""

ORDER = (
    "climate",
    "round climate",
    "plant",
    "door",
    "motion",
    "button",
    "body scale",
    "plant",
    "climate",
    "switch",
    "pink plant",
    "scale",
    "air monitor",
    "pot",
    "custom climate",
    "old plant",
    "clock",
)
"""Profiles of the devices, in turn: the first dozen is a fair sample of Xiaomi's, and the first fifteen of all."""


def generate_rooms(count: int, loss: float) -> list[Room]:
    """``count`` rooms in a grid, each losing that share of packets."""
    rooms = []
    for index in range(count):
        name = NAMES[index % len(NAMES)] + (f" {index // len(NAMES) + 1}" if index >= len(NAMES) else "")
        place = (index % COLUMNS * WIDTH + WIDTH / 2, index // COLUMNS * DEPTH + DEPTH / 2)
        rooms.append(Room(name, place, loss))
    return rooms


def generate_devices(seed: str, count: int, rooms: Sequence[Room]) -> list[SimulatedDevice]:
    """``count`` devices, each at a random place in a room and named after it."""
    chance = random_for(seed, "devices")
    devices: list[SimulatedDevice] = []
    for index in range(count):
        profile = PROFILES[ORDER[index % len(ORDER)]]
        room = rooms[index % len(rooms)] if index < len(rooms) else chance.choice(rooms)
        name = f"{room.name} {profile.name}"
        if any(device.name == name for device in devices):
            name += f" {index + 1}"
        key = Secret(chance.randbytes(16).hex()) if profile.encrypted else None
        mac = profile.oui << 24 | chance.getrandbits(24)
        devices.append(SimulatedDevice(mac, profile, name, _random_place(chance, room), key))
    return devices


def generate_neighbours(seed: str, count: int, rooms: Sequence[Room]) -> list[SimulatedDevice]:
    """Encrypted sensors next door: received weakly, and without a known key."""
    chance = random_for(seed, "neighbours")
    profile = attrs.evolve(PROFILES["climate"], copies=4)
    across = max((room.place[0] for room in rooms), default=0.0) + 6.0
    return [
        SimulatedDevice(
            profile.oui << 24 | chance.getrandbits(24),
            profile,
            f"Neighbour's {profile.name} {index + 1}",
            (across, chance.uniform(0.0, DEPTH)),
            Secret(chance.randbytes(16).hex()),
            listed=False,
        )
        for index in range(count)
    ]


def _random_place(chance: Random, room: Room) -> Point:
    x, y = room.place
    return x + chance.uniform(-WIDTH / 2, WIDTH / 2), y + chance.uniform(-DEPTH / 2, DEPTH / 2)
