"""The table of simulated models: what each sends, how often, and the values that its readings must have.

``contents`` of a profile yields :class:`Content` without end, drawn from the given generator. Invariant: bytes and
expected values are written side by side by hand, not with the decoder under test.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from random import Random

from proxy_listener.formats.xiaomi.hhcc import UUID as TUYA
from proxy_listener.formats.xiaomi.miscale import BODY_COMPOSITION, WEIGHT_SCALE
from proxy_listener.model.reading import Event, Value
from proxy_listener.simulator.frames import hhccjcy10, obj, scale_v1, scale_v2
from proxy_listener.simulator.neighbours import NEIGHBOURS
from proxy_listener.simulator.profile import MINUTE, Content, Profile, walk


def climate(chance: Random) -> Iterator[Content]:
    """LYWSD03MMC: temperature and humidity by turns every 10 min, battery each hour."""
    warmth, damp = walk(chance, 215, -100, 350, 3), walk(chance, 450, 200, 900, 8)
    battery = 100
    while True:
        for _ in range(3):
            tenths, permille = next(warmth), next(damp)
            yield Content(obj(0x1004, struct.pack("<h", tenths)), {"temperature": tenths / 10}, wait=5 * MINUTE)
            yield Content(obj(0x1006, struct.pack("<H", permille)), {"humidity": permille / 10}, wait=5 * MINUTE)
        battery = max(1, battery - chance.randint(0, 1))
        yield Content(obj(0x100A, bytes((battery,))), {"battery": battery}, wait=5 * MINUTE)


def round_climate(chance: Random) -> Iterator[Content]:
    """LYWSDCGQ: a new frame about every 3 s, both values in one object, and each alone."""
    warmth, damp = walk(chance, 205, -50, 350, 2), walk(chance, 550, 200, 900, 5)
    while True:
        tenths, permille = next(warmth), next(damp)
        both = struct.pack("<hH", tenths, permille)
        yield Content(obj(0x100D, both), {"temperature": tenths / 10, "humidity": permille / 10}, wait=3)
        yield Content(obj(0x1004, both[:2]), {"temperature": tenths / 10}, wait=3)
        yield Content(obj(0x1006, both[2:]), {"humidity": permille / 10}, wait=3)
        if chance.random() < 0.1:
            yield Content(obj(0x100A, b"\x51"), {"battery": 81}, wait=3)


def clock(chance: Random) -> Iterator[Content]:
    """LYWSD02: temperature and humidity by turns, each about once a minute."""
    warmth, damp = walk(chance, 230, 50, 350, 2), walk(chance, 480, 200, 900, 6)
    while True:
        tenths, permille = next(warmth), next(damp)
        yield Content(obj(0x1004, struct.pack("<h", tenths)), {"temperature": tenths / 10}, wait=30)
        yield Content(obj(0x1006, struct.pack("<H", permille)), {"humidity": permille / 10}, wait=30)


def door(chance: Random) -> Iterator[Content]:
    """MCCGQ02HL: open, closed, sometimes light, sometimes a sign of life without objects."""
    while True:
        yield Content(obj(0x1019, b"\x00"), {"opening": True}, wait=chance.uniform(2, 40))
        yield Content(obj(0x1019, b"\x01"), {"opening": False}, wait=chance.uniform(1, 20) * MINUTE)
        if chance.random() < 0.3:
            lit = chance.random() < 0.5
            yield Content(obj(0x1018, bytes((lit,))), {"light": lit}, wait=5 * MINUTE)
        if chance.random() < 0.3:
            yield Content(b"", {}, wait=10 * MINUTE)


def motion(chance: Random) -> Iterator[Content]:
    """RTCGQ02LM: motion every 25 s while someone moves, then one frame that there was none for 120 s."""
    while True:
        for _ in range(chance.randint(1, 4)):
            lit = chance.random() < 0.5
            lux = 256 if lit else 0
            yield Content(
                obj(0x000F, lux.to_bytes(3, "little")), {"motion": True, "light": lit}, wait=chance.uniform(25, 30)
            )
        still = obj(0x101B, struct.pack("<I", 120))
        yield Content(still, {"motion": False}, wait=chance.uniform(2, 15) * MINUTE)


def button(chance: Random) -> Iterator[Content]:
    """XMWXKG01LM: presses, objects without data."""
    presses = {0x4E0C: "press", 0x4E0D: "double_press", 0x4E0E: "long_press"}
    while True:
        object_id = chance.choice(list(presses))
        event = Event("button", presses[object_id])
        yield Content(obj(object_id, b""), {}, (event,), wait=chance.uniform(0.5, 15 * MINUTE))


def switch(chance: Random) -> Iterator[Content]:
    """YLAI003: presses, button 0, value 0, kind of press."""
    presses = ("press", "double_press", "long_press")
    while True:
        press = chance.randrange(3)
        yield Content(
            obj(0x1001, bytes((0, 0, press))),
            {},
            (Event("button", presses[press]),),
            wait=chance.uniform(0.5, 15 * MINUTE),
        )


def plant(chance: Random) -> Iterator[Content]:
    """HHCCJCY01: one quantity per frame, each about once a minute."""
    warmth, light = walk(chance, 220, -50, 400, 4), walk(chance, 900, 0, 30_000, 300)
    wet, salt = walk(chance, 40, 5, 80, 1), walk(chance, 300, 0, 2_000, 10)
    while True:
        tenths, lux, moisture, conductivity = next(warmth), next(light), next(wet), next(salt)
        yield Content(obj(0x1004, struct.pack("<h", tenths)), {"temperature": tenths / 10}, wait=15)
        yield Content(obj(0x1007, lux.to_bytes(3, "little")), {"illuminance": lux}, wait=15)
        yield Content(obj(0x1008, bytes((moisture,))), {"moisture": moisture}, wait=15)
        yield Content(obj(0x1009, conductivity.to_bytes(2, "little")), {"conductivity": conductivity}, wait=15)


def old_plant(chance: Random) -> Iterator[Content]:
    """HHCCJCY01 with firmware up to 2.7.0: only frames without values."""
    while True:
        yield Content(b"", {}, wait=chance.uniform(8, 12))


def pink_plant(chance: Random) -> Iterator[Content]:
    """HHCCJCY10: Tuya's format, all values at once, no counter."""
    warmth, wet = walk(chance, 180, -50, 350, 3), walk(chance, 35, 5, 80, 1)
    while True:
        tenths, moisture = next(warmth), next(wet)
        lux, battery, conductivity = chance.randint(0, 90_000), 88, chance.randint(50, 900)
        payload = hhccjcy10(tenths / 10, moisture, lux, battery, conductivity)
        values: dict[str, Value] = {
            "temperature": tenths / 10,
            "moisture": moisture,
            "illuminance": lux,
            "battery": battery,
            "conductivity": conductivity,
        }
        yield Content(payload, values, wait=MINUTE)


