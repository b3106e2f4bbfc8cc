"""Buttons, dials, cubes and timers: object 0x1001 and the MIoT events 1012, 1013, 1014, 1025, 1028, 1036.

::

    0x1001          [button][value][press]
    n.e.1012-1014   nothing, or [button]; the press is in the object id
    5.e.1036, 1028  [number][steps, signed: 1, 2 or 4 bytes]: a knob is turned, is turned while pressed
    n.e.1025        nothing: a timer is over

A frame with a button that the model does not have is implausible. Sources: docs/protocol/mibeacon-objects.md#buttons.
"""

from collections.abc import Mapping

from proxy_listener.formats.layout import Events, Implausible, Meaning, ObjectRow, Values, function
from proxy_listener.model.models import Buttons
from proxy_listener.model.reading import Event

DIMMER = "dimmer"


def pressed(buttons: Buttons) -> ObjectRow:
    """0x1001 of a model with buttons."""

    def meaning(data: bytes) -> tuple[Values, Events]:
        number, kind = data[0], buttons.presses.get(data[2])
        if kind is None:
            raise Implausible("button", f"press {data[2]}")
        return _fired(buttons, number, kind)

    return function(meaning, 3)


def press_event(buttons: Buttons, kind: str) -> ObjectRow:
    """A MIoT event. Its id says which press it was (``kind``), its byte, if it has one, which button."""
    lengths = (0, 1) if buttons.whatever or buttons.numbered else (1,)

    def meaning(data: bytes) -> tuple[Values, Events]:
        return _fired(buttons, data[0] if data else 0, kind)

    return function(meaning, *lengths)


def _fired(buttons: Buttons, number: int, kind: str) -> tuple[Values, Events]:
    if buttons.whatever:
        return {}, (Event("button", kind),)
    if buttons.numbered:
        return {}, (Event("button", kind, {"button": number} if number else {}),)
    names = buttons.events.get(number)
    if names is None:
        raise Implausible("button", f"button {number}")
    values: Values = {"power": buttons.power[number]} if number in buttons.power else {}
    if len(names) == 1:
        return values, (Event(names[0], kind),)
    return values, tuple(Event(name, kind) for name in names)


def cube(data: bytes) -> tuple[Values, Events]:
    """XMMF01JQD: the button byte is the direction."""
    if data[0] > 1:
        raise Implausible("cube", f"direction {data[0]}")
    return {}, (Event("cube", "rotate_left" if data[0] else "rotate_right"),)


def dimmer(data: bytes) -> tuple[Values, Events]:
    """YLKG07YL/YLKG08YL: press 3 is a press (button 0) or a long one (1); press 4 is a turn, left above 127.

    The steps of a plain turn are in ``value``, of a turn while pressed in ``button``.
    """
    button, value, press = data
    if press == 3 and button == 0:
        return {}, (Event(DIMMER, "press", {"number_of_presses": value}),)
    if press == 3 and button == 1:
        return {}, (Event(DIMMER, "long_press", {"duration": value}),)
    if press == 4:
        steps, suffix = (button, "_pressed") if button else (value, "")
        if steps <= 127:
            return {}, (Event(DIMMER, f"rotate_right{suffix}", {"steps": steps}),)
        return {}, (Event(DIMMER, f"rotate_left{suffix}", {"steps": 256 - steps}),)
    raise Implausible(DIMMER, f"button {button}, press {press}")


def coded_press(kinds: dict[int, str]) -> Meaning:
    """K9BB-1BTN: one object for all presses; its byte says which."""

    def meaning(data: bytes) -> tuple[Values, Events]:
        kind = kinds.get(data[0])
        if kind is None:
            raise Implausible("button", f"press {data[0]}")
        return {}, (Event("button", kind),)

    return meaning


_MOST_STEPS = 1000
"""Of a knob in one event; more is no turn of a hand."""


def knob(suffix: str) -> Meaning:
    """A turn, to the right where positive. ``suffix``: of the event's type."""

    def meaning(data: bytes) -> tuple[Values, Events]:
        steps = int.from_bytes(data[1:], "little", signed=True)
        if not 0 < abs(steps) <= _MOST_STEPS:
            raise Implausible(DIMMER, f"{steps} steps")
        side = "right" if steps > 0 else "left"
        return {}, (Event(DIMMER, f"rotate_{side}{suffix}", {"steps": abs(steps)}),)

    return meaning


KNOB: Mapping[int, ObjectRow] = {
    0x561C: function(knob("_pressed"), 2, 3, 5),
    0x5624: function(knob(""), 2, 3, 5),
}


def always(event: str, kind: str, **properties: int) -> ObjectRow:
    """An object that says by its id alone what happened."""
    fired = (Event(event, kind, properties),)
    return function(lambda _data: ({}, fired), 0, 1)


KEYS_AND_KNOB: Mapping[int, ObjectRow] = {
    0x4A0C: always("button", "press", button=1),
    0x4A0D: always("button", "press", button=2),
    0x4A0E: always("button", "press", button=3),
    0x4A1C: always("button", "press", button=4),
    0x4E0C: always(DIMMER, "rotate_right"),
    0x4E0D: always(DIMMER, "rotate_left"),
    0x4E0E: always(DIMMER, "press"),
}
"""PTX-X6: the ids that are kinds of a press elsewhere are its four keys and its knob."""


def keys_and_knob(knob: Mapping[int, str], first_key: int) -> Mapping[int, ObjectRow]:
    """LeMesh K4, ZXFANS F2: the number of a press is a key (from ``first_key`` on), or what was done with the knob."""

    def row(kind: str, turns: Mapping[int, str]) -> ObjectRow:
        def meaning(data: bytes) -> tuple[Values, Events]:
            if (turn := turns.get(data[0])) is not None:
                return {}, (Event(DIMMER, turn),)
            key = data[0] - first_key + 1
            return {}, (Event("button", kind, {"button": key} if key > 0 else {}),)

        return function(meaning, 1)

    return {
        0x560C: row("press", knob),
        0x560D: row("double_press", {}),
        0x560E: row("long_press", {1: "long_press"} if first_key > 1 else {}),
    }


KNOB_K4 = keys_and_knob(
    {1: "press", 6: "rotate_right", 7: "rotate_left", 8: "rotate_right_pressed", 9: "rotate_left_pressed"}, first_key=2
)
KNOB_F2 = keys_and_knob({5: "rotate_right", 6: "rotate_left"}, first_key=1)


def keys_by_service(*services: int) -> Mapping[int, ObjectRow]:
    """PTX wall switches: each key is a MIoT service of its own."""
    return {
        0x4000 + service * 1024 + 512 + number: always("button", kind, button=key)
        for key, service in enumerate(services, 1)
        for number, kind in ((12, "press"), (14, "long_press"))
    }


TIMERS: Mapping[int, ObjectRow] = {
    0x4A19: always("timer", "timer_1_over"),
    0x4E19: always("timer", "timer_2_over"),
}
