"""THE TABLE: quantity -> what Home Assistant calls it: platform, classes, category.

A quantity's name goes in, the component that shows it comes out; its unit is that of
:mod:`proxy_listener.model.quantities`. The rule of this file: a quantity is one row, and one without a row is still
shown, as what its values are: a number, a flag or a text.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs

from proxy_listener.model.quantities import QUANTITIES
from proxy_listener.model.reading import Value

Form: TypeAlias = Literal["number", "flag", "text"]
"""What a quantity's values are. ``moisture`` of soil is a number, of a leak sensor a flag."""

DIAGNOSTIC = "diagnostic"


@attrs.frozen
class Entity:
    """How a quantity is shown. ``changes``: a number that rises and falls, of which Home Assistant keeps statistics.

    ``periodic``: it comes by itself again and again, so that silence means that it is not known any more.
    """

    form: Form
    device_class: str | None = None
    category: str | None = None
    changes: bool = True
    periodic: bool = False
    enabled: bool = True


def _measured(device_class: str | None = None) -> Entity:
    return Entity("number", device_class, periodic=True)


def _number(device_class: str | None = None, category: str | None = None, *, changes: bool = True) -> Entity:
    return Entity("number", device_class, category, changes)


def _flag(device_class: str | None = None, category: str | None = None) -> Entity:
    return Entity("flag", device_class, category)


def _text(category: str | None = None) -> Entity:
    return Entity("text", None, category)


_ENTITIES: Mapping[str, Entity] = {
    "temperature": _measured("temperature"),
    "humidity": _measured("humidity"),
    "illuminance": _measured("illuminance"),
    "conductivity": _measured("conductivity"),
    "formaldehyde": _measured(),
    "battery": _number("battery", DIAGNOSTIC),
    "consumable": _number(),
    "score": _number(),
    "mass": _number("weight"),
    "mass_non_stabilized": _number("weight", DIAGNOSTIC),
    "impedance": _number(),
    "impedance_low": _number(),
    "impedance_high": _number(),
    "heart_rate": _number(),
    "counter": _number(changes=False),
    "profile_id": _number(changes=False),
    "signal_strength": Entity("number", "signal_strength", DIAGNOSTIC, enabled=False),
    "idle_time": _number("duration"),
    "motion_time": _number("duration"),
    "duration_detected": _number("duration"),
    "duration_cleared": _number("duration"),
    "pressure_present_duration": _number("duration"),
    "pressure_not_present_duration": _number("duration"),
    "pressure_present_time_set": _number("duration", DIAGNOSTIC, changes=False),
    "pressure_not_present_time_set": _number("duration", DIAGNOSTIC, changes=False),
    "antilock": _flag(),
    "armed": _flag(),
    "asleep": _flag(),
    "battery_low": _flag("battery", DIAGNOSTIC),
    "bed_occupancy": _flag("occupancy"),
    "bottom_submersion": _flag("moisture"),
    "childlock": _flag(),
    "device_forcibly_removed": _flag("tamper"),
    "door": _flag("door"),
    "door_left_open": _flag("problem"),
    "door_stuck": _flag("problem"),
    "fingerprint": _flag(),
    "gas": _flag("gas"),
    "knock_on_the_door": _flag(),
    "light": _flag("light"),
    "lock": _flag("lock"),
    "motion": _flag("motion"),
    "occupancy": _flag("occupancy"),
    "occupancy_close_range": _flag("occupancy"),
    "opening": _flag("opening"),
    "power": _flag("power"),
    "pry_the_door": _flag("tamper"),
    "smoke": _flag("smoke"),
    "snoring": _flag("sound"),
    "stabilized": _flag(),
    "toothbrush": _flag("running"),
    "top_splash": _flag("moisture"),
    "wearing": _flag(),
    "charging_state": _text(),
    "firmware": _text(DIAGNOSTIC),
    "key_id": _text(),
    "lock_method": _text(),
    "weighing": _text(DIAGNOSTIC),  # miscale's clock has no zone, so it is no timestamp to Home Assistant
}

_EITHER: Mapping[tuple[str, Form], Entity] = {
    ("moisture", "number"): _measured("moisture"),
    ("moisture", "flag"): _flag("moisture"),
}

_PLATFORMS: Mapping[Form, str] = {"number": "sensor", "flag": "binary_sensor", "text": "sensor"}


def form_of(value: Value) -> Form:
    """What a value is."""
    if isinstance(value, bool):
        return "flag"
    return "text" if isinstance(value, str) else "number"


def usual_form(quantity: str) -> Form:
    """What a quantity's values are where a device does not say otherwise."""
    row = _ENTITIES.get(quantity)
    return row.form if row else "number"


def entity_of(quantity: str, form: Form) -> Entity:
    """The row of a quantity; of one without a row, or whose values are something else, what can be said of any."""
    row = _EITHER.get((quantity, form)) or _ENTITIES.get(quantity)
    return row if row is not None and row.form == form else Entity(form, category=DIAGNOSTIC, changes=False)


def spoken(name: str) -> str:
    """``door_left_open`` -> ``Door left open``."""
    return name.replace("_", " ").capitalize()


def component(quantity: str, form: Form) -> dict[str, Any]:
    """What discovery says of a quantity, but for the device that it belongs to."""
    entity = entity_of(quantity, form)
    found: dict[str, Any] = {"p": _PLATFORMS[form], "name": spoken(quantity)}
    found["value_template"] = (
        f"{{% set v = value_json.get('{quantity}') %}}{{{{ 'None' if v is none else 'ON' if v else 'OFF' }}}}"
        if form == "flag"
        else f"{{{{ value_json.get('{quantity}') }}}}"
    )
    if entity.device_class:
        found["device_class"] = entity.device_class
    if form == "number":
        row = QUANTITIES.get(quantity)
        if row is not None and row.unit:
            found["unit_of_measurement"] = row.unit
        if entity.changes:
            found["state_class"] = "measurement"
    if entity.category:
        found["entity_category"] = entity.category
    if not entity.enabled:
        found["enabled_by_default"] = False
    return found