def body_scale(chance: Random) -> Iterator[Content]:
    """XMTZC05HM: a weight settling, the final weight, seconds later the impedance."""
    person = chance.randint(10_000, 18_000)

    def shown(control: int, ohm: int, raw: int) -> Callable[[datetime], bytes]:
        return lambda when: scale_v2(raw, when, ohm, (0x02, control))

    while True:
        raw, ohm = person + chance.randint(-200, 200), chance.randint(350, 650)
        yield Content(shown(0x04, 0, raw - 60), _unsettled(raw - 60), wait=1, fresh=True)
        yield Content(shown(0x04, 0, raw - 10), _unsettled(raw - 10), wait=1)
        yield Content(shown(0x24, 0, raw), _settled(raw), wait=4)
        measured = {**_settled(raw), "impedance": ohm}
        yield Content(shown(0x26, ohm, raw), measured, wait=chance.uniform(10, 40) * MINUTE)


def scale(chance: Random) -> Iterator[Content]:
    """XMTZC04HM: a weight settling, the final weight, and the final weight again as "removed"."""
    person = chance.randint(10_000, 18_000)

    def shown(control: int, raw: int) -> Callable[[datetime], bytes]:
        return partial(scale_v1, raw, control=control)

    while True:
        raw = person + chance.randint(-200, 200)
        yield Content(shown(0x02, raw - 40), _unsettled(raw - 40), wait=2, fresh=True)
        yield Content(shown(0x22, raw), _settled(raw), wait=5)
        yield Content(shown(0xA2, raw), _unsettled(raw), wait=chance.uniform(10, 40) * MINUTE)


def _unsettled(raw: int) -> dict[str, Value]:
    return {"mass_non_stabilized": raw / 200, "stabilized": False}


def _settled(raw: int) -> dict[str, Value]:
    return {"mass_non_stabilized": raw / 200, "mass": raw / 200, "stabilized": True}


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("LYWSD03MMC", "climate", 0x055B, 0xA4C138, True, climate),
        Profile("LYWSDCGQ", "round climate", 0x01AA, 0x582D34, False, round_climate, version=2, copies=3, spacing=0.5),
        Profile("MCCGQ02HL", "door", 0x098B, 0xE4AAEC, True, door, copies=14, spacing=0.08),
        Profile("RTCGQ02LM", "motion", 0x0A8D, 0x18C23C, True, motion, copies=12, spacing=0.1),
        Profile("XMWXKG01LM", "button", 0x2387, 0x18C23C, True, button, copies=12, spacing=0.03),
        Profile("YLAI003", "switch", 0x07BF, 0xF82441, True, switch, copies=12, spacing=0.03),
        Profile(
            "HHCCJCY01",
            "plant",
            0x0098,
            0xC47C8D,
            False,
            plant,
            version=2,
            header_bits=0x0001,
            capability=0x0D,
            copies=4,
            spacing=0.4,
            gatt_firmware="3.2.1",
        ),
        # Its frames begin with 31 02 98 00: version 0.
        Profile(
            "HHCCJCY01",
            "old plant",
            0x0098,
            0xC47C8D,
            False,
            old_plant,
            version=0,
            header_bits=0x0201,
            capability=0x0D,
            copies=2,
            spacing=0.4,
            gatt_firmware="2.7.0",
        ),
        Profile(
            "LYWSD02",
            "clock",
            0x045B,
            0xE72E01,
            False,
            clock,
            version=2,
            capability=0x09,
            copies=4,
            spacing=0.4,
            gatt_firmware="1.1.2_0042",
        ),
        Profile("HHCCJCY10", "pink plant", None, 0xDC234D, False, pink_plant, uuid=TUYA, copies=4, spacing=0.5),
        Profile(
            "XMTZC05HM", "body scale", None, 0x5CCAD3, False, body_scale, uuid=BODY_COMPOSITION, copies=10, spacing=0.1
        ),
        Profile("XMTZC04HM", "scale", None, 0x50FB19, False, scale, uuid=WEIGHT_SCALE, copies=10, spacing=0.1),
        *NEIGHBOURS,
    )
}
"""By the name that follows the room's in the name of a device."""
