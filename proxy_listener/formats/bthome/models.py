"""What a BTHome device is: nothing in a frame says it, but for the local name of some."""

import attrs

from proxy_listener.formats.xiaomi.models import PRODUCTS as XIAOMI
from proxy_listener.model.events import ANY_BUTTON, EventKind
from proxy_listener.model.models import HOUR, Model
from proxy_listener.model.quantities import (
    BATTERY,
    HUMIDITY,
    ILLUMINANCE,
    MOISTURE,
    MOTION,
    ROTATION,
    TEMPERATURE,
    VOLTAGE,
    WINDOW,
    Quantity,
)

SENSOR = Model("BTHome sensor", "BTHome sensor", generic=True, wraps=True)

TRIGGERED = Model("BTHome trigger-based sensor", "BTHome sensor", sleepy=True, generic=True, wraps=True)
"""It sends only when something happens, and says so: no silence is a fault."""


def _shelly(name: str, kind: str, quantities: tuple[Quantity, ...], buttons: int) -> Model:
    names = ("button",) if buttons == 1 else tuple(f"button_{number + 1}" for number in range(buttons))
    events: tuple[EventKind, ...] = tuple(attrs.evolve(ANY_BUTTON, name=name) for name in names)
    return Model(name, kind, maker="Shelly", quantities=(BATTERY, *quantities), events=events, sleepy=True, wraps=True)


_CLIMATE = (TEMPERATURE, HUMIDITY)

_NAMED = (
    _shelly("SBBT-002C", "BLU Button1", (), 1),
    _shelly("SBBT-102C", "BLU Button1 ZB", (), 1),
    _shelly("SBBT-004CEU", "BLU Wall Switch 4", (), 4),
    _shelly("SBBT-004CUS", "BLU RC Button 4", (), 4),
    _shelly("SBDW-002C", "BLU Door/Window", (ILLUMINANCE, WINDOW, ROTATION), 0),
    _shelly("SBMO-003Z", "BLU Motion", (ILLUMINANCE, MOTION), 0),
    _shelly("SBHT-003C", "BLU H&T", _CLIMATE, 1),
    _shelly("SBHT-103C", "BLU H&T Display ZB", _CLIMATE, 0),
    _shelly("SBHT-203C", "BLU H&T ZB", _CLIMATE, 0),
    _shelly("SBTR-001AEU", "BLU TRV", (TEMPERATURE,), 0),
    Model(
        "prst",
        "Plant Sensor",
        maker="b-parasite",
        quantities=(TEMPERATURE, HUMIDITY, MOISTURE, ILLUMINANCE, VOLTAGE),
        interval=HOUR,
        wraps=True,
    ),
)
"""Local name -> product, from bthome-ble 3.25.0. b-parasite sends every ten minutes at most."""

PRODUCTS = (SENSOR, TRIGGERED, *_NAMED)

_BY_LOCAL_NAME = {model.name: model for model in (*XIAOMI, *_NAMED)}


def named(local_name: str) -> Model | None:
    """The product with this local name. Hardware of Xiaomi with custom firmware keeps its product's name."""
    return _BY_LOCAL_NAME.get(local_name)
