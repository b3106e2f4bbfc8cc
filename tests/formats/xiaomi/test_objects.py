"""The object table: ranges, round trips, what is skipped, what is all or nothing."""

import struct

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from proxy_listener.formats.layout import NOTHING_SKIPPED, Implausible, i16, layout, sets, shortest, u8, u16
from proxy_listener.formats.xiaomi.models import MODELS, model_of
from proxy_listener.formats.xiaomi.objects import decode_objects, miot_id, rows_of
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.quantities import BATTERY, CONDUCTIVITY, MOTION, QUANTITIES, TEMPERATURE
from proxy_listener.simulator import frames

STRANGER = model_of(0x5A5A)
LYWSD03MMC = model_of(0x055B)
WARM = frames.obj(0x1004, b"\x02\x01")


def within(values):
    """Every number is in its quantity's range; a flag and a text have none."""
    for name, value in values.items():
        quantity = QUANTITIES[name]
        if not isinstance(value, bool | str):
            assert quantity.low <= value <= quantity.high, (name, value)
    return True


LAYOUTS = sorted(
    {
        (object_id, model.product_id)
        for model in (STRANGER, *MODELS.values())
        for object_id, row in rows_of(model).items()
        if row.fields and (model is STRANGER or rows_of(STRANGER).get(object_id) is not row)
    }
)


@given(st.data())
def test_every_layout_round_trips(data):
    """What is encoded from values in range decodes to the same values, for every row that is a plain layout."""
    object_id, product_id = data.draw(st.sampled_from(LAYOUTS))
    model = model_of(product_id)
    row = rows_of(model)[object_id]
    expected = {}
    for field in (field for field in row.fields if field.format):
        low, high = field.quantity.low, field.quantity.high
        if field.format == "?":
            expected[field.quantity.name] = data.draw(st.booleans())
        elif field.format == "f":
            expected[field.quantity.name] = shortest(data.draw(st.floats(low, high, width=32)))
        else:
            bits = {"B": 8, "H": 16, "I": 32, "u24": 24}.get(field.format)
            # The largest, and of signed numbers the smallest, is no value.
            raw_low, raw_high = (
                (0, 2**bits - 2) if bits else {"h": (1 - 2**15, 2**15 - 2), "b": (-127, 126)}[field.format]
            )
            raw = data.draw(st.integers(max(low * field.per, raw_low), int(min(high * field.per, raw_high))))
            expected[field.quantity.name] = raw if field.per == 1 else raw / field.per
    payload = frames.values(object_id, row, expected.values())
    constants = {field.quantity.name: field.constant for field in row.fields if field.constant is not None}
    for strict in (True, False):
        assert decode_objects(payload, model, strict=strict).values == expected | constants


LARGEST = struct.unpack("<f", bytes.fromhex("ffff7f7f"))[0]


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(3.4025001647762064e38)
def test_a_float_is_its_shortest_decimal(number):
    """It rounds back to the same float32, and no decimal with fewer digits does."""
    found = shortest(number)
    assert struct.pack("<f", found) == struct.pack("<f", abs(number) if number == 0 else number)
    digits = (
        len(f"{found:.17g}".rstrip("0"))
        if found == 0
        else next(d for d in range(1, 18) if float(f"{found:.{d}g}") == found)
    )
    for fewer in range(1, digits):
        decimal = float(f"{number:.{fewer}g}")
        assert abs(decimal) > LARGEST or struct.pack("<f", decimal) != struct.pack("<f", number)


@pytest.mark.parametrize(
    ("raw", "shown"), [(23.8, "23.8"), (-0.1, "-0.1"), (173.0, "173.0"), (45.6, "45.6"), (-0.0, "0.0")]
)
def test_floats_that_sensors_send(raw, shown):
    """The decimal that the sensor meant."""
    assert str(shortest(struct.unpack("<f", struct.pack("<f", raw))[0])) == shown


@given(st.binary(max_size=60), st.sampled_from([STRANGER, *MODELS.values()]), st.booleans())
def test_any_bytes(payload, model, strict):
    """Nothing but DecodeError comes out, and no value outside its range."""
    try:
        decoded = decode_objects(payload, model, strict=strict)
    except DecodeError:
        return
    assert within(decoded.values)


