"""The cells of object tables: each compiled reader against arithmetic on the same bytes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.formats.layout import (
    NOTHING_SKIPPED,
    Implausible,
    codes,
    f32,
    fires,
    flag,
    function,
    i16,
    layout,
    nothing,
    says,
    sets,
    shortest,
    u8,
    u16,
    u24,
    u32,
)
from proxy_listener.model.quantities import BATTERY, HUMIDITY, ILLUMINANCE, MOTION, RSSI, TEMPERATURE
from proxy_listener.model.reading import Event


def said(row, data):
    """What a row says of an object's data: values and events; nothing is skipped."""
    values, events, skipped = row.read(b"\x00\x00" + bytes((len(data),)) + data)
    assert skipped is NOTHING_SKIPPED
    return values, events


@given(st.integers(-600, 1300), st.integers(0, 1000))
def test_two_scaled_numbers(tenths, permille):
    """Divided by their scale, once: the nearest float to the decimal."""
    row = layout(i16(TEMPERATURE, per=10), u16(HUMIDITY, per=10))
    assert row.lengths == {4}
    expected = {"temperature": tenths / 10, "humidity": permille / 10}
    assert said(row, struct.pack("<hH", tenths, permille)) == (expected, ())


@given(st.integers(0, 200_000))
def test_three_and_four_bytes(lux):
    """Little endian; a whole number stays whole."""
    assert said(layout(u24(ILLUMINANCE)), lux.to_bytes(3, "little")) == ({"illuminance": lux}, ())
    assert said(layout(u32(ILLUMINANCE)), lux.to_bytes(4, "little")) == ({"illuminance": lux}, ())


@pytest.mark.parametrize(
    ("row", "data", "quantity"),
    [
        (layout(u8(BATTERY)), b"\x65", "battery"),
        (layout(i16(TEMPERATURE, per=10)), struct.pack("<h", -601), "temperature"),
        (layout(u24(ILLUMINANCE)), b"\xff\xff\xff", "illuminance"),
        (layout(f32(ILLUMINANCE)), struct.pack("<f", float("nan")), "illuminance"),
        (layout(u8(BATTERY), u16(HUMIDITY, per=10)), b"\x32\xe9\x03", "humidity"),
        (codes({1: says(motion=True)}), b"\x02", "motion"),
        (codes({1: fires("button", "press")}), b"\x02", "event"),
    ],
)
def test_what_is_out_of_range_gives_nothing(row, data, quantity):
    """The error names the quantity."""
    with pytest.raises(Implausible) as raised:
        said(row, data)
    assert raised.value.quantity == quantity


def test_flags_constants_codes_and_functions():
    """A flag is true for any byte but 0; a constant takes no byte; a code's further bytes are not read."""
    assert said(layout(flag(MOTION)), b"\x80") == ({"motion": True}, ())
    assert said(layout(sets(MOTION, to=True)), b"") == ({"motion": True}, ())
    assert said(codes({3: says(motion=False)}, 1, 5), b"\x03abcd") == ({"motion": False}, ())
    assert said(codes({0: fires("button", "press")}), b"\x00") == ({}, (Event("button", "press"),))
    assert said(function(lambda data: ({"signal_strength": data[0]}, ()), 1), b"\x07") == ({RSSI.name: 7}, ())
    assert said(nothing(2), b"xx") == ({}, ())


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_is_the_shortest_decimal_that_packs_to_the_same_bytes(number):
    """23.799999237060547 is 23.8; no shorter decimal would do; -0.0 is 0.0."""
    decimal = shortest(number)
    assert struct.pack("<f", decimal + 0.0) == struct.pack("<f", number + 0.0)
    digits = len(repr(decimal).replace("-", "").replace(".", "").split("e")[0].strip("0")) or 1
    for fewer in range(1, min(digits, 9)):
        shorter = float(f"{number:.{fewer}g}")
        assert abs(shorter) > 3.4e38 or struct.pack("<f", shorter) != struct.pack("<f", number)
