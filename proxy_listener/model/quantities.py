"""What is measured: the names, units and physical ranges of every quantity.

A name is Home Assistant's for it. A range is physical and generous: it is there to stop damaged bytes (a flipped bit
gave 3,095 °C), never a rare but real value. The rule of this file: a value outside its range is not published.
"""

from collections.abc import Mapping

import attrs

YEAR = 366 * 86_400


@attrs.frozen
class Quantity:
    """``low`` and ``high`` are inclusive, in ``unit``. Flags and texts have neither: ``low`` and ``high`` are None."""

    name: str
    unit: str = ""
    low: float | None = None
    high: float | None = None


def _percent(name: str) -> Quantity:
    return Quantity(name, "%", 0, 100)


def _seconds(name: str) -> Quantity:
    return Quantity(name, "s", 0, YEAR)


def _minutes(name: str) -> Quantity:
    return Quantity(name, "min", 0, YEAR / 60)


TEMPERATURE = Quantity("temperature", "°C", -60, 130)  # kettles boil, freezers freeze
HUMIDITY = _percent("humidity")
MOISTURE_LEVEL = _percent("moisture")  # of soil; the flag of the same name is a leak
BATTERY = _percent("battery")
CONSUMABLE = _percent("consumable")
SCORE = _percent("score")
ILLUMINANCE = Quantity("illuminance", "lx", 0, 200_000)  # bright sun is 120,000
CONDUCTIVITY = Quantity("conductivity", "µS/cm", 0, 20_000)  # the sensors' scale ends at 10,000
FORMALDEHYDE = Quantity("formaldehyde", "mg/m³", 0, 100)
MASS = Quantity("mass", "kg", 0, 400)
MASS_NON_STABILIZED = Quantity("mass_non_stabilized", "kg", 0, 400)
IMPEDANCE = Quantity("impedance", "Ω", 0, 3_000)  # a body is 200 to 1,500
IMPEDANCE_LOW = Quantity("impedance_low", "Ω", 0, 3_000)
IMPEDANCE_HIGH = Quantity("impedance_high", "Ω", 0, 3_000)
HEART_RATE = Quantity("heart_rate", "bpm", 20, 250)
COUNTER = Quantity("counter", "", 0, 255)
PROFILE_ID = Quantity("profile_id", "", 0, 255)
RSSI = Quantity("signal_strength", "dBm", -128, 127)
IDLE_TIME = _seconds("idle_time")
MOTION_TIME = _minutes("motion_time")
DURATION_DETECTED = _minutes("duration_detected")
DURATION_CLEARED = _minutes("duration_cleared")
PRESSURE_PRESENT_DURATION = _seconds("pressure_present_duration")
PRESSURE_NOT_PRESENT_DURATION = _seconds("pressure_not_present_duration")
PRESSURE_PRESENT_TIME_SET = _seconds("pressure_present_time_set")
PRESSURE_NOT_PRESENT_TIME_SET = _seconds("pressure_not_present_time_set")

ANTILOCK = Quantity("antilock")
ARMED = Quantity("armed")
ASLEEP = Quantity("asleep")
BATTERY_LOW = Quantity("battery_low")
BED_OCCUPANCY = Quantity("bed_occupancy")
BOTTOM_SUBMERSION = Quantity("bottom_submersion")
CHILDLOCK = Quantity("childlock")
DEVICE_FORCIBLY_REMOVED = Quantity("device_forcibly_removed")
DOOR = Quantity("door")
DOOR_LEFT_OPEN = Quantity("door_left_open")
DOOR_STUCK = Quantity("door_stuck")
FINGERPRINT = Quantity("fingerprint")
GAS = Quantity("gas")
KNOCK_ON_THE_DOOR = Quantity("knock_on_the_door")
LIGHT = Quantity("light")
LOCK = Quantity("lock")
MOISTURE = Quantity("moisture")
MOTION = Quantity("motion")
OCCUPANCY = Quantity("occupancy")
OCCUPANCY_CLOSE_RANGE = Quantity("occupancy_close_range")
OPENING = Quantity("opening")
POWER = Quantity("power")
PRY_THE_DOOR = Quantity("pry_the_door")
SMOKE = Quantity("smoke")
SNORING = Quantity("snoring")
STABILIZED = Quantity("stabilized")
TOOTHBRUSH = Quantity("toothbrush")
TOP_SPLASH = Quantity("top_splash")
WEARING = Quantity("wearing")

CHARGING_STATE = Quantity("charging_state")
KEY_ID = Quantity("key_id")
LOCK_METHOD = Quantity("lock_method")
WEIGHING = Quantity("weighing")  # a scale's own time of the weighing, as text

QUANTITIES: Mapping[str, Quantity] = {
    quantity.name: quantity
    for quantity in reversed([value for value in globals().values() if isinstance(value, Quantity)])
}
"""By name. ``moisture`` is the percentage; where a leak sensor gives it, it is a flag."""
