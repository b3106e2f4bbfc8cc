"""Simulated models that are not in MiBeacon: an air monitor of Qingping, a plant sensor with BTHome, pvvx's firmware.

Invariant: as in :mod:`proxy_listener.simulator.profiles`, bytes and expected values are written side by side by hand.
"""

import struct
from collections.abc import Iterator
from random import Random

from proxy_listener.formats.atc import UUID as ATC
from proxy_listener.formats.bthome.frames import V2 as BTHOME
from proxy_listener.formats.qingping import UUID as QINGPING
from proxy_listener.model.advertisement import Address
from proxy_listener.simulator.frames import bthome_v2, qingping
from proxy_listener.simulator.profile import Content, Profile, walk

CGDN1, WIFI_BELOW = 0x0E, 2
"""Its device id, and how far below its address the MAC in its frames is (docs/protocol/qingping.md#frame)."""


def air_monitor(chance: Random) -> Iterator[Content]:
    """CGDN1: temperature, humidity, particles and carbon dioxide in one frame, without a counter."""
    warmth, damp = walk(chance, 224, 50, 350, 2), walk(chance, 430, 200, 900, 6)
    dust, carbon = walk(chance, 12, 0, 400, 3), walk(chance, 720, 400, 3_000, 25)
    while True:
        tenths, permille, fine, ppm = next(warmth), next(damp), next(dust), next(carbon)
        coarse = fine + chance.randint(0, 9)
        objects = b"\x01\x04" + struct.pack("<hH", tenths, permille)
        objects += b"\x12\x04" + struct.pack("<HH", fine, coarse) + b"\x13\x02" + struct.pack("<H", ppm)
        air = {"pm25": fine, "pm10": coarse, "carbon_dioxide": ppm}
        yield Content(objects, {"temperature": tenths / 10, "humidity": permille / 10, **air}, wait=120)


def pot(chance: Random) -> Iterator[Content]:
    """b-parasite: temperature, humidity of the air and moisture of the soil, encrypted."""
    warmth, damp, wet = (
        walk(chance, 2150, 500, 3_500, 15),
        walk(chance, 5000, 2_000, 9_000, 40),
        walk(chance, 4_100, 500, 8_000, 30),
    )
    while True:
        hundredths, air, soil = next(warmth), next(damp), next(wet)
        objects = struct.pack("<BhBHBH", 0x02, hundredths, 0x03, air, 0x14, soil)
        values = {"temperature": hundredths / 100, "humidity": air / 100, "moisture": soil / 100}
        yield Content(objects, values, wait=600)


def custom_climate(chance: Random) -> Iterator[Content]:
    """LYWSD03MMC with pvvx's firmware in its own format: hundredths, battery, voltage; no switch is connected."""
    warmth, damp = walk(chance, 2_080, 500, 3_500, 12), walk(chance, 4_600, 2_000, 9_000, 30)
    while True:
        hundredths, humidity, millivolts = next(warmth), next(damp), chance.randint(2_940, 2_960)
        numbers = struct.pack("<hHHB", hundredths, humidity, millivolts, 87)
        climate = {"temperature": hundredths / 100, "humidity": humidity / 100}
        yield Content(numbers, {**climate, "voltage": millivolts / 1000, "battery": 87, "opening": False}, wait=120)


def _qingping(content: bytes, mac: Address, _counter: int, _key: bytes | None) -> bytes:
    return qingping(mac - WIFI_BELOW, CGDN1) + content


def _bthome(content: bytes, mac: Address, counter: int, key: bytes | None) -> bytes:
    return bthome_v2(content, mac=mac, counter=counter, key=key)


def _pvvx(content: bytes, mac: Address, counter: int, _key: bytes | None) -> bytes:
    return mac.to_bytes(6, "little") + content + bytes((counter, 0))


NEIGHBOURS = (
    Profile(
        "CGDN1", "air monitor", None, 0x7CC294, False, air_monitor, uuid=QINGPING, wrap=_qingping, copies=4, spacing=0.3
    ),
    Profile(
        "prst",
        "pot",
        None,
        0xF0CAF0,
        True,
        pot,
        uuid=BTHOME,
        wrap=_bthome,
        counter_bits=32,
        local_name="prst",
        copies=8,
        spacing=0.1,
    ),
    Profile(
        "ATC",
        "custom climate",
        None,
        0xA4C138,
        False,
        custom_climate,
        uuid=ATC,
        wrap=_pvvx,
        counter_bits=8,
        copies=4,
        spacing=0.5,
    ),
)
"""Rows of the table of simulated models."""
