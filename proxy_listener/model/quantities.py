"""THE TABLE of what is measured: one row a quantity, for decoders, Home Assistant and Prometheus alike.

A row says the quantity's name (Home Assistant's word for it), its unit, its range, and how Home Assistant shows it.
A range is physical and generous: it stops damaged bytes (a flipped bit gave 3,095 °C), never a rare but real value. A
value outside its quantity's range is not published. A quantity without a row is shown as what its value is: a number,
a flag or a text.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import attrs

from proxy_listener.model.reading import Reading, Value

Form: TypeAlias = Literal["number", "flag", "text"]
"""What the values of a quantity are. A flag is true or false."""

YEAR = 366 * 86_400


@attrs.frozen
class Unit:
    """``symbol`` is Home Assistant's name of the unit, ``base`` Prometheus' name of its base unit.

    A value times ``times`` divided by ``per`` is in the base unit. Both are whole numbers, so that 46.7 % is 0.467.
    """

    symbol: str
    base: str = ""
    times: int = 1
    per: int = 1

    def to_base(self, value: float) -> float:
        """The value in the base unit, without the digits that a floating-point multiplication adds."""
        return round(value * self.times, 9) / self.per


NO_UNIT = Unit("")
PERCENT = Unit("%", "ratio", per=100)
CELSIUS = Unit("°C", "celsius")
LUX = Unit("lx", "lux")
MICROSIEMENS_PER_CM = Unit("µS/cm", "siemens_per_meter", per=10_000)
MILLIGRAMS_PER_M3 = Unit("mg/m³", "grams_per_cubic_meter", per=1_000)
KILOGRAMS = Unit("kg", "grams", times=1_000)  # promtool objects to kilograms
VOLTS = Unit("V", "volts")
OHMS = Unit("Ω", "ohms")
BPM = Unit("bpm", "beats_per_minute")
DBM = Unit("dBm", "dbm")
PPM = Unit("ppm", "ratio", per=1_000_000)
MICROGRAMS_PER_M3 = Unit("µg/m³", "grams_per_cubic_meter", per=1_000_000)
HECTOPASCALS = Unit("hPa", "pascals", times=100)
DECIBELS = Unit("dB", "decibels")
SECONDS = Unit("s", "seconds")
WATTS = Unit("W", "watts")
KILOWATT_HOURS = Unit("kWh", "joules", times=3_600_000)
AMPERES = Unit("A", "amperes")
DEGREES = Unit("°", "degrees")
METERS = Unit("m", "meters")
MILLIMETERS = Unit("mm", "meters", per=1_000)
METERS_PER_SECOND = Unit("m/s", "meters_per_second")
METERS_PER_SECOND_SQUARED = Unit("m/s²", "meters_per_second_squared")
DEGREES_PER_SECOND = Unit("°/s", "degrees_per_second")
LITERS = Unit("L", "liters")
MILLILITERS = Unit("mL", "liters", per=1_000)
CUBIC_METERS = Unit("m³", "cubic_meters")
CUBIC_METERS_PER_HOUR = Unit("m³/h", "cubic_meters_per_second", per=3_600)
RPM = Unit("rpm", "revolutions_per_minute")
MINUTES = Unit("min", "seconds", times=60)


@attrs.frozen
class Quantity:
    """``low`` and ``high`` are inclusive, in ``unit``; flags and texts have neither.

    For Home Assistant: ``device_class``; ``diagnostic``: its category; ``statistics``: it keeps statistics of the
    number, of one that counts up as ``total`` says; ``periodic``: the value comes by itself again and again, so after a
    silence it is not known any more; ``enabled``: shown unless the user hides it. ``label`` is its name where that is
    not the quantity's in words, and ``icon`` its icon where no device class gives one. ``flag_class`` is the device
    class of the flag that some devices send under this name; None where none does.
    """

    name: str
    form: Form = "number"
    unit: Unit = NO_UNIT
    low: float | None = None
    high: float | None = None
    device_class: str | None = None
    diagnostic: bool = False
    statistics: bool = False
    periodic: bool = False
    enabled: bool = True
    flag_class: str | None = None
    label: str = ""
    icon: str | None = None
    total: Literal["total", "total_increasing"] | None = None

    def as_flag(self) -> "Quantity":
        """The flag of the same name, as a leak sensor sends ``moisture``."""
        return Quantity(self.name, "flag", device_class=self.flag_class)


_TABLE: dict[str, Quantity] = {}

QUANTITIES: Mapping[str, Quantity] = MappingProxyType(_TABLE)
"""Every row, by name."""


def _row(quantity: Quantity) -> Quantity:
    if quantity.name in _TABLE:
        raise ValueError(f"two rows are named {quantity.name}")
    _TABLE[quantity.name] = quantity
    return quantity


def _number(
    name: str,
    unit: Unit,
    low: float,
    high: float,
    device_class: str | None = None,
    *,
    diagnostic: bool = False,
    statistics: bool = True,
    periodic: bool = False,
    enabled: bool = True,
    flag_class: str | None = None,
    label: str = "",
    icon: str | None = None,
    total: Literal["total", "total_increasing"] | None = None,
) -> Quantity:
    return _row(
        Quantity(
            name,
            "number",
            unit,
            low,
            high,
            device_class,
            diagnostic,
            statistics,
            periodic,
            enabled,
            flag_class,
            label,
            icon,
            total,
        )
    )


def _flag(name: str, device_class: str | None = None, *, diagnostic: bool = False, icon: str | None = None) -> Quantity:
    return _row(Quantity(name, "flag", device_class=device_class, diagnostic=diagnostic, icon=icon))


def _text(name: str, device_class: str | None = None, *, diagnostic: bool = False, icon: str | None = None) -> Quantity:
    return _row(Quantity(name, "text", device_class=device_class, diagnostic=diagnostic, icon=icon))


def _duration(name: str, unit: Unit, *, setting: bool = False) -> Quantity:
    high = YEAR * unit.per / unit.times
    return _number(name, unit, 0, high, "duration", diagnostic=setting, statistics=not setting)


TEMPERATURE = _number("temperature", CELSIUS, -60, 130, "temperature", periodic=True)  # kettles boil, freezers freeze
HUMIDITY = _number("humidity", PERCENT, 0, 100, "humidity", periodic=True)
MOISTURE = _number("moisture", PERCENT, 0, 100, "moisture", periodic=True, flag_class="moisture")  # of soil, or a leak
ILLUMINANCE = _number("illuminance", LUX, 0, 200_000, "illuminance", periodic=True)  # bright sun is 120,000
CONDUCTIVITY = _number(  # the sensors' scale ends at 10,000
    "conductivity", MICROSIEMENS_PER_CM, 0, 20_000, "conductivity", periodic=True
)
FORMALDEHYDE = _number("formaldehyde", MILLIGRAMS_PER_M3, 0, 100, periodic=True)
CARBON_DIOXIDE = _number("carbon_dioxide", PPM, 0, 50_000, "carbon_dioxide", periodic=True)  # scales end at 40,000
PM25 = _number("pm25", MICROGRAMS_PER_M3, 0, 20_000, "pm25", periodic=True, label="PM2.5")
PM10 = _number("pm10", MICROGRAMS_PER_M3, 0, 20_000, "pm10", periodic=True, label="PM10")
VOC_INDEX = _number("voc_index", NO_UNIT, 0, 500, periodic=True, label="VOC index", icon="mdi:molecule")
PRESSURE = _number("pressure", HECTOPASCALS, 0, 20_000, "pressure", periodic=True)  # of air, or of water in a pipe
SOUND_PRESSURE = _number("sound_pressure", DECIBELS, 0, 200, "sound_pressure", periodic=True, label="Noise")
BATTERY = _number("battery", PERCENT, 0, 100, "battery", diagnostic=True)
VOLTAGE = _number("voltage", VOLTS, 0, 1_000, "voltage", diagnostic=True)  # of a battery, or of what is measured
CLOCK_DRIFT = _number("clock_drift", SECONDS, -YEAR * 100, YEAR * 100, "duration", diagnostic=True)  # unset: from 1970
TEMPERATURE_MIN = _number("temperature_min", CELSIUS, -60, 130, "temperature")  # of an hour in a device's own log
TEMPERATURE_MAX = _number("temperature_max", CELSIUS, -60, 130, "temperature")
HUMIDITY_MIN = _number("humidity_min", PERCENT, 0, 100, "humidity")
HUMIDITY_MAX = _number("humidity_max", PERCENT, 0, 100, "humidity")
CONSUMABLE = _number("consumable", PERCENT, 0, 100)
SCORE = _number("score", PERCENT, 0, 100)
MASS = _number("mass", KILOGRAMS, 0, 300, "weight", label="Weight")  # the scales end at 150; a suitcase weighs less
MASS_NON_STABILIZED = _number(
    "mass_non_stabilized", KILOGRAMS, 0, 300, "weight", diagnostic=True, label="Weight non-stabilized"
)
IMPEDANCE = _number("impedance", OHMS, 0, 3_000, icon="mdi:omega")  # a body is 200 to 1,500
IMPEDANCE_LOW = _number("impedance_low", OHMS, 0, 3_000, icon="mdi:omega")
IMPEDANCE_HIGH = _number("impedance_high", OHMS, 0, 3_000, icon="mdi:omega")
HEART_RATE = _number("heart_rate", BPM, 20, 250, icon="mdi:heart-pulse")
COUNTER = _number("counter", NO_UNIT, 0, 254, statistics=False)
PULSE_COUNT = _number("pulse_count", NO_UNIT, 0, 0xFFFFFFFE, statistics=False, icon="mdi:counter")
PROFILE_ID = _number("profile_id", NO_UNIT, 0, 254, statistics=False, label="Profile ID", icon="mdi:identifier")
RSSI = _number("signal_strength", DBM, -127, 20, "signal_strength", diagnostic=True, enabled=False)
IDLE_TIME = _duration("idle_time", SECONDS)
MOTION_TIME = _duration("motion_time", MINUTES)
DURATION_DETECTED = _duration("duration_detected", MINUTES)
DURATION_CLEARED = _duration("duration_cleared", MINUTES)
DURATION = _duration("duration", SECONDS)
PRESSURE_PRESENT_DURATION = _duration("pressure_present_duration", SECONDS)
PRESSURE_NOT_PRESENT_DURATION = _duration("pressure_not_present_duration", SECONDS)
PRESSURE_PRESENT_TIME_SET = _duration("pressure_present_time_set", SECONDS, setting=True)
PRESSURE_NOT_PRESENT_TIME_SET = _duration("pressure_not_present_time_set", SECONDS, setting=True)
DEW_POINT = _number("dew_point", CELSIUS, -100, 100, "temperature", periodic=True)
VOC = _number("volatile_organic_compounds", MICROGRAMS_PER_M3, 0, 60_000, "volatile_organic_compounds", periodic=True)
UV_INDEX = _number("uv_index", NO_UNIT, 0, 50, periodic=True, label="UV index", icon="mdi:weather-sunny")
LIGHT_LEVEL = _number("light_level", NO_UNIT, 0, 255, periodic=True)
POWER = _number("power", WATTS, -1_000_000, 1_000_000, "power", periodic=True, flag_class="power")
CURRENT = _number("current", AMPERES, -1_000, 1_000, "current", periodic=True)
ENERGY = _number("energy", KILOWATT_HOURS, 0, 5_000_000, "energy", total="total_increasing")
GAS = _number("gas", CUBIC_METERS, 0, 5_000_000, "gas", flag_class="gas", total="total")
VOLUME = _number("volume", LITERS, 0, 5_000_000, "volume", total="total")
VOLUME_ML = _number("volume_ml", MILLILITERS, 0, 65_535, "volume", total="total", label="Volume")
WATER = _number("water", LITERS, 0, 5_000_000, "water", total="total")
VOLUME_STORAGE = _number("volume_storage", LITERS, 0, 5_000_000, "volume_storage", periodic=True)
VOLUME_FLOW_RATE = _number("volume_flow_rate", CUBIC_METERS_PER_HOUR, 0, 100, "volume_flow_rate", periodic=True)
PRECIPITATION = _number("precipitation", MILLIMETERS, 0, 6_553.5, "precipitation", total="total")
SPEED = _number("speed", METERS_PER_SECOND, -3_000, 3_000, "speed", periodic=True)
ROTATIONAL_SPEED = _number("rotational_speed", RPM, 0, 65_535, periodic=True)
DIRECTION = _number("direction", DEGREES, 0, 360, statistics=False, icon="mdi:compass-outline")
ROTATION = _number("rotation", DEGREES, -3_276.8, 3_276.7, icon="mdi:rotate-right")
DISTANCE = _number("distance", METERS, 0, 10_000, "distance", periodic=True)
DISTANCE_MM = _number("distance_mm", MILLIMETERS, 0, 65_535, "distance", periodic=True, label="Distance")
ACCELERATION = _number("acceleration", METERS_PER_SECOND_SQUARED, -3_000, 3_000, periodic=True)
GYROSCOPE = _number("gyroscope", DEGREES_PER_SECOND, 0, 100, periodic=True)
COUNT = _number("count", NO_UNIT, -(2**31), 2**32 - 1, icon="mdi:counter")
CHANNEL = _number("channel", NO_UNIT, 0, 255, diagnostic=True, statistics=False)
SETTINGS_REVISION = _number("settings_revision", NO_UNIT, 0, 255, diagnostic=True, statistics=False)

ANTILOCK = _flag("antilock")
ARMED = _flag("armed", icon="mdi:shield-check")
ASLEEP = _flag("asleep")
BATTERY_LOW = _flag("battery_low", "battery")
BATTERY_CHARGING = _flag("battery_charging", "battery_charging", diagnostic=True)
BED_OCCUPANCY = _flag("bed_occupancy", "occupancy")
BOTTOM_SUBMERSION = _flag("bottom_submersion", "moisture")
CARBON_MONOXIDE = _flag("carbon_monoxide", "carbon_monoxide")
CHILDLOCK = _flag("childlock")
COLD = _flag("cold", "cold")
CONNECTIVITY = _flag("connectivity", "connectivity", diagnostic=True)
DEVICE_FORCIBLY_REMOVED = _flag("device_forcibly_removed", "tamper")
DOOR = _flag("door", "door")
DOOR_LEFT_OPEN = _flag("door_left_open", "problem")
DOOR_STUCK = _flag("door_stuck", "problem")
DULL_BOLT = _flag("dull_bolt", "lock")
FAULT = _flag("fault", "problem", diagnostic=True)
FINGERPRINT = _flag("fingerprint", icon="mdi:fingerprint")
GARAGE_DOOR = _flag("garage_door", "garage_door")
GENERIC = _flag("generic")
HEAT = _flag("heat", "heat")
KNOCK_ON_THE_DOOR = _flag("knock_on_the_door")
LATCH = _flag("latch", "lock")
LIGHT = _flag("light", "light")
LOCK = _flag("lock", "lock")
MOTION = _flag("motion", "motion")
MOVING = _flag("moving", "moving")
OCCUPANCY = _flag("occupancy", "occupancy")
OCCUPANCY_CLOSE_RANGE = _flag("occupancy_close_range", "occupancy")
OPENING = _flag("opening", "opening")
PLUG = _flag("plug", "plug")
PRESENCE = _flag("presence", "presence")
PROBLEM = _flag("problem", "problem")
PRY_THE_DOOR = _flag("pry_the_door", "tamper")
RUNNING = _flag("running", "running")
SAFETY = _flag("safety", "safety")
SMOKE = _flag("smoke", "smoke")
SNORING = _flag("snoring", "sound")
SOUND = _flag("sound", "sound")
SQUARE_BOLT = _flag("square_bolt", "lock")
STABILIZED = _flag("stabilized")
TAMPER = _flag("tamper", "tamper")
TOOTHBRUSH = _flag("toothbrush", "running")
TOP_SPLASH = _flag("top_splash", "moisture")
VIBRATION = _flag("vibration", "vibration")
WEARING = _flag("wearing")
WINDOW = _flag("window", "window")

CHARGING_STATE = _text("charging_state")
DETECTOR_STATE = _text("detector_state", diagnostic=True, icon="mdi:smoke-detector")
FIRMWARE = _text("firmware", diagnostic=True)
KEY_ID = _text("key_id", icon="mdi:identifier")
LOCK_METHOD = _text("lock_method", icon="mdi:key-variant")
RAW = _text("raw")
TEXT = _text("text")
TIMESTAMP = _text("timestamp", "timestamp")
WEIGHING = _text("weighing", diagnostic=True)  # a scale's own time of the weighing: without a zone it is no timestamp


_UNHURRIED = frozenset(
    row.name
    for row in QUANTITIES.values()
    if row.form == "number" and (row.periodic or row.diagnostic or row.total is not None)
)
"""Numbers that come again by themselves, that only rise, or that are about the device: nobody acts on them within
seconds."""


_NUMBERED = re.compile(r"(.+)_([1-9][0-9]?)")


def split_number(name: str) -> tuple[str, int | None]:
    """``temperature_2``, the second of several in one frame -> ``("temperature", 2)``; of other names the number is
    None.
    """
    numbered = _NUMBERED.fullmatch(name)
    return (numbered[1], int(numbered[2])) if numbered is not None else (name, None)


def row_of(name: str) -> Quantity | None:
    """The row of a quantity; of a numbered one the row of its kind, under its own name."""
    row = QUANTITIES.get(name)
    if row is None:
        kind, number = split_number(name)
        row = QUANTITIES.get(kind)
        if row is not None:
            row = attrs.evolve(row, name=name, label=f"{row.label} {number}" if row.label else "")
    return row


def urgent(reading: Reading) -> bool:
    """Whether people act on a reading at once: it has an event, a flag, a text or a number such as a weight, or it is
    the answer of a read.
    """
    if reading.events or reading.source == "read":
        return True
    return any(
        isinstance(value, bool | str) or (name not in _UNHURRIED and split_number(name)[0] not in _UNHURRIED)
        for name, value in reading.values.items()
    )


def form_of(value: Value) -> Form:
    """What a value is."""
    if isinstance(value, bool):
        return "flag"
    return "text" if isinstance(value, str) else "number"


def quantity_of(name: str, value: Value) -> Quantity:
    """The row of a quantity with this value; a bare quantity where there is none, or its values are something else."""
    row, form = row_of(name), form_of(value)
    if row is not None and row.form == form:
        return row
    if row is not None and form == "flag" and row.flag_class is not None:
        return row.as_flag()
    return Quantity(name, form, diagnostic=True)
