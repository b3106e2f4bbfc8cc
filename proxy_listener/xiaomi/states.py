"""States whose bytes are not a plain layout: motion and how long ago, minutes of one or four bytes, kettles, resets.

The rule of this file: "no motion for N seconds" is no motion, unless N is 0; ``idle_time`` holds the seconds.
"""

from proxy_listener.reading import Event
from proxy_listener.xiaomi.layout import Events, Implausible, Reader, Values
from proxy_listener.xiaomi.quantities import ILLUMINANCE, YEAR


def idle(data: bytes, at: int, length: int, values: Values, events: Events) -> None:  # noqa: ARG001
    """Seconds without motion: none means that there is motion now."""
    _idle_for(int.from_bytes(data[at : at + length], "little"), values)


def idle_minutes(data: bytes, at: int, length: int, values: Values, events: Events) -> None:  # noqa: ARG001
    """0x484F: the same in minutes."""
    _idle_for(data[at] * 60, values)


def _idle_for(seconds: int, values: Values) -> None:
    if seconds > YEAR:
        raise Implausible("idle_time", seconds)
    values["motion"] = seconds == 0
    values["idle_time"] = seconds


def motion_ended(data: bytes, at: int, length: int, values: Values, events: Events) -> None:
    """0x101B is sent once, when motion has ended; its number is the time since, whatever that is."""
    idle(data, at, length, values, events)
    values["motion"] = False


def motion_and_flag(data: bytes, at: int, length: int, values: Values, events: Events) -> None:
    """MJYD02YL sends 1 in the dark and 100 in light, RTCGQ02LM 0 and 256."""
    values["motion"] = True
    light_of(data, at, length, values, events)


def light_of(data: bytes, at: int, length: int, values: Values, events: Events) -> None:  # noqa: ARG001
    """A number that is a flag, by a threshold that fits both models."""
    values["light"] = int.from_bytes(data[at : at + length], "little") >= 100


def light_flag(data: bytes, at: int, length: int, values: Values, events: Events) -> None:  # noqa: ARG001
    """0x1007 of MJYD02YL and MCCGQ02HL: 100 is light, all else (0 or 1) is dark."""
    values["light"] = int.from_bytes(data[at : at + length], "little") == 100


def lux_and_light(data: bytes, at: int, length: int, values: Values, events: Events) -> None:
    """0x1007 of RTCGQ02LM: lux by the object's definition, and the same threshold as in its motion object."""
    lux = int.from_bytes(data[at : at + length], "little")
    if lux > (ILLUMINANCE.high or 0):
        raise Implausible("illuminance", lux)
    values["illuminance"] = lux
    light_of(data, at, length, values, events)


def motion_alone(data: bytes, at: int, length: int, values: Values, events: Events) -> None:  # noqa: ARG001
    """What the number is differs from model to model; that there was motion does not."""
    values["motion"] = True


def motion_detected(data: bytes, at: int, length: int, values: Values, events: Events) -> None:  # noqa: ARG001
    """0x0003 says that something moved and never that it stopped: an event, whatever the byte."""
    events.append(Event("motion", "motion_detected"))


def low_battery(data: bytes, at: int, length: int, values: Values, events: Events) -> None:  # noqa: ARG001
    """An event that may come without a byte: then it is the event that says so."""
    values["battery_low"] = data[at] != 0 if length else True


def kettle(data: bytes, at: int, length: int, values: Values, events: Events) -> None:  # noqa: ARG001
    """State (0 idle, 1 heating, 2 cooling, 3 keeping warm) and whole degrees."""
    if data[at] > 3 or data[at + 1] > 130:
        raise Implausible("temperature", data[at : at + 2].hex())
    values["power"] = data[at] != 0
    values["temperature"] = data[at + 1]


def minutes(name: str) -> Reader:
    """One byte or four: firmware sends either (ES3 four, ES5BB one)."""

    def read(data: bytes, at: int, length: int, values: Values, events: Events) -> None:  # noqa: ARG001
        minutes = int.from_bytes(data[at : at + length], "little")
        if minutes > YEAR // 60:
            raise Implausible(name, minutes)
        values[name] = minutes

    return read


def reset(data: bytes, at: int, length: int, values: Values, events: Events) -> None:  # noqa: ARG001
    """The device was reset by its button."""
    events.append(Event("device", "reset"))
