"""What a BTHome device is: nothing in a frame says it, but for the local name of some."""

import re

import attrs

from proxy_listener.formats.atc import ATC
from proxy_listener.formats.xiaomi.models import PRODUCTS as XIAOMI
from proxy_listener.model.events import ANY_BUTTON, DIMMER, EventKind
from proxy_listener.model.models import HOUR, Model
from proxy_listener.model.quantities import (
    BATTERY,
    CHANNEL,
    DEW_POINT,
    DIRECTION,
    DISTANCE_MM,
    HUMIDITY,
    ILLUMINANCE,
    LIGHT,
    LIGHT_LEVEL,
    MOISTURE,
    MOTION,
    PRECIPITATION,
    PRESSURE,
    ROTATION,
    SPEED,
    TEMPERATURE,
    UV_INDEX,
    VIBRATION,
    VOLTAGE,
    WINDOW,
    Quantity,
)

SENSOR = Model("BTHome sensor", "BTHome sensor", generic=True, wraps=True)

TRIGGERED = Model("BTHome trigger-based sensor", "BTHome sensor", sleepy=True, generic=True, wraps=True)
"""It sends only when something happens, and says so: no silence is a fault."""


def _shelly(name: str, kind: str, *sends: Quantity | EventKind, sleepy: bool = True) -> Model:
    return Model(
        name,
        kind,
        maker="Shelly",
        quantities=(BATTERY, *(sent for sent in sends if isinstance(sent, Quantity))),
        events=tuple(sent for sent in sends if isinstance(sent, EventKind)),
        sleepy=sleepy,
        wraps=True,
    )


_FOUR_BUTTONS = tuple(attrs.evolve(ANY_BUTTON, name=f"button_{number}") for number in (1, 2, 3, 4))
_CLIMATE = (TEMPERATURE, HUMIDITY, ANY_BUTTON)
_WIND, _GUST = (attrs.evolve(SPEED, name=f"speed_{number}") for number in (1, 2))

_NAMED = (
    _shelly("SBBT-002C", "BLU Button1", ANY_BUTTON),
    _shelly("SBBT-102C", "BLU Button1 ZB", ANY_BUTTON),
    _shelly("SBBT-004CEU", "BLU Wall Switch 4", *_FOUR_BUTTONS),
    _shelly("SBBT-104CEU", "BLU Wall Switch 4 ZB", *_FOUR_BUTTONS),
    _shelly("SBBT-004CUS", "BLU RC Button 4", *_FOUR_BUTTONS),
    _shelly("SBBT-104CUS", "BLU RC Button 4 ZB", *_FOUR_BUTTONS),
    _shelly("SBRC-005B", "BLU Remote Control ZB", CHANNEL, ROTATION, DIMMER),
    _shelly("SBDW-002C", "BLU Door/Window", ILLUMINANCE, WINDOW, ROTATION, ANY_BUTTON),
    _shelly("SBDW-103C", "BLU Door/Window ZB", LIGHT_LEVEL, WINDOW, ROTATION, ANY_BUTTON, sleepy=False),
    _shelly("SBMO-003Z", "BLU Motion", ILLUMINANCE, MOTION, ANY_BUTTON),
    _shelly("SBMO-103Z", "BLU Motion ZB", LIGHT_LEVEL, MOTION, ANY_BUTTON),
    _shelly("SBDI-003E", "BLU Distance", DISTANCE_MM, VIBRATION, ANY_BUTTON),
    _shelly("SBHT-003C", "BLU H&T", *_CLIMATE, sleepy=False),
    _shelly("SBHT-103C", "BLU H&T Display ZB", LIGHT, *_CLIMATE, sleepy=False),
    _shelly("SBHT-203C", "BLU H&T ZB", *_CLIMATE, sleepy=False),
    _shelly("SBTR-001AEU", "BLU TRV", TEMPERATURE),
    _shelly(
        "SBWS-90CM",
        "Ecowitt WS90 Weather Station",
        *(TEMPERATURE, HUMIDITY, DEW_POINT, PRESSURE, ILLUMINANCE, UV_INDEX),
        *(_WIND, _GUST, DIRECTION, PRECIPITATION, MOISTURE.as_flag(), VOLTAGE),
        sleepy=False,
    ),
    Model(
        "prst",
        "Plant Sensor",
        maker="b-parasite",
        quantities=(TEMPERATURE, HUMIDITY, MOISTURE, ILLUMINANCE, VOLTAGE),
        interval=HOUR,
        wraps=True,
    ),
)
"""Local name -> product, from bthome-ble 3.25.0 and Shelly's description of each (shelly-api-docs.shelly.cloud,
docs-ble). Those that are not sleepy send every minute, the weather station every nine seconds; b-parasite sends every
ten minutes at most.
"""

PRODUCTS = (SENSOR, TRIGGERED, *_NAMED)

_BY_LOCAL_NAME = {model.name: model for model in (*XIAOMI, *_NAMED)}

_ATC_NAME = re.compile("ATC_[0-9A-F]{6}")


def named(local_name: str) -> Model | None:
    """The product with this local name. Hardware of Xiaomi with custom firmware keeps its product's name, or is called
    ATC and the end of its address.
    """
    return _BY_LOCAL_NAME.get(local_name) or (ATC if _ATC_NAME.fullmatch(local_name) else None)
