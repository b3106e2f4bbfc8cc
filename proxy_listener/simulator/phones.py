"""Other senders: phones, watches, beacons and trackers, with addresses that change.

Invariant: none of the payloads has a format that is decoded. They are service data of other UUIDs, manufacturer data,
scan responses, and empty or invalid payloads.
"""

from collections.abc import Iterator
from random import Random

from proxy_listener.model.advertisement import RANDOM, SERVICE_DATA_16
from proxy_listener.simulator.devices import Transmission
from proxy_listener.simulator.frames import FLAGS, structure
from proxy_listener.simulator.radio import Point

MANUFACTURER, NAME, UUIDS_16 = 0xFF, 0x09, 0x03
APPLE, MICROSOFT, SAMSUNG = 0x004C, 0x0006, 0x0075
FAST_PAIR, EDDYSTONE, EXPOSURE, SWITCHBOT, TILE = 0xFE2C, 0xFEAA, 0xFD6F, 0xFD3D, 0xFEED
ROTATION = 900.0
"""Seconds that a random private address is kept (Bluetooth Core, volume 3, part C, appendix A)."""


def phone(chance: Random, place: Point, interval: float, rotation: float = ROTATION) -> Iterator[Transmission]:
    """The transmissions of one sender, without end."""
    time = chance.uniform(0.0, interval)
    address, changes = _address(chance), time + chance.uniform(0.0, rotation)
    payload = _payload(chance)
    while True:
        if time >= changes:
            address, changes, payload = _address(chance), time + rotation, _payload(chance)
        yield Transmission(time, address, RANDOM, payload, place)
        time += interval * chance.uniform(0.5, 1.5)


def _address(chance: Random) -> int:
    return chance.getrandbits(46) | 1 << 46  # a resolvable private address begins with the bits 01


def _payload(chance: Random) -> bytes:
    def noise(low: int, high: int) -> bytes:
        return chance.randbytes(chance.randint(low, high))

    def company(number: int, data: bytes) -> bytes:
        return structure(MANUFACTURER, number.to_bytes(2, "little") + data)

    def service(uuid: int, data: bytes) -> bytes:
        return structure(SERVICE_DATA_16, uuid.to_bytes(2, "little") + data)

    forms = (
        lambda: FLAGS + company(APPLE, b"\x10\x05" + noise(5, 5)),
        lambda: FLAGS + company(APPLE, b"\x12\x19" + noise(22, 22)),
        lambda: company(MICROSOFT, b"\x01\x09\x20\x02" + noise(20, 20)),
        lambda: FLAGS + company(SAMSUNG, b"\x42\x04" + noise(20, 20)),
        lambda: FLAGS + service(FAST_PAIR, noise(3, 10)),
        lambda: FLAGS + structure(UUIDS_16, EDDYSTONE.to_bytes(2, "little")) + service(EDDYSTONE, noise(10, 20)),
        lambda: FLAGS + structure(UUIDS_16, EXPOSURE.to_bytes(2, "little")) + service(EXPOSURE, noise(20, 20)),
        lambda: FLAGS + service(SWITCHBOT, b"\x54" + noise(6, 12)),
        lambda: service(TILE, noise(8, 8)) + structure(NAME, b"watch of somebody"),
        lambda: noise(4, 31),
        lambda: b"",
    )
    weights = (20, 20, 8, 8, 8, 4, 10, 2, 4, 1, 1)
    return chance.choices(forms, weights)[0]()
