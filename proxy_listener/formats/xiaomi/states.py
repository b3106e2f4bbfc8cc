"""States whose bytes are not a plain layout: motion and how long ago, minutes of one to four bytes, kettles, resets;
the codes of smoke and gas detectors and of a radar; what the second smoke detector says of an alarm.

Each function takes the data of one object, without its header, and gives values and events; Implausible for bytes that
mean nothing. "No motion for N seconds" is no motion, unless N is 0; ``idle_time`` holds the seconds. Sources:
docs/protocol/mibeacon-objects.md#motion-and-light and #kettles.
"""

import struct
from collections.abc import Mapping

from proxy_listener.formats.layout import Code, Events, Implausible, Meaning, Values, says, shortest
from proxy_listener.model.quantities import ILLUMINANCE, TEMPERATURE, YEAR
from proxy_listener.model.reading import Event


def _is_absent(data: bytes) -> bool:
    """All ones: the device has no value."""
    return data == b"\xff" * len(data)


_MOVED = (Event("motion", "motion_detected"),)
_RESET = (Event("device", "reset"),)


def idle(data: bytes) -> tuple[Values, Events]:
    """Seconds without motion: none means that there is motion now."""
    if _is_absent(data):
        raise Implausible("idle_time", data.hex())
    return _idle_for(int.from_bytes(data, "little"))


def idle_minutes(data: bytes) -> tuple[Values, Events]:
    """0x484F: the same in minutes."""
    if _is_absent(data):
        raise Implausible("idle_time", data.hex())
    return _idle_for(data[0] * 60)


def _idle_for(seconds: int) -> tuple[Values, Events]:
    if seconds > YEAR:
        raise Implausible("idle_time", seconds)
    return {"motion": seconds == 0, "idle_time": seconds}, ()


def motion_ended(data: bytes) -> tuple[Values, Events]:
    """0x101B is sent once, when motion has ended; its number is the seconds since."""
    values, events = idle(data)
    return values | {"motion": False}, events


def motion_and_flag(data: bytes) -> tuple[Values, Events]:
    """MJYD02YL sends 1 in the dark and 100 in light, RTCGQ02LM 0 and 256."""
    return ({"motion": True} if _is_absent(data) else {"motion": True, "light": _is_light(data)}), ()


def _is_light(data: bytes) -> bool:
    """A number that is a flag, by a threshold that fits both models."""
    return int.from_bytes(data, "little") >= 100


def light_flag(data: bytes) -> tuple[Values, Events]:
    """0x1007 of MJYD02YL and MCCGQ02HL: 100 is light, all else (0 or 1) is dark."""
    if _is_absent(data):
        raise Implausible("light", data.hex())
    return {"light": int.from_bytes(data, "little") == 100}, ()


def lux_and_light(data: bytes) -> tuple[Values, Events]:
    """0x1007 of RTCGQ02LM: lux by the object's definition, and the same threshold as in its motion object."""
    lux = int.from_bytes(data, "little")
    if lux > (ILLUMINANCE.high or 0):
        raise Implausible("illuminance", lux)
    return {"illuminance": lux, "light": _is_light(data)}, ()


def motion_alone(_data: bytes) -> tuple[Values, Events]:
    """The number means different things on different models; all of them say that there was motion."""
    return {"motion": True}, ()


def motion_detected(_data: bytes) -> tuple[Values, Events]:
    """0x0003 says that something moved, and never that it stopped: an event, independent of its byte."""
    return {}, _MOVED


def low_battery(data: bytes) -> tuple[Values, Events]:
    """An event that may come without a byte; the event alone means a low battery."""
    if data and _is_absent(data):
        raise Implausible("battery_low", data.hex())
    return {"battery_low": data != b"\x00"}, ()


def kettle(data: bytes) -> tuple[Values, Events]:
    """State (0 idle, 1 heating, 2 cooling, 3 keeping warm) and whole degrees."""
    state, celsius = data
    if _is_absent(data[1:]) and state <= 3:
        return {"power": state != 0}, ()
    if state > 3 or celsius > 130:
        raise Implausible("temperature", data.hex())
    return {"power": state != 0, "temperature": celsius}, ()