@given(st.data())
def test_any_data_of_every_object(data):
    """Every object with any data of a length that it has: in range, or not published."""
    model = data.draw(st.sampled_from([STRANGER, *MODELS.values()]))
    object_id, row = data.draw(st.sampled_from(sorted(rows_of(model).items())))
    length = data.draw(st.sampled_from(sorted(row.lengths)))
    payload = frames.obj(object_id, data.draw(st.binary(min_size=length, max_size=length)))
    decoded = decode_objects(payload, model, strict=False)
    assert within(decoded.values)
    assert not decoded.skipped.unknown
    if decoded.skipped.implausible:
        assert (decoded.values, decoded.events) == ({}, ())
        with pytest.raises(DecodeError) as caught:
            decode_objects(payload, model, strict=True)
        assert caught.value.outcome is Outcome.IMPLAUSIBLE


def test_a_layout_of_many_fields():
    """A newcomer's row of three fields and a constant: all of them, or none where one is out of range."""
    fields = u8(BATTERY), i16(TEMPERATURE, per=100), u16(CONDUCTIVITY), sets(MOTION, to=True)
    row = layout(*fields)
    assert row.lengths == {5}
    payload = frames.obj(0x7777, b"\x32\x0c\xfe\xf4\x01")
    values, events, skipped = row.read(payload)
    assert values == {"battery": 50, "temperature": -5.0, "conductivity": 500, "motion": True}
    assert (events, skipped) == ((), NOTHING_SKIPPED)
    payload = frames.obj(0x7777, b"\x32\x0c\xfe\x21\x4e")
    with pytest.raises(Implausible):
        row.read(payload)


def test_an_object_out_of_range_gives_nothing_of_itself():
    """3,095.1 °C with a good humidity: neither, in plain; the whole frame, where it was decrypted."""
    payload = frames.obj(0x100D, struct.pack("<hH", 30951, 500)) + frames.obj(0x100A, b"\x3b")
    decoded = decode_objects(payload, LYWSD03MMC, strict=False)
    assert (decoded.values, decoded.skipped.implausible) == ({"battery": 59}, ("temperature",))
    with pytest.raises(DecodeError) as caught:
        decode_objects(payload, LYWSD03MMC, strict=True)
    assert caught.value.outcome is Outcome.IMPLAUSIBLE


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0, 3e38])
def test_a_float_that_is_no_light(number):
    """NaN, infinity, the negative and the absurd are not published."""
    decoded = decode_objects(frames.obj(0x4805, struct.pack("<f", number)), STRANGER, strict=False)
    assert (decoded.values, decoded.skipped.implausible) == ({}, ("illuminance",))


def test_unknown_objects_are_skipped_and_counted():
    """Between known ones, of length zero, or shorter than their row."""
    payload = frames.obj(0x7777, b"abc") + WARM + frames.obj(0x7778, b"") + frames.obj(0x1006, b"\x01")
    for strict in (True, False):
        decoded = decode_objects(payload, LYWSD03MMC, strict=strict)
        assert (decoded.values, decoded.skipped.unknown) == ({"temperature": 25.8}, (0x7777, 0x7778, 0x1006))


@pytest.mark.parametrize("behind", [b"\x64", b"\xad\x0f\x24\x61", bytes(40)])
def test_an_object_that_is_longer_than_its_row_is_read_by_its_first_bytes(behind):
    """Three families of locks put a time behind the battery (ble_monitor #484); what follows is read as well."""
    payload = frames.obj(0x100A, b"\x64" + behind) + WARM
    for strict in (True, False):
        decoded = decode_objects(payload, LYWSD03MMC, strict=strict)
        assert decoded == ({"battery": 100, "temperature": 25.8}, (), NOTHING_SKIPPED)


@given(st.data(), st.sampled_from([1, 4, 20]))
def test_every_object_is_read_by_its_first_bytes_where_more_follow(data, more):
    """Of each row of each model: a byte or a time behind it changes nothing, unless that length is a row of its own."""
    model = data.draw(st.sampled_from([STRANGER, *MODELS.values()]))
    object_id, row = data.draw(st.sampled_from(sorted(rows_of(model).items())))
    length = data.draw(st.sampled_from(sorted(row.lengths)))
    behind = length + more
    assume(not any(length < other <= behind for other in row.lengths))
    known = data.draw(st.binary(min_size=length, max_size=length))
    longer = frames.obj(object_id, known + data.draw(st.binary(min_size=more, max_size=more)))
    expected = decode_objects(frames.obj(object_id, known), model, strict=False)
    assert decode_objects(longer, model, strict=False) == expected


