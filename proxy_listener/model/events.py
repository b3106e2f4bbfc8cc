"""THE TABLE of what happens: one row a kind of event, with every type that an event of this kind can have.

Home Assistant refuses an event of a type that was not announced, so a kind is announced with all its types.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

import attrs


@attrs.frozen
class EventKind:
    """``device_class`` is Home Assistant's. ``control``: a person causes each event on purpose, to switch something."""

    name: str
    types: tuple[str, ...] = ()
    device_class: str | None = None
    control: bool = False


BUTTON = EventKind("button", ("press", "double_press", "long_press"), "button", control=True)
CUBE = EventKind("cube", ("rotate_left", "rotate_right"), control=True)
DIMMER = EventKind(
    "dimmer",
    ("press", "long_press", "rotate_left", "rotate_right", "rotate_left_pressed", "rotate_right_pressed"),
    control=True,
)
ANY_BUTTON = EventKind(
    "button",
    (
        "press",
        "double_press",
        "triple_press",
        "long_press",
        "long_double_press",
        "long_triple_press",
        "hold_press",
        "hold_release",
    ),
    "button",
    control=True,
)
"""A button of which it is not known beforehand what it sends."""

COMMAND = EventKind("command", ("off", "on", "toggle", "step_up", "step_down", "other"), control=True)
RESET = EventKind("device", ("reset",))
MOTION_DETECTED = EventKind("motion", ("motion_detected",), "motion")
LOCK_ACTION = EventKind(
    "lock",
    (
        "unlock_outside_the_door",
        "locked",
        "turn_on_antilock",
        "release_the_antilock",
        "unlock_inside_the_door",
        "lock_inside_the_door",
        "turn_on_child_lock",
        "turn_off_child_lock",
        "lock_outside_the_door",
        "abnormal",
        "unlocked",
        "turn_on_away_mode",
        "turn_off_away_mode",
    ),
)
LOCK_ERROR = EventKind(
    "error",
    (
        "frequent_unlocking_with_incorrect_password",
        "frequent_unlocking_with_wrong_fingerprints",
        "operation_timeout_password_input_timeout",
        "lock_picking",
        "reset_button_is_pressed",
        "the_wrong_key_is_frequently_unlocked",
        "foreign_body_in_the_keyhole",
        "the_key_has_not_been_taken_out",
        "error_nfc_frequently_unlocks",
        "timeout_is_not_locked_as_required",
        "failure_to_unlock_frequently_in_multiple_ways",
        "unlocking_the_face_frequently_fails",
        "failure_to_unlock_the_vein_frequently",
        "hijacking_alarm",
        "unlock_inside_the_door_after_arming",
        "palmprints_frequently_fail_to_unlock",
        "the_safe_was_moved",
        "the_battery_level_is_less_than_10_percent",
        "the_battery_level_is_less_than_5_percent",
        "the_fingerprint_sensor_is_abnormal",
        "the_accessory_battery_is_low",
        "mechanical_failure",
        "the_lock_sensor_is_faulty",
        "the_lock_was_damaged",
        "locking_failed",
        "unlocking_failed",
        "the_lock_was_reset",
        "main_part_failure",
        "the_battery_is_too_hot",
        "the_battery_is_low",
        "the_battery_is_nearly_empty",
        "the_camera_battery_is_low",
        "the_camera_battery_is_nearly_empty",
        "the_door_was_left_open",
        "the_door_is_ajar",
        "the_door_was_forced_open",
        "another",
    ),
)
DOORBELL = EventKind("doorbell", ("ring",), "doorbell", control=True)
RADAR = EventKind("radar", ("minor_noise", "critical_noise", "normal", "failed"))
TIMER = EventKind("timer", ("timer_1_over", "timer_2_over"), control=True)
FINGERPRINT_READ = EventKind(
    "fingerprint",
    (
        "match_successful",
        "match_failed",
        "timeout",
        "low_quality_too_light_fuzzy",
        "insufficient_area",
        "skin_is_too_dry",
        "skin_is_too_wet",
    ),
)

EVENTS: Mapping[str, EventKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            ANY_BUTTON,
            COMMAND,
            CUBE,
            DIMMER,
            RESET,
            MOTION_DETECTED,
            LOCK_ACTION,
            LOCK_ERROR,
            DOORBELL,
            RADAR,
            TIMER,
            FINGERPRINT_READ,
        )
    }
)
"""Every row, by name."""


def button(name: str) -> EventKind:
    """A button of a device with several: ``left`` is the kind ``button_left``. Without a name it is the only one."""
    return attrs.evolve(BUTTON, name=f"button_{name}") if name else BUTTON


def control_of(name: str) -> EventKind:
    """The kind of a control of Xiaomi's by its name, whose buttons know three presses."""
    return button(name.removeprefix("button").removeprefix("_")) if name.startswith("button") else kind_of(name)


_NUMBERED = re.compile("(.+)_[1-9][0-9]?")


def kind_of(name: str) -> EventKind:
    """The kind of an event by its name, with all types that any device sends; one without types where there is no
    row. ``dimmer_2`` is the second dimmer of a device.
    """
    kind = EVENTS.get(name)
    if kind is None and (numbered := _NUMBERED.fullmatch(name)) is not None:
        kind = EVENTS.get(numbered[1])
    if kind is None and name.startswith("button_"):
        kind = ANY_BUTTON
    if kind is None:
        return EventKind(name)
    return kind if kind.name == name else attrs.evolve(kind, name=name)
