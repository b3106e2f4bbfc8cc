"""A model in; the quantities and events that it is known to send out.

The model table says in words what a model reports (``temperature, humidity; battery by reading it``); this file reads
those words. The rule of this file: every word of the table is understood (a test walks it), and what a device sends
beyond them is added when it comes.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

import attrs

from proxy_listener.formats.xiaomi.locks import FINGERPRINT_RESULTS, LOCK_ACTIONS, LOCK_ERRORS
from proxy_listener.formats.xiaomi.models import HHCCJCY10, MODELS, NUMBERED, SCALE_V1, SCALE_V2, Model, model_of
from proxy_listener.sinks.mqtt.entities import Form, usual_form

PRESSES = ("press", "double_press", "long_press")

EVENT_TYPES: Mapping[str, tuple[str, ...]] = {
    "button": PRESSES,
    "cube": ("rotate_left", "rotate_right"),
    "device": ("reset",),
    "dimmer": (
        "press",
        "long_press",
        "rotate_left",
        "rotate_right",
        "rotate_left_pressed",
        "rotate_right_pressed",
    ),
    "error": tuple(LOCK_ERRORS.values()),
    "fingerprint": FINGERPRINT_RESULTS,
    "lock": tuple(action for _, _, action in LOCK_ACTIONS.values()),
    "motion": ("motion_detected",),
}
"""Every type of an event's kind: Home Assistant refuses a type that was not announced. Single buttons of a device with
several (``button_left``) have those of ``button``, or of their model."""

_DURATIONS = ("duration_detected", "duration_cleared")
_PRESSURE = (
    "pressure_present_duration",
    "pressure_not_present_duration",
    "pressure_present_time_set",
    "pressure_not_present_time_set",
)

_WORDS: Mapping[str, tuple[str, ...]] = {
    "also at close range": ("occupancy_close_range",),
    "door left open": ("door_left_open",),
    "durations": _DURATIONS,
    "fingerprint": ("fingerprint", "key_id"),
    "forcibly removed": ("device_forcibly_removed",),
    "impedance low and high": ("impedance_low", "impedance_high"),
    "its durations and set times": _PRESSURE,
    "lock": ("lock", "lock_method", "key_id"),
    "non-stabilized mass": ("mass_non_stabilized",),
    "button": (),
    "cube": (),
    "dimmer": (),
    "motion (an event)": (),
    "standard objects": (),
}
"""Words of the table that are not simply the quantity's name."""

_LEAK = re.compile(r"moisture \(.*\)")

_FIRED_BY: Mapping[str, tuple[str, ...]] = {
    "button": ("button",),
    "cube": ("cube",),
    "dimmer": ("dimmer",),
    "fingerprint": ("fingerprint",),
    "lock": ("lock", "error"),
    "motion (an event)": ("motion",),
}
"""The kinds of events behind a word."""


@attrs.frozen
class Reports:
    """``quantities``: name -> form of its values. ``events``: kind -> types."""

    quantities: Mapping[str, Form]
    events: Mapping[str, tuple[str, ...]]


_BY_NAME = {model.name: model for model in (*MODELS.values(), SCALE_V1, SCALE_V2, HHCCJCY10)}


def known_model(product_id: int | None, name: str) -> Model | None:
    """The row of a device's model."""
    return model_of(product_id) if product_id is not None else _BY_NAME.get(name)


@lru_cache(maxsize=1024)
def reports(model: Model) -> Reports:
    """What the model is known to send."""
    quantities: dict[str, Form] = {}
    events: dict[str, tuple[str, ...]] = {}
    for word in words(model):
        for kind in _FIRED_BY.get(word, ()):
            events[kind] = EVENT_TYPES[kind]
        if _LEAK.fullmatch(word):
            quantities["moisture"] = "flag"
            continue
        for name in _WORDS.get(word, (word.replace(" ", "_"),)):
            quantities[name] = usual_form(name)
    return Reports(quantities, {**events, **_buttons(model)})


def words(model: Model) -> list[str]:
    """What the model's row says, word by word; buttons by their names stand in its ``buttons``."""
    found: list[str] = []
    for part in model.reports.split(";"):
        clause = part.strip().removesuffix(" by reading it")
        if clause.startswith("buttons "):
            continue
        if clause.startswith(("dimmer:", "cube:")):
            found.append(clause.partition(":")[0])
            continue
        for phrase in re.split(r",(?![^()]*\))", clause):
            found += [word for word in _split(phrase.strip()) if word and not word.endswith(" buttons")]
    return found


def _split(phrase: str) -> list[str]:
    return [phrase] if phrase in _WORDS else phrase.split(" and ")


def _buttons(model: Model) -> Mapping[str, tuple[str, ...]]:
    buttons = model.buttons
    if buttons is None or buttons is NUMBERED:
        return {}
    types = tuple(dict.fromkeys(kind for kind in PRESSES if kind in buttons.presses.values()))
    names = {"button"} if buttons.whatever else {name for group in buttons.events.values() for name in group}
    return dict.fromkeys(sorted(names), types)


def types_of(kind: str, own: Iterable[str] = ()) -> tuple[str, ...]:
    """All types of an event's kind: the usual ones, and those that a device sent beyond them."""
    usual = EVENT_TYPES.get("button" if kind.startswith("button_") else kind, ())
    return tuple(dict.fromkeys([*usual, *own]))