def occupied(data: bytes) -> tuple[Values, Events]:
    """n.p.1096: 0 is nobody, all else somebody."""
    if _is_absent(data):
        raise Implausible("occupancy", data.hex())
    return {"occupancy": any(data)}, ()


def minutes(name: str) -> Meaning:
    """One byte, two or four: firmware sends any of them (ES5BB one, XMOSB01XS two, ES3 four)."""

    def meaning(data: bytes) -> tuple[Values, Events]:
        minutes = int.from_bytes(data, "little")
        if minutes > YEAR // 60 or _is_absent(data):
            raise Implausible(name, minutes)
        return {name: minutes}, ()

    return meaning


def reset(_data: bytes) -> tuple[Values, Events]:
    """The device was reset by its button."""
    return {}, _RESET


def _detector(quantity: str, faults: Mapping[int, str], others: Mapping[int, str]) -> Mapping[int, Code]:
    """What the codes of a detector say. One that has a fault does not know whether there is smoke or gas."""
    table = {
        0: says(**{quantity: False}, fault=False, detector_state="normal"),
        1: says(**{quantity: True}, fault=False, detector_state="alarm"),
    }
    table |= {code: says(fault=True, detector_state=name) for code, name in faults.items()}
    return table | {code: says(**{quantity: False}, fault=False, detector_state=name) for code, name in others.items()}


SMOKE_CODES = _detector("smoke", {2: "fault"}, {3: "self_test", 4: "simulated_alarm"})
GAS_CODES = _detector("gas", {2: "fault", 3: "end_of_life"}, {4: "warming_up", 5: "self_test", 6: "simulated_alarm"})
"""docs/protocol/mibeacon-objects.md#alarms"""

RADAR_CODES: Mapping[int, Code] = {
    0: Code(events=_RESET),
    **dict.fromkeys(range(1, 5), Code()),  # why it turned the light off
    5: Code({"fault": False}, (Event("radar", "minor_noise"),)),
    6: Code({"fault": True}, (Event("radar", "critical_noise"),)),
    7: Code({"fault": False}, (Event("radar", "normal"),)),
    8: Code({"fault": True}, (Event("radar", "failed"),)),
}
"""ES5BB, 5.e.1097: docs/protocol/mibeacon-objects.md#numbers-of-one-model"""

_QUIET: Values = {"smoke": False, "heat": False, "fault": False, "detector_state": "normal"}
_SMOKE: Values = {"smoke": True, "fault": False, "detector_state": "alarm"}
_HOT: Values = {"heat": True, "detector_state": "overheated"}
_BROKEN: Values = {"fault": True, "detector_state": "fault"}
_DUSTY: Values = {"fault": True, "detector_state": "dusty"}

SMOKE_2_CODES: Mapping[int, Code] = {1: Code(_QUIET), 2: Code(_SMOKE), 4: Code(_BROKEN), 5: Code(_DUSTY), 6: Code(_HOT)}

_SMOKE_2_ALARMS: Mapping[int, Values] = {
    0: {**_SMOKE},
    1: {**_SMOKE, "heat": True},
    2: {**_SMOKE, "heat": True},  # it became warmer fast
    3: {"smoke": False, "detector_state": "normal"},
    4: {**_HOT},
    5: {**_BROKEN},
    6: {"fault": False, "detector_state": "normal"},
    7: {**_DUSTY},
    8: {"fault": False, "detector_state": "normal"},
    9: {**_SMOKE},  # it goes on
    10: {**_QUIET},
    11: {"heat": False, "detector_state": "normal"},
    12: {**_QUIET},
}
"""docs/protocol/mibeacon-objects.md#smoke-alarm-2"""

_ALARM = struct.Struct("<fIB").unpack


def smoke_2_alarm(data: bytes) -> tuple[Values, Events]:
    """A temperature, for how many seconds there is an alarm (not used), what happened. An alarm stands alone where
    the temperature is none.
    """
    celsius, _, happened = _ALARM(data)
    states = _SMOKE_2_ALARMS.get(happened)
    if states is None:
        raise Implausible("smoke", f"event {happened}")
    if (TEMPERATURE.low or 0) <= celsius <= (TEMPERATURE.high or 0):
        return {**states, "temperature": shortest(celsius)}, ()
    return {**states}, ()