def test_a_list_that_is_cut_off():
    """Plain: the whole objects stand. Decrypted: an authentic frame cannot be short, so nothing; zeros are padding."""
    payload = WARM + frames.obj(0x1006, b"\xd3\x01")[:-1]
    decoded = decode_objects(payload, LYWSD03MMC, strict=False)
    assert (decoded.values, decoded.skipped.short) == ({"temperature": 25.8}, True)
    with pytest.raises(DecodeError) as caught:
        decode_objects(payload, LYWSD03MMC, strict=True)
    assert caught.value.outcome is Outcome.MALFORMED
    assert decode_objects(WARM + b"\x00", LYWSD03MMC, strict=True).values == {"temperature": 25.8}


def test_two_events_of_one_kind_are_both_kept():
    """Two presses in one frame are two presses."""
    payload = frames.obj(0x560C, b"\x01") + frames.obj(0x560C, b"\x02")
    events = decode_objects(payload, model_of(0x3A61), strict=True).events
    assert [(event.event, event.type) for event in events] == [("button_left", "press"), ("button_mid_left", "press")]


def test_buttons_of_a_model_without_any_are_unknown():
    """A thermometer has no buttons, whatever its frame says; a product without a row may have."""
    for object_id, data in ((0x1001, b"\x00\x00\x00"), (0x560D, b""), (0x4E0C, b"\x01")):
        payload = frames.obj(object_id, data)
        assert decode_objects(payload, LYWSD03MMC, strict=False).skipped.unknown == (object_id,)
        assert decode_objects(payload, STRANGER, strict=False).events


@pytest.mark.parametrize(
    ("service", "number", "event", "object_id"),
    [(2, 1001, False, 0x4801), (3, 1012, True, 0x4E0C), (11, 1022, True, 0x6E16), (9, 1097, False, 0x6461)],
)
def test_the_rule_behind_miot_ids(service, number, event, object_id):
    """0x4000 + service * 1024 + (512 if an event) + number - 1000."""
    assert miot_id(service, number, event=event) == object_id


@pytest.mark.parametrize("service", range(1, 16))
def test_standard_properties_on_any_service(service):
    """A battery is a battery on every service, also of products without a row."""
    payload = frames.obj(miot_id(service, 1003, event=False), b"\x4c")
    assert decode_objects(payload, STRANGER, strict=True).values == {"battery": 76}
    assert decode_objects(payload, LYWSD03MMC, strict=True).values == {"battery": 76}


@given(st.integers(0, 5), st.integers(1, 2000), st.sampled_from([0, 51, 92, 176]), st.integers(0, 16000))
def test_the_scales_of_one_weighing(profile, tenths, heart_rate, ohms):
    """S400 and S200: what was weighed comes back, with the scale's own time in UTC."""
    payload = frames.obj(0x6E16, frames.s400(profile, tenths / 10, heart_rate, ohms / 10, 1_700_000_000))
    expected = {"profile_id": profile, "mass": tenths / 10, "weighing": "2023-11-14T22:13:20Z", "stabilized": not ohms}
    expected |= {"heart_rate": heart_rate} if heart_rate else {}
    expected |= {"impedance_low": ohms / 10} if ohms else {}
    assert decode_objects(payload, model_of(0x3BD5), strict=True).values == expected
    payload = frames.obj(0x4E16, frames.s200(profile, tenths / 100, 1_700_000_000))
    expected = {"profile_id": profile, "mass": tenths / 100, "weighing": "2023-11-14T22:13:20Z", "stabilized": True}
    assert decode_objects(payload, model_of(0x45C9), strict=True).values == expected


@given(st.sampled_from([0, 1, 4, 5, 8]), st.integers(0, 11), st.integers(0, 0x7FFFFFFF))
def test_a_lock_round_trips(action, method, key_id):
    """State, method and whose key it was."""
    payload = frames.obj(0x000B, frames.lock(action, method, key_id, 1_700_000_000))
    decoded = decode_objects(payload, model_of(0x0784), strict=True)
    assert decoded.values["lock"] is (action in {0, 4})
    assert decoded.values["key_id"] == (f"Bluetooth key {key_id}" if key_id else "administrator")
    assert [event.event for event in decoded.events] == ["lock"]


