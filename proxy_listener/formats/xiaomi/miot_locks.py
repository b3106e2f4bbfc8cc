"""Locks of the MIoT generation: what they did (e.1020), what is wrong (e.1007), the bell (e.1006), the door (p.1021).

::

    0x4A14, 0x4E14   an action, its method, who did it, when, on which side: one byte each, key u16, time u32,
                     in the order of the family (``_KEY_FIRST`` and the others)
    0x4A07, 0x4E07   [time u32][code], or the code alone, or before the time
    0x5606, 0x5A06   [time u32], or nothing
    0x4C15, 0x5015   [code], by family

The time is the lock's own and is not used. ``lock`` and ``childlock`` are true where open, as in :mod:`.locks`. An
action whose code is not listed is implausible; of an error the number is told. Sources:
docs/protocol/mibeacon-objects.md#newer-locks.
"""

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from proxy_listener.formats.layout import (
    Code,
    Events,
    Implausible,
    Meaning,
    ObjectRow,
    Values,
    codes,
    function,
    nothing,
    says,
)
from proxy_listener.model.reading import Event, Value

_SIZES = {"key": 2, "time": 4, "action": 1, "method": 1, "position": 1, "code": 1}

_KEY_FIRST = ("key", "time", "action", "method", "position")
_KEY_AND_METHOD_FIRST = ("key", "method", "action", "position", "time")
_POSITION_FIRST = ("position", "method", "action", "key", "time")
_METHOD_FIRST = ("method", "key", "time", "position", "action")
_ACTION_FIRST = ("action", "method", "key", "time")
"""The fields of an action, by family of locks."""

_POSITIONS = {1: "inside", 2: "outside"}

_Action: TypeAlias = tuple[Mapping[str, Value], str]
"""The values of an action and the type of its event; an empty type where nothing happened that has one."""

_LOCKED, _OPENED = {"lock": False}, {"lock": True}
_UNLOCKED = "unlocked"
"""Where no position is told; otherwise the type says the side."""

_ACTIONS: Mapping[int, _Action] = {
    1: (_LOCKED, "locked"),
    2: (_OPENED, _UNLOCKED),
    3: (_LOCKED, "lock_outside_the_door"),
    4: (_LOCKED, "lock_inside_the_door"),
    5: (_OPENED, "unlock_inside_the_door"),
    6: ({"childlock": False}, "turn_on_child_lock"),
    7: ({"childlock": True}, "turn_off_child_lock"),
    8: ({"armed": True}, "turn_on_away_mode"),
    9: ({"armed": False}, "turn_off_away_mode"),
}

_ACTIONS_B03: Mapping[int, _Action] = {
    1: (_LOCKED, "locked"),
    2: (_OPENED, _UNLOCKED),
    3: (_LOCKED, "lock_inside_the_door"),
    4: (_OPENED, "unlock_inside_the_door"),
    5: ({"childlock": False}, "turn_on_child_lock"),
    6: ({"childlock": True}, "turn_off_child_lock"),
    7: ({"armed": True}, "turn_on_away_mode"),
    8: ({"armed": False}, "turn_off_away_mode"),
    9: ({"door": False}, ""),
    10: ({"childlock": False}, "turn_on_child_lock"),
    11: ({"childlock": True}, "turn_off_child_lock"),
}

_ACTIONS_0: Mapping[int, _Action] = {0: (_OPENED, _UNLOCKED), 1: (_LOCKED, "locked")}

_METHODS = {
    1: "bluetooth",
    2: "fingerprint",
    3: "password",
    4: "nfc_method",
    5: "face",
    6: "finger_vein",
    7: "palm_print",
    8: "key_method",
    9: "one_time_password",
    10: "periodic_password",
    11: "homekit",
    12: "coercion_method",
    13: "two_step_verification",
    14: "turntable_method",
    15: "manual",
    16: "automatic",
}

_METHODS_B03 = {
    **dict(zip(range(1, 5), ("bluetooth", "fingerprint", "password", "nfc_method"), strict=True)),
    5: "key_method",
    6: "one_time_password",
    7: "periodic_password",
    8: "emergency",
    9: "manual",
    10: "finger_vein",
}

_METHODS_GLASS = {
    1: "bluetooth",
    2: "password",
    3: "fingerprint",
    4: "nfc_method",
    5: "one_time_password",
    6: "manual",
    7: "remote_control",
}

