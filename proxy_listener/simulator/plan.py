"""A seed -> a house: rooms, nodes' firmware, devices with their places and keys.

The rule of this file: everything is drawn from generators named after the seed, so the same numbers make the same
house on every machine.
"""

from collections.abc import Sequence
from random import Random

import attrs

from proxy_listener.model.secret import Secret
from proxy_listener.node.firmware import ESPHOME_2025_6, ESPHOME_2026_6, ESPHOME_2026_10, Firmware
from proxy_listener.simulator.chance import chance_of
from proxy_listener.simulator.devices import Device
from proxy_listener.simulator.kinds import KINDS
from proxy_listener.simulator.radio import Point, Room

NAMES = ("Kitchen", "Hall", "Bedroom", "Living room", "Office", "Bathroom", "Cellar", "Attic", "Nursery", "Garage")
COLUMNS, WIDTH, DEPTH = 3, 5.0, 4.0
"""Rooms are laid out in rows of three, metres apart."""

FIRMWARES: Sequence[Firmware] = (ESPHOME_2026_10, ESPHOME_2026_6, ESPHOME_2025_6, ESPHOME_2026_10.passive())
"""What the rooms' nodes run, by turns."""

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
    "old plant",
)
"""Kinds of devices, in which a house of any size is a fair sample."""


def plan_rooms(count: int, loss: float) -> list[Room]:
    """``count`` rooms in a grid, each losing that share of packets."""
    rooms = []
    for index in range(count):
        name = NAMES[index % len(NAMES)] + (f" {index // len(NAMES) + 1}" if index >= len(NAMES) else "")
        place = (index % COLUMNS * WIDTH + WIDTH / 2, index // COLUMNS * DEPTH + DEPTH / 2)
        rooms.append(Room(name, place, loss))
    return rooms


def plan_devices(seed: str, count: int, rooms: Sequence[Room]) -> list[Device]:
    """``count`` devices, each somewhere in a room, named after it."""
    chance = chance_of(seed, "devices")
    devices: list[Device] = []
    for index in range(count):
        kind = KINDS[ORDER[index % len(ORDER)]]
        room = rooms[index % len(rooms)] if index < len(rooms) else chance.choice(rooms)
        name = f"{room.name} {kind.name}"
        if any(device.name == name for device in devices):
            name += f" {index + 1}"
        key = Secret(chance.randbytes(16).hex()) if kind.encrypted else None
        devices.append(Device(kind.oui << 24 | chance.getrandbits(24), kind, name, _somewhere(chance, room), key))
    return devices


def plan_neighbours(seed: str, count: int, rooms: Sequence[Room]) -> list[Device]:
    """Encrypted sensors next door: heard weakly, of whom no key is known."""
    chance = chance_of(seed, "neighbours")
    kind = attrs.evolve(KINDS["climate"], copies=4)
    across = max((room.place[0] for room in rooms), default=0.0) + 6.0
    return [
        Device(
            kind.oui << 24 | chance.getrandbits(24),
            kind,
            f"Neighbour's {kind.name} {index + 1}",
            (across, chance.uniform(0.0, DEPTH)),
            Secret(chance.randbytes(16).hex()),
            listed=False,
        )
        for index in range(count)
    ]


def _somewhere(chance: Random, room: Room) -> Point:
    x, y = room.place
    return x + chance.uniform(-WIDTH / 2, WIDTH / 2), y + chance.uniform(-DEPTH / 2, DEPTH / 2)
