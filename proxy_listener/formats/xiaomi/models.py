"""THE TABLE: product id -> model, kind, what it sends, encryption, buttons, how to read it.

The product id is bytes 2 and 3 of a MiBeacon frame, little endian. A product is one row: where it sends standard
objects only, that row is all it needs. What an object means on one model only stands in
:mod:`proxy_listener.formats.xiaomi.objects`. Product ids with pitfalls: docs/protocol/xiaomi-devices.md#product-ids.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias

from proxy_listener.model.events import (
    BUTTON,
    CUBE,
    DIMMER,
    DOORBELL,
    FINGERPRINT_READ,
    LOCK_ACTION,
    LOCK_ERROR,
    MOTION_DETECTED,
    RADAR,
    TIMER,
    EventKind,
)
from proxy_listener.model.models import HOUR, PRESSES, QUARTER, Buttons, Encryption, Model
from proxy_listener.model.quantities import (
    ANTILOCK,
    ARMED,
    ASLEEP,
    BATTERY,
    BATTERY_LOW,
    BED_OCCUPANCY,
    BOTTOM_SUBMERSION,
    CHARGING_STATE,
    CHILDLOCK,
    CLOCK_DRIFT,
    CONDUCTIVITY,
    CONSUMABLE,
    DETECTOR_STATE,
    DEVICE_FORCIBLY_REMOVED,
    DOOR,
    DOOR_LEFT_OPEN,
    DULL_BOLT,
    DURATION_CLEARED,
    DURATION_DETECTED,
    FAULT,
    FINGERPRINT,
    FORMALDEHYDE,
    HEART_RATE,
    HEAT,
    HUMIDITY,
    ILLUMINANCE,
    IMPEDANCE,
    IMPEDANCE_HIGH,
    IMPEDANCE_LOW,
    KEY_ID,
    LATCH,
    LIGHT,
    LOCK,
    LOCK_METHOD,
    MASS,
    MASS_NON_STABILIZED,
    MOISTURE,
    MOTION,
    OCCUPANCY,
    OCCUPANCY_CLOSE_RANGE,
    OPENING,
    POWER,
    PRESSURE_NOT_PRESENT_DURATION,
    PRESSURE_NOT_PRESENT_TIME_SET,
    PRESSURE_PRESENT_DURATION,
    PRESSURE_PRESENT_TIME_SET,
    PROFILE_ID,
    SCORE,
    SMOKE,
    SNORING,
    SQUARE_BOLT,
    STABILIZED,
    TEMPERATURE,
    TOOTHBRUSH,
    TOP_SPLASH,
    WEARING,
    WEIGHING,
    Quantity,
)

PLAIN: Final = "none"
LEGACY: Final = "legacy"
V45: Final = "v4/v5"
UNKNOWN: Final = "unknown"

MAKER = "Xiaomi"

K9B: Mapping[int, str] = {0: "press", 1: "long_press", 2: "double_press"}
"""The third byte of object 0x1001. The Linptech K9B switches have double and long the other way round."""

ONE = Buttons(whatever=True)
CLASSIC_ONE = Buttons(whatever=True, classic=True)
NUMBERED = Buttons(numbered=True, presses={**PRESSES, 3: "triple_press"})


def several(*names: str, first: int = 0) -> Buttons:
    """Buttons by name, counted from ``first``, of MIoT events; ``left+right`` fires both, an empty name is the only."""
    return Buttons({number: _fired(name) for number, name in enumerate(names, first)})


def classic(*names: str, presses: Mapping[int, str] = PRESSES, power: Mapping[int, bool] | None = None) -> Buttons:
    """The same of object 0x1001, counted from 0."""
    events = {number: _fired(name) for number, name in enumerate(names)}
    return Buttons(events, classic=True, presses=presses, power=power or {})


def _fired(name: str) -> tuple[str, ...]:
    return tuple(f"button_{part}" if part else "button" for part in name.split("+"))


Sent: TypeAlias = Quantity | EventKind


def row(
    product_id: int | None,
    name: str,
    kind: str,
    sends: Sequence[Sent],
    encryption: Encryption,
    *,
    read: tuple[Quantity, ...] = (),
    reader: str | None = None,
    sleepy: bool = False,
    constant: bool = False,
    unsure: tuple[Quantity, ...] = (),
    buttons: Buttons | None = None,
    variant_of: str = "",
) -> Model:
    """A model: what it sends in advertisements, beside the events of its buttons; ``read``: only when it is read."""
    kinds = [each for each in sends if isinstance(each, EventKind)]
    return Model(
        name,
        kind,
        product_id,
        MAKER,
        quantities=tuple(dict.fromkeys(each for each in sends if isinstance(each, Quantity))),
        read_quantities=read,
        events=tuple(dict.fromkeys([*kinds, *(buttons.kinds if buttons else ())])),
        encryption=encryption,
        sleepy=sleepy,
        interval=HOUR if encryption == V45 else QUARTER,
        constant=constant,
        unsure=frozenset(quantity.name for quantity in unsure),
        reader=reader,
        buttons=buttons,
        variant_of=variant_of,
    )


def other(product_id: int, name: str, kind: str, *sends: Sent) -> Model:
    """A model that XiaomiGateway3 names and no other public decoder reads: its standard objects are decoded."""
    return row(product_id, name, kind, sends, V45, sleepy=True, buttons=NUMBERED)


CLIMATE = (TEMPERATURE, HUMIDITY, BATTERY)
CLOCK = (CLOCK_DRIFT,)
SOIL = (TEMPERATURE, MOISTURE, CONDUCTIVITY, ILLUMINANCE)
LEAK = MOISTURE.as_flag()
SWITCHED_ON = POWER.as_flag()
LOCKING: tuple[Sent, ...] = (LOCK, LOCK_METHOD, KEY_ID, LOCK_ACTION, LOCK_ERROR)
FINGERPRINTS: tuple[Sent, ...] = (FINGERPRINT, KEY_ID, FINGERPRINT_READ)
BOLTS = (SQUARE_BOLT, DULL_BOLT, LATCH, CHILDLOCK)
MIOT_LOCK: tuple[Sent, ...] = (BATTERY, *LOCKING, CHILDLOCK, ARMED, DOOR, DOOR_LEFT_OPEN, DOORBELL)
WEIGHT = (MASS, PROFILE_ID, STABILIZED, WEIGHING)
BODY = (MASS, IMPEDANCE_LOW, IMPEDANCE_HIGH, HEART_RATE, PROFILE_ID, STABILIZED, WEIGHING)
BAND = (CHARGING_STATE, ASLEEP, WEARING)
"""What several models send."""

_ROWS = (
    row(0x0083, "YM-K1501", "Smart Kettle", (TEMPERATURE, SWITCHED_ON), PLAIN),
    row(0x0098, "HHCCJCY01", "Plant Sensor", SOIL, PLAIN, read=(BATTERY,), reader="miflora"),
    row(0x00DB, "MMC-T201-1", "Baby Thermometer", (TEMPERATURE, BATTERY), PLAIN),
    row(0x0113, "YM-K1501EU", "Smart Kettle", (TEMPERATURE, SWITCHED_ON), PLAIN),
    row(
        0x0153,
        "YLYK01YL",
        "Remote Control",
        (SWITCHED_ON,),
        LEGACY,
        sleepy=True,
        buttons=classic("on", "off", "brightness", "plus", "M", "min", power={0: True, 1: False}),
    ),
    row(
        0x015D,
        "HHCCPOT002",
        "Smart Flower Pot",
        (MOISTURE, CONDUCTIVITY),
        PLAIN,
        read=(TEMPERATURE, BATTERY),
        reader="miflora",
    ),
    row(0x01AA, "LYWSDCGQ", "Temperature/Humidity Sensor", CLIMATE, PLAIN),
    row(0x02DF, "JQJCY01YM", "Formaldehyde Sensor", (TEMPERATURE, HUMIDITY, BATTERY, FORMALDEHYDE), PLAIN),
    row(0x0347, "CGG1", "Temperature/Humidity Sensor", CLIMATE, PLAIN),
    row(0x0380, "DSL-C08", "Door Lock", (BATTERY, *LOCKING, *BOLTS), V45, sleepy=True),
    row(0x0387, "MHO-C401", "Temperature/Humidity Sensor", CLIMATE, V45),
    row(0x0391, "MMC-W505", "Body Thermometer", (TEMPERATURE,), PLAIN, sleepy=True),
    row(0x03B6, "YLKG07YL/YLKG08YL", "Dimmer Switch", (DIMMER,), LEGACY, sleepy=True),
    row(0x03BC, "GCLS002", "Grow Care Garden", SOIL, PLAIN, read=(BATTERY,), reader="miflora"),
    row(
        0x03BF,
        "YLYB01YL-BHFRC",
        "Bathroom Heater Remote",
        (),
        LEGACY,
        sleepy=True,
        buttons=classic(
            "stop", "air_exchange", "fan", "increase_speed", "decrease_speed", "dry", "light", "swing", "heat"
        ),
    ),
    row(0x03D6, "CGH1", "Door/Window Sensor", (OPENING, DOOR_LEFT_OPEN, BATTERY), V45, sleepy=True),
    row(0x03DD, "MUE4094RT", "Nightlight", (MOTION_DETECTED,), PLAIN, sleepy=True),
    row(0x040A, "WX08ZM", "Mosquito Repellent", (CONSUMABLE, BATTERY, SWITCHED_ON), PLAIN),
    row(0x045B, "LYWSD02", "Temperature/Humidity Sensor", CLIMATE, PLAIN, read=CLOCK, reader="lywsd02"),
    row(0x045C, "V-SK152", "Smart Kettle", (TEMPERATURE, SWITCHED_ON), PLAIN),
    row(0x0489, "M1S-T500", "Smart Toothbrush", (SCORE, BATTERY, TOOTHBRUSH), PLAIN, sleepy=True),
    row(0x04E1, "XMMF01JQD", "Magic Cube", (CUBE,), PLAIN, sleepy=True),
    row(
        0x04E6,
        "YLYK01YL-VENFAN",
        "Ventilator Fan Remote Control",
        (),
        LEGACY,
        sleepy=True,
        buttons=classic(
            "swing", "power", "timer_60_minutes", "increase_wind_speed", "timer_30_minutes", "decrease_wind_speed"
        ),
    ),
    row(0x04E9, "MJZNMSQ01YD", "Door Lock", (BATTERY, *LOCKING, *FINGERPRINTS), V45, sleepy=True),
    row(0x055B, "LYWSD03MMC", "Temperature/Humidity Sensor", CLIMATE, V45),
    row(0x0576, "CGD1", "3-in-1 Alarm Clock", CLIMATE, V45),
    row(0x0599, "MJZNMS03LM", "Door Lock", (*LOCKING, *FINGERPRINTS, BATTERY), UNKNOWN, sleepy=True),
    row(0x066F, "CGDK2", "Temperature/Humidity Sensor", CLIMATE, V45),
    row(
        0x068E,
        "YLYK01YL-FANCL",
        "Fan Remote Control",
        (),
        LEGACY,
        sleepy=True,
        buttons=classic("fan", "light", "wind_speed", "color_temperature", "wind_mode", "brightness"),
    ),
    row(0x069E, "ZNMS16LM", "Door Lock", (BATTERY, *LOCKING, DOOR, *FINGERPRINTS, ARMED), PLAIN, sleepy=True),
    row(
        0x069F,
        "ZNMS17LM",
        "Door Lock",
        (BATTERY, *LOCKING, DOOR, *FINGERPRINTS, ANTILOCK, CHILDLOCK, ARMED),
        PLAIN,
        sleepy=True,
    ),
    row(0x06D3, "MHO-C303", "Alarm Clock", CLIMATE, PLAIN),
    row(0x0784, "XMZNMS04LM", "Door Lock", (BATTERY, *LOCKING, *FINGERPRINTS), V45, sleepy=True),
    row(0x07BF, "YLAI003", "Wireless Switch", (BATTERY,), V45, sleepy=True, buttons=CLASSIC_ONE),
    row(0x07F6, "MJYD02YL", "Nightlight", (BATTERY, LIGHT, MOTION), V45, sleepy=True),
    row(0x0806, "T700", "Smart Toothbrush", (CONSUMABLE, SCORE, BATTERY, TOOTHBRUSH), V45, sleepy=True),
    row(0x0863, "SJWS01LM", "Flood Detector", (LEAK, BATTERY), V45, sleepy=True, buttons=CLASSIC_ONE),
    row(0x098B, "MCCGQ02HL", "Door/Window Sensor", (OPENING, DOOR_LEFT_OPEN, LIGHT, BATTERY), V45, sleepy=True),
    row(0x098C, "XMZNMST02YD", "Door Lock", (BATTERY, *LOCKING, DOOR, *FINGERPRINTS), UNKNOWN, sleepy=True),
    row(
        0x0997,
        "JTYJGD03MI",
        "Smoke Detector",
        (SMOKE, FAULT, DETECTOR_STATE, BATTERY),
        V45,
        sleepy=True,
        buttons=CLASSIC_ONE,
    ),
    row(0x09B0, "loock.safe.v1", "Safe Box", (DOOR, *LOCKING, BATTERY), V45, sleepy=True),
    # An hourly counter comes as its battery: docs/protocol/mibeacon-objects.md#battery.
    row(0x0A83, "CGPR1", "Motion/Light Sensor", (ILLUMINANCE, BATTERY, LIGHT, MOTION), V45, unsure=(BATTERY,)),
    row(0x0A8D, "RTCGQ02LM", "Motion Sensor", (BATTERY, LIGHT, MOTION), V45, sleepy=True, buttons=CLASSIC_ONE),
    row(0x0B48, "CGG1-ENCRYPTED", "Temperature/Humidity Sensor", CLIMATE, V45, variant_of="CGG1"),
    row(0x0C3C, "CGC1", "Alarm Clock", CLIMATE, V45),
    row(0x0DE7, "SU001-T", "Odor Eliminator", (BATTERY, MOTION, SWITCHED_ON), V45, sleepy=True),
    row(
        0x0DFD,
        "K9B-3BTN",
        "Switch (triple button)",
        (),
        PLAIN,
        sleepy=True,
        buttons=classic(
            "left", "middle", "right", "left+middle", "middle+right", "left+right", "left+middle+right", presses=K9B
        ),
    ),
    row(0x0E39, "XMZNMS08LM", "Door Lock", (BATTERY, *LOCKING, DOOR), V45, sleepy=True),
    row(0x11C2, "Lockin-SV40", "Door Lock", (BATTERY, *LOCKING, DOOR, *FINGERPRINTS, ARMED), V45, sleepy=True),
    row(0x1203, "XMWSDJ04MMC", "Thermometer", CLIMATE, V45),
    row(0x1568, "K9B-1BTN", "Switch (single button)", (), PLAIN, sleepy=True, buttons=classic("", presses=K9B)),
    row(
        0x1569,
        "K9B-2BTN",
        "Switch (double button)",
        (),
        PLAIN,
        sleepy=True,
        buttons=classic("left", "right", "left+right", presses=K9B),
    ),
    row(0x16E4, "LYWSD02MMC", "Temperature/Humidity Sensor", CLIMATE, V45, read=CLOCK, reader="lywsd02"),
    row(0x1790, "T700", "Smart Toothbrush", (CONSUMABLE, SCORE, BATTERY, TOOTHBRUSH), V45, sleepy=True),
    row(
        0x1889,
        "MS1BB(MI)",
        "Door/Window Sensor",
        (OPENING, DOOR_LEFT_OPEN, DEVICE_FORCIBLY_REMOVED, BUTTON, BATTERY),
        V45,
        sleepy=True,
    ),
    row(0x18E3, "ZX1", "Smart pillow controller", (BUTTON, BED_OCCUPANCY, SNORING, ASLEEP), V45, sleepy=True),
    row(
        0x1949,
        "XMWXKG01YL",
        "Switch (double button)",
        (BATTERY,),
        V45,
        sleepy=True,
        buttons=several("left", "right", "left+right", first=1),
    ),
    row(0x1C10, "K9BB-1BTN", "Switch (single button)", (BUTTON, BATTERY), V45, sleepy=True),
    row(0x20DB, "MJZNZ018H", "Smart pillow", (BATTERY, BUTTON, BED_OCCUPANCY, SNORING, ASLEEP), V45, sleepy=True),
    row(0x2387, "XMWXKG01LM", "Button", (BATTERY,), V45, sleepy=True, buttons=ONE),
    row(0x2542, "LYWSD02MMC", "Temperature/Humidity Sensor", CLIMATE, V45, read=CLOCK, reader="lywsd02"),
    row(0x2832, "MJWSD05MMC", "Temperature/Humidity Sensor", CLIMATE, V45),
    row(0x2AEB, "HS1BB(MI)", "Motion Sensor", (ILLUMINANCE, BATTERY, MOTION), V45, sleepy=True),
    row(0x30D9, "MJTZC01YM", "Body Composition Scale", BODY, V45, sleepy=True),
    row(0x3531, "XMPIRO2SXS", "Motion Sensor", (ILLUMINANCE, BATTERY, MOTION), V45, sleepy=True),
    row(0x38BB, "PTX_YK1_QMIMB", "Wireless Switch", (BATTERY,), V45, sleepy=True, buttons=ONE),
    row(
        0x3A61,
        "KS1",
        "Switch (quadruple button)",
        (BATTERY,),
        V45,
        sleepy=True,
        buttons=several("left", "mid_left", "mid_right", "right", first=1),
    ),
    row(0x3BD5, "MJTZC01YM", "Body Composition Scale", BODY, V45, sleepy=True),
    row(
        0x3E17,
        "KS1BP",
        "Switch (quadruple button)",
        CLIMATE,
        V45,
        buttons=several("left", "mid_left", "mid_right", "right", first=1),
    ),
    row(0x3F0F, "RS1BB(MI)", "Flood and Rain Sensor", (LEAK, BATTERY), V45, sleepy=True),
    row(
        0x3F4C,
        "PS1BB",
        "Seat Pressure Sensor",
        (
            OCCUPANCY,
            PRESSURE_PRESENT_DURATION,
            PRESSURE_NOT_PRESENT_DURATION,
            PRESSURE_PRESENT_TIME_SET,
            PRESSURE_NOT_PRESENT_TIME_SET,
            BATTERY,
        ),
        V45,
        sleepy=True,
    ),
    row(0x45C9, "MJTZC02YM", "Smart Scale S200", WEIGHT, V45, sleepy=True),
    row(
        0x4683,
        "XMOSB01XS",
        "Occupancy Sensor",
        (OCCUPANCY, ILLUMINANCE, DURATION_DETECTED, DURATION_CLEARED, BATTERY),
        V45,
        sleepy=True,
    ),
    row(0x48CF, "MJTZC01YM", "Body Composition Scale", BODY, V45, sleepy=True),
    row(0x4B05, "MJTZC03YM", "Body Composition Scale", BODY, V45, sleepy=True),
    row(0x4C04, "MJTZC02YM", "Smart Scale S200", WEIGHT, V45, sleepy=True),
    row(0x4C47, "MJWSD05MMC", "Temperature/Humidity Sensor", CLIMATE, V45),
    row(0x4C60, "XMPIRO2GSXS", "Motion Sensor", (MOTION, ILLUMINANCE, BATTERY), V45, sleepy=True),
    row(0x4DCB, "MJTZC02YM", "Smart Scale S200", WEIGHT, V45, sleepy=True),
    row(0x4F59, "CGDK3", "Temperature/Humidity Sensor", CLIMATE, V45),
    row(0x4FC2, "MJTZC01YM", "Body Composition Scale", BODY, V45, sleepy=True),
    row(
        0x50FB,
        "ES3",
        "Human Presence Sensor",
        (OCCUPANCY, ILLUMINANCE, DURATION_DETECTED, DURATION_CLEARED, BATTERY),
        V45,
        sleepy=True,
    ),
    row(0x520B, "KS2BB", "Temperature/Humidity Sensor with Button", CLIMATE, V45, buttons=ONE),
    row(0x55B5, "MJWSD06MMC", "Temperature/Humidity Sensor", CLIMATE, V45),
    row(0x5808, "CGG3", "Temperature/Humidity Sensor", CLIMATE, V45),
    row(
        0x5968,
        "XMWS01XS",
        "Switch (double button)",
        (BATTERY,),
        V45,
        sleepy=True,
        buttons=several("left", "right", "left+right"),
    ),
    row(0x59FA, "M2457B1", "Smart Band 10", BAND, V45, sleepy=True),
    row(0x59FB, "M2456B1", "Smart Band 10 NFC", BAND, V45, sleepy=True),
    row(0x59FC, "M2456B1", "Smart Band 10 Ceramic Edition", BAND, V45, sleepy=True),
    row(0x5BEA, "MJWSD06MMC", "Temperature/Humidity Sensor", CLIMATE, V45),
    row(0x5DB1, "MBS17", "Temperature/Humidity Sensor", CLIMATE, V45),
    row(0x6188, "M2456B1", "Smart Band 10 Glimmer Edition", BAND, V45, sleepy=True),
    row(0x6375, "SJWS02LM", "Water Leak Sensor 2", (BOTTOM_SUBMERSION, TOP_SPLASH, BATTERY), V45, sleepy=True),
    row(
        0x64C5,
        "PTX-F1-Display",
        "4-button switch with display",
        CLIMATE,
        V45,
        buttons=several("1", "2", "3", "4", first=1),
    ),
    row(
        0x6A0F,
        "ES5BB",
        "Human Presence Sensor",
        (OCCUPANCY, OCCUPANCY_CLOSE_RANGE, ILLUMINANCE, DURATION_DETECTED, DURATION_CLEARED, BATTERY, FAULT, RADAR),
        V45,
        sleepy=True,
    ),
    row(0x7712, "zhiee.flood.sj01", "Water Leak Sensor", (BOTTOM_SUBMERSION, BATTERY), V45, sleepy=True),
    row(0x78A3, "AFWXKG220000", "Wireless Switch", (BATTERY,), V45, sleepy=True, buttons=ONE),
    row(0x78D1, "MC-COMM", "Door/Window Sensor", (OPENING,), V45, sleepy=True),
    row(0x78DB, "ESM787", "Temperature/Humidity Sensor", (TEMPERATURE, HUMIDITY), V45),
    # Known to XiaomiGateway3 (August 2026), which reads what a Xiaomi gateway decrypted.
    other(0x031A, "MJZNMS02LM", "Door Lock"),
    other(0x03BB, "ydhome.lock.m2silver", "Lock M2"),
    other(0x04B3, "dsm.lock.q3", "Q3"),
    other(0x0571, "lcrmcr.safe.ms30b", "Safe Cayo Anno 30Z"),
    other(0x0711, "PTH-1", "Air Quality Monitor", *CLIMATE, FORMALDEHYDE),
    other(0x09E0, "MJHWSHO2YM", "Kettle Pro", TEMPERATURE, SWITCHED_ON),
    other(0x0BEB, "ZNMS20LM", "Door Lock D100"),
    other(0x0D0F, "loock.lock.cc2xpro", "Door Lock Classic 2X Pro"),
    other(0x0E65, "XMZNMS06LM", "Face Recognition Smart Door Lock X"),
    other(0x0F3B, "XMZNMSTO3YD", "Door Lock"),
    other(0x1781, "XMZNMS09LM", "Face Recognition Smart Door Lock", *MIOT_LOCK),
    other(0x1A56, "lemesh.remote.ts1", "Wireless Button"),
    other(0x1E37, "loock.lock.fvl109", "Smart Door Lock S50M", BATTERY, *LOCKING, DOOR, *FINGERPRINTS, ARMED),
    other(0x1FDA, "loock.lock.t2v1", "Door Lock M20", *LOCKING, DOOR),
    other(0x21A5, "huca.switch.dh2", "Double Wall Switch"),
    other(0x24A9, "hoto.timer.kt", "Timer", TIMER),
    other(0x2695, "XFCL201", "Loock Smart Lock V5 Max", *MIOT_LOCK),
    other(0x2809, "XMZNMS01OD", "Door Lock E10", *MIOT_LOCK),
    other(0x2C09, "PTX-X6-QMIMB", "BLE Wireless situation knob switch", DIMMER),
    other(0x2CBA, "lcrmcr.lock.cb2207", "intelligent glass door lock", *MIOT_LOCK),
    other(0x2F97, "loock.lock.r2", "Door Lock M20 Pro", *MIOT_LOCK),
    other(0x2FC5, "MCN003", "Safe Box", *MIOT_LOCK),
    other(0x305E, "huca.remote.wx8", "Wireless Button", BATTERY),
    other(0x3286, "XMZNMS201LM", "Smart Door Lock E20 WIFI", *MIOT_LOCK),
    other(0x3341, "lumi.lock.mcn009", "Smart Door Lock E20 (Video Monitor)", *MIOT_LOCK),
    other(0x34FE, "MJBQDYJ1-WC", "Label printer"),
    other(0x3878, "lemesh.remote.ts4", "Scenario wireless knob switch K4", DIMMER, BATTERY),
    other(0x3884, "lemesh.switch.sw3f01", "Triple Wall Switch"),
    other(0x3885, "lemesh.switch.sw2f01", "Double Wall Switch"),
    other(0x3886, "lemesh.switch.sw1f01", "Single Wall Switch"),
    other(0x3910, "PTX-AK1-QMIMC", "Mesh Wireless Switch", BATTERY_LOW),
    other(0x3911, "PTX-AK2-QMIMB", "Mesh Double Wireless Switch", BATTERY_LOW),
    other(0x3912, "PTX-AK3-QMIMB", "Mesh Triple Wireless Switch", BATTERY_LOW),
    other(0x399A, "xiaomi.pet_waterer.002", "Pet Drinking Fountain", BATTERY),
    other(0x3F34, "giot.remote.v52kwm", "V5 Two Key Switch (BLE)"),
    other(0x3F35, "giot.remote.v53kwm", "V5 Three Key Switch (BLE)"),
    other(0x3F36, "giot.remote.v54kwm", "V5 Four Key Switch (BLE)"),
    other(0x3F38, "giot.remote.v56kwm", "V5 Six Key Switch (BLE)"),
    other(0x3F3A, "giot.remote.v58kwm", "V5 Eight Key Switch (BLE)"),
    other(0x3F3F, "giot.remote.v51kwm", "V5 One Key Switch (BLE)"),
    other(0x433D, "line.lock.fms5", "Smart Door Lock S5", *MIOT_LOCK, ANTILOCK),
    other(0x44C1, "XMZNMS03OD", "Xiaomi Smart Door Lock 2 (Finger Vein Unlock)", *MIOT_LOCK),
    other(0x44FA, "lemesh.remote.ts10", "Remote Control TS10", DIMMER, BATTERY),
    other(0x45A1, "cxw.remote.ble006", "Eight scene knob switch", DIMMER, BATTERY),
    other(0x474A, "ailol.remote.ts4", "ZXFANS F2 smart knob remote control", DIMMER, BATTERY),
    other(0x47D6, "xiaomi.lock.b04sv", "Smart Door Lock E30", *MIOT_LOCK),
    other(0x48C4, "loock.lock.h01lyk", "Smart Door Lock E30", *MIOT_LOCK),
    other(0x4964, "IZQ-BLE", "IZQ Presence Sensor Loong", OCCUPANCY, ILLUMINANCE, BATTERY),
    other(0x4B09, "cxw.remote.panv01", "Eight Key Twenty-four Scene Switch V1", BATTERY),
    other(0x4C4D, "shuse.flood.ss05", "Water Leak Sensor", LEAK, BATTERY),
    other(0x4ED3, "rhj.sensor_occupy.l730a", "Presence Sensor POP", OCCUPANCY, ILLUMINANCE, TEMPERATURE, HUMIDITY),
    other(0x50D4, "HS3BB", "Motion Sensor 3", MOTION, ILLUMINANCE, BATTERY),
    other(0x51E2, "MJTZC04YM", "8-electrode Body Fat Scale S800", MASS, HEART_RATE, BATTERY_LOW),
    other(0x52E6, "YLYKG-0129", "K Series 4-Key Wall Switch", BATTERY),
    other(0x6651, "shuse.airm.ss006", "Air Monitor", TEMPERATURE, HUMIDITY),
    other(0x6655, "bwj.diffuser.s5", "SO Smart Aroma Diffuser S5"),
    other(0x6B61, "shuse.flood.ss05", "Water Leak Sensor Pro", LEAK, BATTERY),
    other(
        0x6ED9,
        "ES5DB",
        "Human Presence Sensor ES5(Top Mounted)",
        OCCUPANCY,
        ILLUMINANCE,
        DURATION_DETECTED,
        DURATION_CLEARED,
    ),
    other(0x76C4, "shuse.flood.ss40", "Water Leak Sensor", LEAK, BATTERY),
    other(0x7EE9, "vchon.sensor_ht.mbs20", "Thermometer and hygrometer", *CLIMATE),
    # Of public reports: docs/protocol/xiaomi-devices.md#products-seen-in-reports-only.
    other(0x0197, "Zelkova", "Door Lock", BATTERY),
    other(0x0919, "XMZNMS05LM", "Door Lock"),
    other(0x1D87, "loock.lock.s50f", "Smart Door Lock S50F"),
    other(0x3B94, "soocare.toothbrush.2501", "Smart Toothbrush T501"),
    other(0x569B, "line.lock.fms5s", "Smart Door Lock S5 Pro", *MIOT_LOCK, ANTILOCK),
    other(
        0x7ABA, "xiaomi.sensor_smoke.yg2", "Smoke Alarm 2", SMOKE, HEAT, FAULT, DETECTOR_STATE, TEMPERATURE, BATTERY_LOW
    ),
)

SCALE_V1 = row(
    None,
    "XMTZC01HM/XMTZC04HM",
    "Smart Scale",
    (MASS, MASS_NON_STABILIZED, STABILIZED, WEIGHING),
    PLAIN,
    sleepy=True,
)
SCALE_V2 = row(
    None,
    "XMTZC02HM/XMTZC05HM",
    "Body Composition Scale",
    (MASS, MASS_NON_STABILIZED, STABILIZED, IMPEDANCE, WEIGHING),
    PLAIN,
    sleepy=True,
)
HHCCJCY10 = row(None, "HHCCJCY10", "Plant Sensor", (*SOIL, BATTERY), PLAIN)
"""What is not MiBeacon has no product id: 0x181D, 0x181B, 0xFD50."""

PRODUCTS: tuple[Model, ...] = (*_ROWS, SCALE_V1, SCALE_V2, HHCCJCY10)
"""Every row."""

_BY_ID = {model.product_id: model for model in _ROWS if model.product_id is not None}

MODELS: Mapping[int, Model] = MappingProxyType(_BY_ID)
"""By product id. Several ids may share a name: decode by id, name by id."""


def model_of(product_id: int) -> Model:
    """The model of a product id; of one without a row, a model named by its id (``0x5A5A``), ``known`` False."""
    return _BY_ID.get(product_id) or _stranger(product_id)


@lru_cache(maxsize=256)
def _stranger(product_id: int) -> Model:
    return Model(
        f"0x{product_id:04X}", "Unknown device", product_id, MAKER, interval=HOUR, buttons=NUMBERED, known=False
    )