_METHODS_S5 = {
    0: "bluetooth",
    1: "password",
    2: "fingerprint",
    3: "key_method",
    4: "turntable_method",
    5: "nfc_method",
    6: "one_time_password",
    7: "periodic_password",
    8: "coercion_method",
}

_KEYLESS = {"manual", "automatic"}
_NO_KEY, _UNKNOWN_KEY = "no key", "unknown operator"

_ERRORS = {
    1: "failure_to_unlock_frequently_in_multiple_ways",
    2: "frequent_unlocking_with_incorrect_password",
    3: "frequent_unlocking_with_wrong_fingerprints",
    4: "error_nfc_frequently_unlocks",
    5: "unlocking_the_face_frequently_fails",
    6: "palmprints_frequently_fail_to_unlock",
    7: "failure_to_unlock_the_vein_frequently",
    8: "the_wrong_key_is_frequently_unlocked",
    9: "the_lock_was_damaged",
    10: "locking_failed",
    11: "unlock_inside_the_door_after_arming",
    12: "the_lock_was_reset",
    13: "foreign_body_in_the_keyhole",
    14: "the_key_has_not_been_taken_out",
    15: "the_fingerprint_sensor_is_abnormal",
    16: "mechanical_failure",
    17: "main_part_failure",
    18: "the_battery_is_too_hot",
    19: "the_battery_is_low",
    20: "the_battery_is_nearly_empty",
    21: "the_camera_battery_is_low",
    22: "the_camera_battery_is_nearly_empty",
    23: "the_door_was_left_open",
    24: "the_door_is_ajar",
    25: "the_door_was_forced_open",
}

_NO_ERROR = (0, 0xFF)
"""Where no family lists them: nothing is wrong, and no value."""

_ERRORS_TWO_BATTERIES = {
    **{code: name for code, name in _ERRORS.items() if code not in {20, 21, 22}},
    **dict.fromkeys((20, 21), "the_battery_is_low"),
    **dict.fromkeys((22, 26, 27, 28, 29), "the_battery_is_nearly_empty"),
}

_ERRORS_B03 = {
    1: _ERRORS[1],
    2: _ERRORS[9],
    3: _ERRORS[12],
    4: _ERRORS[19],
    5: _ERRORS[20],
    6: _ERRORS[11],
    7: _ERRORS[24],
    9: _ERRORS[23],
    11: _ERRORS[10],
    12: "unlocking_failed",
}

_ERRORS_GLASS = {1: _ERRORS[2], 2: _ERRORS[3], 3: _ERRORS[4], 4: _ERRORS[19]}
_ERRORS_S5 = {0: _ERRORS[2], 1: _ERRORS[3], 3: _ERRORS[25], 6: _ERRORS[19]}
_RING = (Event("doorbell", "ring"),)
_OTHER_ERRORS_S5: Mapping[int, Code] = {
    2: Code(events=_RING),
    22: Code({"antilock": False}, (Event("lock", "turn_on_antilock"),)),
    23: Code({"antilock": True}, (Event("lock", "release_the_antilock"),)),
}

_SHUT, _OPEN = says(door=False, door_left_open=False), says(door=True)
_LEFT_OPEN = says(door=True, door_left_open=True)

_DOOR: Mapping[int, Code] = {1: _SHUT, 2: _OPEN, 3: _LEFT_OPEN, 4: _OPEN}
_DOOR_BITS: Mapping[int, Code] = {
    state << 4 | bits: said
    for state, said in {1: _SHUT, 2: _OPEN, 3: _LEFT_OPEN, 4: _OPEN}.items()
    for bits in range(16)
}
_DOOR_B03: Mapping[int, Code] = {
    bits << 4 | state: said
    for state, said in {1: _SHUT, 2: _OPEN, 3: _SHUT, 4: _OPEN, 5: _LEFT_OPEN, 6: _OPEN}.items()
    for bits in range(4)
}


@attrs.frozen
class Family:
    """What differs between locks. ``fields``: the order of an action's; ``error``: that of an error's.

    ``other_errors``: codes among them that are no errors.
    """

    fields: tuple[str, ...]
    door: Mapping[int, Code] = attrs.field(factory=lambda: _DOOR)
    actions: Mapping[int, _Action] = attrs.field(factory=lambda: _ACTIONS)
    methods: Mapping[int, str] = attrs.field(factory=lambda: _METHODS)
    errors: Mapping[int, str] = attrs.field(factory=lambda: _ERRORS)
    error: tuple[str, ...] = ("time", "code")
    other_errors: Mapping[int, Code] = attrs.field(factory=dict)


