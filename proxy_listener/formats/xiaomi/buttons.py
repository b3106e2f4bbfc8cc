"""Buttons, dials and cubes: object 0x1001 and the MIoT events 1012, 1013, 1014.

::

    0x1001          [button][value][press]
    n.e.1012-1014   nothing, or [button]; the press is in the object id

A frame with a button that the model does not have is implausible. Sources: docs/protocol/mibeacon-objects.md#buttons.
"""

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
