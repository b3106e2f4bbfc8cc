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
MINUTES = Unit("min", "seconds", times=60)


@attrs.frozen
class Quantity:
    """``low`` and ``high`` are inclusive, in ``unit``; flags and texts have neither.

    For Home Assistant: ``device_class``; ``diagnostic``: its category; ``statistics``: it keeps statistics of the
    number; ``periodic``: the value comes by itself again and again, so after a silence it is not known any more;
    ``enabled``: shown unless the user hides it. ``label`` is its name where that is not the quantity's in words, and
    ``icon`` its icon where no device class gives one. ``flag_class`` is the device class of the flag that some devices
    send under this name; None where none does.
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
        )
    )


def _flag(name: str, device_class: str | None = None, *, diagnostic: bool = False, icon: str | None = None) -> Quantity:
    return _row(Quantity(name, "flag", device_class=device_class, diagnostic=diagnostic, icon=icon))


def _text(name: str, *, diagnostic: bool = False, icon: str | None = None) -> Quantity:
    return _row(Quantity(name, "text", diagnostic=diagnostic, icon=icon))


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
VOLTAGE = _number("voltage", VOLTS, 0, 60, "voltage", diagnostic=True)
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
PRESSURE_PRESENT_DURATION = _duration("pressure_present_duration", SECONDS)
PRESSURE_NOT_PRESENT_DURATION = _duration("pressure_not_present_duration", SECONDS)
PRESSURE_PRESENT_TIME_SET = _duration("pressure_present_time_set", SECONDS, setting=True)
PRESSURE_NOT_PRESENT_TIME_SET = _duration("pressure_not_present_time_set", SECONDS, setting=True)

ANTILOCK = _flag("antilock")
ARMED = _flag("armed", icon="mdi:shield-check")
ASLEEP = _flag("asleep")
BATTERY_LOW = _flag("battery_low", "battery")
BED_OCCUPANCY = _flag("bed_occupancy", "occupancy")
BOTTOM_SUBMERSION = _flag("bottom_submersion", "moisture")
CHILDLOCK = _flag("childlock")
DEVICE_FORCIBLY_REMOVED = _flag("device_forcibly_removed", "tamper")
DOOR = _flag("door", "door")
DOOR_LEFT_OPEN = _flag("door_left_open", "problem")
DOOR_STUCK = _flag("door_stuck", "problem")
DULL_BOLT = _flag("dull_bolt", "lock")
FAULT = _flag("fault", "problem", diagnostic=True)
FINGERPRINT = _flag("fingerprint", icon="mdi:fingerprint")
GAS = _flag("gas", "gas")
KNOCK_ON_THE_DOOR = _flag("knock_on_the_door")
LATCH = _flag("latch", "lock")
LIGHT = _flag("light", "light")
LOCK = _flag("lock", "lock")
MOTION = _flag("motion", "motion")
OCCUPANCY = _flag("occupancy", "occupancy")
OCCUPANCY_CLOSE_RANGE = _flag("occupancy_close_range", "occupancy")
OPENING = _flag("opening", "opening")
POWER = _flag("power", "power")
PRY_THE_DOOR = _flag("pry_the_door", "tamper")
SMOKE = _flag("smoke", "smoke")
SNORING = _flag("snoring", "sound")
SQUARE_BOLT = _flag("square_bolt", "lock")
STABILIZED = _flag("stabilized")
TOOTHBRUSH = _flag("toothbrush", "running")
TOP_SPLASH = _flag("top_splash", "moisture")
WEARING = _flag("wearing")

CHARGING_STATE = _text("charging_state")
DETECTOR_STATE = _text("detector_state", diagnostic=True, icon="mdi:smoke-detector")
FIRMWARE = _text("firmware", diagnostic=True)
KEY_ID = _text("key_id", icon="mdi:identifier")
LOCK_METHOD = _text("lock_method", icon="mdi:key-variant")
WEIGHING = _text("weighing", diagnostic=True)  # a scale's own time of the weighing: without a zone it is no timestamp


_UNHURRIED = frozenset(
    row.name for row in QUANTITIES.values() if row.form == "number" and (row.periodic or row.diagnostic)
)
"""Numbers that come again by themselves, and numbers about the device itself: nobody acts on them within seconds."""


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