def _cut(fields: tuple[str, ...], data: bytes) -> dict[str, int]:
    found, at = {}, 0
    for name in fields:
        size = _SIZES[name]
        found[name] = int.from_bytes(data[at : at + size], "little")
        at += size
    return found


def _lengths(fields: tuple[str, ...]) -> tuple[int, ...]:
    """A time at the end may be missing."""
    length = sum(_SIZES[name] for name in fields)
    return (length - 4, length) if fields[-1] == "time" else (length,)


def _action(family: Family) -> Meaning:
    def meaning(data: bytes) -> tuple[Values, Events]:
        found = _cut(family.fields, data)
        action = family.actions.get(found["action"])
        if action is None:
            raise Implausible("lock", f"action {found['action']}")
        states, kind = action
        if not kind:
            return dict(states), ()
        method = family.methods.get(found["method"], f"method {found['method']}")
        values: Values = {**states, "lock_method": method, "key_id": _key(found["key"], method)}
        side = _POSITIONS.get(found.get("position", 0))
        if kind == _UNLOCKED and side:
            kind = f"unlock_{side}_the_door"
        return values, (Event("lock", kind, {"position": side} if side else {}),)

    return meaning


def _key(number: int, method: str) -> str:
    if method in _KEYLESS:
        return _NO_KEY
    return _UNKNOWN_KEY if number == 0xFFFF else f"key id {number}"


def _error(family: Family) -> Meaning:
    def meaning(data: bytes) -> tuple[Values, Events]:
        code = data[0] if len(data) == 1 else _cut(family.error, data)["code"]
        if other := family.other_errors.get(code):
            return {**other.values}, other.events
        kind = family.errors.get(code)
        if kind is None and code in _NO_ERROR:
            raise Implausible("error", f"code {code}")
        return {}, (Event("error", kind) if kind else Event("error", "another", {"code": code}),)

    return meaning


def _bell(_data: bytes) -> tuple[Values, Events]:
    return {}, _RING


def rows(family: Family) -> Mapping[int, ObjectRow]:
    """The objects of a family of locks."""
    action, error = function(_action(family), *_lengths(family.fields)), function(_error(family), 1, 5)
    bell, door = function(_bell, 0, 4), codes(family.door)
    return {
        0x4A07: error,
        0x4A14: action,
        0x4C15: door,
        0x4E07: error,
        0x4E14: action,
        0x5015: door,
        0x5022: nothing(1),  # which batteries are fitted
        0x5606: bell,
        0x5A06: bell,
    }


_MCN = rows(Family(_KEY_FIRST))
_B03 = rows(
    Family(_METHOD_FIRST, _DOOR_B03, _ACTIONS_B03, _METHODS_B03, _ERRORS_B03, error=("code", "time")),
)
_LOOCK = rows(Family(_POSITION_FIRST, _DOOR_BITS))
_S5 = rows(
    Family(_ACTION_FIRST, _DOOR_BITS, _ACTIONS_0, _METHODS_S5, _ERRORS_S5, other_errors=_OTHER_ERRORS_S5),
)

LOCKS: Mapping[str, Mapping[int, ObjectRow]] = {
    "MCN003": _MCN,
    "XFCL201": rows(Family(_POSITION_FIRST, _DOOR_BITS, errors=_ERRORS_TWO_BATTERIES)),
    "XMZNMS01OD": rows(Family(_KEY_AND_METHOD_FIRST)),
    "XMZNMS03OD": _B03,
    "XMZNMS09LM": _MCN,
    "XMZNMS201LM": _MCN,
    "lcrmcr.lock.cb2207": rows(Family(_ACTION_FIRST, _DOOR, _ACTIONS_0, _METHODS_GLASS, _ERRORS_GLASS)),
    "line.lock.fms5": _S5,
    "line.lock.fms5s": _S5,
    "loock.lock.h01lyk": _LOOCK,
    "loock.lock.r2": _LOOCK,
    "lumi.lock.mcn009": _MCN,
    "xiaomi.lock.b04sv": _B03,
}
"""By the model's name."""