@pytest.mark.parametrize("product", [model.product_id for model in MODELS.values() if model.buttons is not None])
def test_every_button_fires_and_no_other_does(product):
    """Of every model with buttons: each listed number fires its events, an unlisted one is implausible."""
    model = model_of(product)
    object_id = 0x1001 if model.buttons.classic else 0x4A0C
    for number in range(256):
        data = bytes([number, 0, 0]) if object_id == 0x1001 else bytes([number])
        decoded = decode_objects(frames.obj(object_id, data), model, strict=False)
        if model.buttons.whatever or model.buttons.numbered:
            assert [event.event for event in decoded.events] == ["button"]
        else:
            assert tuple(event.event for event in decoded.events) == model.buttons.events.get(number, ())
            assert decoded.skipped.implausible == (() if number in model.buttons.events else ("button",))


ABSENT = sorted(
    {
        (model.product_id, object_id, length)
        for model in (STRANGER, *MODELS.values())
        for object_id, row in rows_of(model).items()
        if row.fields or row.codes
        for length in row.lengths
        if length and (model is STRANGER or rows_of(STRANGER).get(object_id) is not row)
    }
)


@pytest.mark.parametrize(("product", "object_id", "length"), ABSENT)
def test_all_ones_is_no_value_of_any_layout_or_code(product, object_id, length):
    """A device says so that it has none. Of a temperature of 16 bits it is -0.1 °C, which comes in winter."""
    model = model_of(product)
    row = rows_of(model)[object_id]
    signed = {field.format for field in row.fields} & {"h", "b"}
    data = b"\xff" * (length - 1) + b"\x7f" if signed and len(row.fields) == 1 else b"\xff" * length
    decoded = decode_objects(frames.obj(object_id, data), model, strict=False)
    assert (decoded.values, decoded.events) == ({}, ())


@pytest.mark.parametrize(
    ("product", "object_id", "data", "values"),
    [
        (0x0083, 0x1005, "01ff", {"power": True}),
        (0x0489, 0x0010, "00ff", {"toothbrush": True}),
        (0x0489, 0x0010, "01ff", {"toothbrush": False}),
        (0x0806, 0x3003, "0100f15365ff", {"toothbrush": False}),
        (0x0391, 0x000A, "ffff", {}),
        (0x0391, 0x000A, "ff7f", {}),
        (0x00DB, 0x2000, "ffffffff5a", {"battery": 90}),
        (0x00DB, 0x2000, "ff7f740e5a", {"battery": 90}),
        (0x00DB, 0x2000, "160e740eff", {"temperature": 34.42}),
        (0x0A8D, 0x000F, "ffffff", {"motion": True}),
        (0x07F6, 0x1007, "ffffff", {}),
        (0x2AEB, 0x4818, "ffff", {}),
        (0x2AEB, 0x484F, "ff", {}),
        (0x50FB, 0x4851, "ff", {}),
        (0x50FB, 0x4852, "ffffffff", {}),
        (0x0784, 0x4A01, "ff", {}),
        (0x0997, 0x1015, "ff", {}),
        (0x0711, 0x1010, "ffff", {}),
        (0x5A5A, 0x101A, "ffff", {}),
        (0x5A5A, 0x1003, "7f", {}),
        (0x45C9, 0x4E16, "ff" + "00000000" + "00f15365", {"stabilized": False}),
        (0x45C9, 0x4E16, "02" + "941b0000" + "00000000", {"profile_id": 2, "mass": 70.6, "stabilized": True}),
        (0x45C9, 0x4E16, "02" + "ffffffff" + "00f15365", {}),
        (0x3BD5, 0x6E16, "ff" + "ffffffff" + "ffffffff", {"stabilized": False}),
        (
            0x3BD5,
            0x6E16,
            "01" + "c4faffff" + "ffffffff",
            {"profile_id": 1, "mass": 70.8, "stabilized": True},
        ),
        (0x51E2, 0x4E16, "90" + "00000005" + "0000ffff", {}),
        (0x51E2, 0x4E16, "90" + "00001500" + "000000ff", {}),
        (0x1781, 0x4A14, "ff" * 9, {}),
        (0x1781, 0x4C15, "ff", {}),
        (0x44FA, 0x5624, "0100", {}),
    ],
)
def test_what_a_device_does_not_know_is_no_value(product, object_id, data, values):
    """Of objects with several fields the others stand."""
    decoded = decode_objects(frames.obj(object_id, bytes.fromhex(data)), model_of(product), strict=False)
    assert decoded.values == values
    assert decoded.events == ()
