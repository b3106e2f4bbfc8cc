"""Buttons, dials and cubes: object 0x1001 and the MIoT events 1012, 1013, 1014.

::

    0x1001          [button][value][press]
    n.e.1012-1014   nothing, or [button]; the press is in the object id

The rule of this file: a button that the model does not have fires nothing; the frame is implausible.
"""

from proxy_listener.reading import Event
from proxy_listener.xiaomi.layout import Events, Implausible, Reader, Row, Values, function
from proxy_listener.xiaomi.models import Buttons

DIMMER = "dimmer"


def pressed(buttons: Buttons) -> Row:
    """0x1001 of a model with buttons."""

    def read(data: bytes, at: int, length: int, values: Values, events: Events) -> None:  # noqa: ARG001
        number, kind = data[at], buttons.presses.get(data[at + 2])
        if kind is None:
            raise Implausible("button", f"press {data[at + 2]}")
        _fire(buttons, number, kind, values, events)

    return function(read, 3)


def press_event(buttons: Buttons, kind: str) -> Row:
    """A MIoT event whose id says which press it was: ``kind``; its byte, if it has one, which button."""
    lengths = (0, 1) if buttons.whatever or buttons.numbered else (1,)

    def read(data: bytes, at: int, length: int, values: Values, events: Events) -> None:
        _fire(buttons, data[at] if length else 0, kind, values, events)

    return function(read, *lengths)


def _fire(buttons: Buttons, number: int, kind: str, values: Values, events: Events) -> None:
    if buttons.whatever:
        events.append(Event("button", kind))
        return
    if buttons.numbered:
        events.append(Event("button", kind, {"button": number} if number else {}))
        return
    names = buttons.events.get(number)
    if names is None:
        raise Implausible("button", f"button {number}")
    if number in buttons.power:
        values["power"] = buttons.power[number]
    for name in names:
        events.append(Event(name, kind))


def cube(data: bytes, at: int, length: int, values: Values, events: Events) -> None:  # noqa: ARG001
    """XMMF01JQD: the button byte is the direction."""
    if data[at] > 1:
        raise Implausible("cube", f"direction {data[at]}")
    events.append(Event("cube", "rotate_left" if data[at] else "rotate_right"))


def dimmer(data: bytes, at: int, length: int, values: Values, events: Events) -> None:  # noqa: ARG001
    """YLKG07YL/YLKG08YL: press 3 is a press (button 0) or a long one (1); press 4 is a turn, left above 127.

    The steps of a plain turn are in ``value``, of a turn while pressed in ``button``.
    """
    button, value, press = data[at], data[at + 1], data[at + 2]
    if press == 3 and button == 0:
        events.append(Event(DIMMER, "press", {"number_of_presses": value}))
    elif press == 3 and button == 1:
        events.append(Event(DIMMER, "long_press", {"duration": value}))
    elif press == 4:
        steps, suffix = (button, "_pressed") if button else (value, "")
        if steps <= 127:
            events.append(Event(DIMMER, f"rotate_right{suffix}", {"steps": steps}))
        else:
            events.append(Event(DIMMER, f"rotate_left{suffix}", {"steps": 256 - steps}))
    else:
        raise Implausible(DIMMER, f"button {button}, press {press}")


def coded_press(kinds: dict[int, str]) -> Reader:
    """K9BB-1BTN: one object for all presses, told apart by its byte."""

    def read(data: bytes, at: int, length: int, values: Values, events: Events) -> None:  # noqa: ARG001
        kind = kinds.get(data[at])
        if kind is None:
            raise Implausible("button", f"press {data[at]}")
        events.append(Event("button", kind))

    return read
