"""The table of quantities: ranges, units and forms."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_readings import reading

from proxy_listener.model.quantities import (
    QUANTITIES,
    Quantity,
    Unit,
    _row,
    form_of,
    quantity_of,
    row_of,
    split_number,
    urgent,
)
from proxy_listener.model.reading import Event

UNITS = sorted({row.unit for row in QUANTITIES.values()}, key=lambda unit: unit.symbol)


def test_numbers_have_a_range_and_nothing_else_has():
    """Flags and texts have neither range nor unit, and no statistics."""
    for name, row in QUANTITIES.items():
        assert row.name == name
        if row.form == "number":
            assert row.low < row.high, name
        else:
            assert (row.low, row.high, row.unit.symbol, row.statistics, row.periodic) == (None, None, "", False, False)


def test_a_name_is_given_once():
    """A second row of a name is refused when the table is made."""
    with pytest.raises(ValueError, match="two rows are named temperature"):
        _row(Quantity("temperature"))
    assert QUANTITIES["temperature"].unit.symbol == "°C"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.symbol)
def test_every_unit_has_a_base_unit(unit):
    """Prometheus names its metrics by base units; only what has no unit has none."""
    assert bool(unit.symbol) == bool(unit.base)
    assert (unit.times, unit.per) == (1, 1) or unit.symbol


@given(st.sampled_from(UNITS), st.integers(-(10**7), 10**7))
def test_the_base_unit_is_exact(unit, hundredths):
    """A value with two digits behind the point is, in its base unit, exact to the last bit of a float."""
    value = Fraction(hundredths, 100)
    exact = float(value * unit.times / unit.per)
    assert abs(unit.to_base(float(value)) - exact) <= math.ulp(exact)


def test_some_base_units():
    """A percentage is a ratio, kilograms are grams, minutes are seconds."""
    assert Unit("%", "ratio", per=100).to_base(46.7) == 0.467
    assert QUANTITIES["mass"].unit.to_base(71.35) == 71_350
    assert QUANTITIES["motion_time"].unit.to_base(2) == 120
    assert QUANTITIES["formaldehyde"].unit.to_base(0.05) == 0.00005


def test_one_name_two_forms():
    """``moisture`` of soil is a percentage that expires, of a leak sensor a flag."""
    soil, leak = quantity_of("moisture", 40), quantity_of("moisture", True)
    assert (soil.form, soil.unit.symbol, soil.periodic) == ("number", "%", True)
    assert (leak.name, leak.form, leak.unit.symbol, leak.device_class) == ("moisture", "flag", "", "moisture")
    assert leak == soil.as_flag()


def test_a_value_of_another_form_than_its_row_has():
    """A quantity without a row, or with a value of another form, is shown bare."""
    assert quantity_of("no_such_quantity", 3) == Quantity("no_such_quantity", "number", diagnostic=True)
    assert quantity_of("temperature", "warm") == Quantity("temperature", "text", diagnostic=True)
    assert quantity_of("temperature", True) == Quantity("temperature", "flag", diagnostic=True)


def test_forms():
    """True is a flag although it is an int."""
    assert [form_of(value) for value in (True, 0, 1.5, "Full")] == ["flag", "number", "number", "text"]


@pytest.mark.parametrize(
    ("changes", "at_once"),
    [
        ({"values": {"temperature": 21.3, "humidity": 40, "battery": 80}}, False),
        ({"values": {"moisture": 33, "conductivity": 400, "illuminance": 1200}}, False),
        ({"values": {}}, False),
        ({"values": {"temperature_1": 21.3, "temperature_2": 22.3}}, False),
        ({"values": {"mass_2": 21.3}}, True),
        ({"values": {"moisture": True}}, True),
        ({"values": {"temperature": 21.3, "door": False}}, True),
        ({"values": {"charging_state": "charging"}}, True),
        ({"values": {"mass": 71.3}}, True),
        ({"values": {"score": 88}}, True),
        ({"values": {"unheard_of": 1}}, True),
        ({"values": {}, "events": (Event("button", "press"),)}, True),
        ({"values": {"temperature": 21.3}, "source": "read"}, True),
        ({"values": {"temperature": 21.3}, "source": "history"}, False),
    ],
)
def test_what_people_act_on_at_once(changes, at_once):
    """Events, flags, texts, weights and answers are urgent; what comes again by itself, and batteries, are not."""
    assert urgent(reading(1, **changes)) is at_once


def test_a_numbered_quantity_is_the_row_of_its_kind():
    """Under its own name; a name that only ends in a number is its own row."""
    second = quantity_of("temperature_2", 21.3)
    assert (second.name, second.unit, second.device_class) == (
        "temperature_2",
        QUANTITIES["temperature"].unit,
        "temperature",
    )
    assert quantity_of("mass_3", 7.5).label == "Weight 3"
    assert row_of("temperature_0") is None
    assert row_of("no_such_quantity_1") is None
    assert split_number("impedance_low") == ("impedance_low", None)
