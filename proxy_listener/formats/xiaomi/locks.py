"""Locks: objects 0x0006 (fingerprint), 0x0008 (armed), 0x000B (lock), 0x100E (bolts).

::

    0x0006   [key id u32][result]
    0x0008   [0 armed, 1 not]                           or with [time u32] behind it
    0x000B   [action: low 4 bits, method: high 4 bits][key id u32][time u32]
    0x100E   [bit 0 square bolt, 1 dull bolt, 2 latch, 3 child lock]

As in Home Assistant, ``lock`` is true where it is open; so are ``antilock``, ``childlock`` and each bolt. Sources:
docs/protocol/mibeacon-objects.md#locks.
"""

from proxy_listener.formats.layout import Events, Implausible, Meaning, Values
from proxy_listener.model.events import FINGERPRINT_READ, LOCK_ERROR
from proxy_listener.model.reading import Event

LOCK_ACTIONS = {
    0: ("lock", True, "unlock_outside_the_door"),
    1: ("lock", False, "locked"),
    2: ("antilock", False, "turn_on_antilock"),
    3: ("antilock", True, "release_the_antilock"),
    4: ("lock", True, "unlock_inside_the_door"),
    5: ("lock", False, "lock_inside_the_door"),
    6: ("childlock", False, "turn_on_child_lock"),
    7: ("childlock", True, "turn_off_child_lock"),
    8: ("lock", False, "lock_outside_the_door"),
    15: ("lock", True, "abnormal"),
}

_METHODS = {
    0: "bluetooth",
    1: "password",
    2: "biometrics",
    3: "key_method",
    4: "turntable_method",
    5: "nfc_method",
    6: "one_time_password",
    7: "two_step_verification",
    8: "coercion_method",
    9: "homekit",
    10: "manual",
    11: "automatic",
    15: "abnormal",
}

_ERROR_IDS = (*range(0xC0DE0000, 0xC0DE0011), *range(0xC0DE1000, 0xC0DE1006))
LOCK_ERRORS = dict(zip(_ERROR_IDS, LOCK_ERROR.types[: len(_ERROR_IDS)], strict=True))
"""Key ids that are errors, in the order of their names."""

_PERSONS = {0x00000000: "administrator", 0xFFFFFFFF: "unknown operator", 0xDEADBEEF: "invalid operator"}

_KEYS = {
    0x8001: "Fingerprint",
    0x8002: "Password",
    0x8003: "Keys",
    0x8004: "NFC",
    0x8005: "Two-step verification",
    0x8006: "Human face",
    0x8007: "Finger veins",
    0x8008: "Palm print",
}


def key_text(key_id: int) -> str:
    """The key in words: ``administrator``, ``Bluetooth key 7``, ``Fingerprint key id 2``."""
    if key_id in _PERSONS:
        return _PERSONS[key_id]
    if key_id <= 0x7FFFFFFF:
        return f"Bluetooth key {key_id}"
    kind = _KEYS.get(key_id >> 16)
    return f"{kind} key id {key_id & 0xFFFF}" if kind else f"key id {key_id & 0xFFFF}"


def lock(*, of_its_own: frozenset[str] = frozenset({"lock"})) -> Meaning:
    """0x000B. ``of_its_own``: the states that are separate quantities on the model.

    ZNMS17LM has separate states for antilock and child lock. For every other model, the public decoders count them as
    the state of the lock, and no frame is known that contradicts it.
    """

    def meaning(data: bytes) -> tuple[Values, Events]:
        action, method = LOCK_ACTIONS.get(data[0] & 0x0F), _METHODS.get(data[0] >> 4)
        if action is None or method is None:
            raise Implausible("lock", f"action and method 0x{data[0]:02X}")
        subject, is_open, name = action
        values: Values = {subject if subject in of_its_own else "lock": is_open, "lock_method": method}
        key_id = int.from_bytes(data[1:5], "little")
        if key_id in LOCK_ERRORS:
            return values, (Event("lock", name), Event("error", LOCK_ERRORS[key_id]))
        values["key_id"] = key_text(key_id)
        return values, (Event("lock", name),)

    return meaning


def dsl_lock(data: bytes) -> tuple[Values, Events]:
    """0x000B of DSL-C08: passwords 5000 to 5999 are its one-time passwords (ble_monitor)."""
    values, events = _LOCK(data)
    number = int.from_bytes(data[1:3], "little")
    if values["lock_method"] == "password" and 5000 <= number < 6000:
        values["lock_method"] = "one_time_password"
    return values, events


_LOCK = lock()


def fingerprint(data: bytes) -> tuple[Values, Events]:
    """0x0006. An invalid operator's id has been seen in either byte order."""
    result = data[4]
    if result >= len(FINGERPRINT_READ.types):
        raise Implausible("fingerprint", f"result {result}")
    key_id = int.from_bytes(data[:4], "little")
    if data[:4] == b"\xde\xad\xbe\xef":
        key_id = 0xDEADBEEF
    values: Values = {"fingerprint": result == 0, "key_id": _PERSONS.get(key_id, str(key_id))}
    return values, (Event("fingerprint", FINGERPRINT_READ.types[result]),)


def bolts(data: bytes) -> tuple[Values, Events]:
    """0x100E: a set bit is a bolt that is out. Each of the two bolts locks the door, the latch does not."""
    bits = data[0]
    return {
        "lock": not bits & 0b0011,
        "square_bolt": not bits & 0b0001,
        "dull_bolt": not bits & 0b0010,
        "latch": not bits & 0b0100,
        "childlock": not bits & 0b1000,
    }, ()
