"""Every object of BTHome by hand-worked bytes, and frames that are cut, unordered or unknown."""

import struct

import pytest

from proxy_listener.formats.bthome.objects import OBJECTS, packet_id, read, says_something, walk_v1, walk_v2
from proxy_listener.formats.layout import NOTHING_SKIPPED
from proxy_listener.model.reading import Event

ONE_OF_EACH = [
    ("015d", {"battery": 93}),
    ("02ca09", {"temperature": 25.06}),
    ("02f6ff", {"temperature": -0.1}),
    ("03bf13", {"humidity": 50.55}),
    ("04138a01", {"pressure": 1008.83}),
    ("05138a14", {"illuminance": 13460.67}),
    ("065e1f", {"mass": 80.3}),
    ("073e1d", {"mass": 33.96}),  # 74.86 lb
    ("08ca06", {"dew_point": 17.38}),
    ("0960", {"count": 96}),
    ("0a138a14", {"energy": 1346.067}),
    ("0b021b00", {"power": 69.14}),
    ("0c020c", {"voltage": 3.074}),
    ("0d120c", {"pm25": 3090}),
    ("0e021c", {"pm10": 7170}),
    ("0f01", {"generic": True}),
    ("1001", {"power": True}),
    ("1100", {"opening": False}),
    ("12e204", {"carbon_dioxide": 1250}),
    ("133301", {"volatile_organic_compounds": 307}),
    ("14020c", {"moisture": 30.74}),
    ("1501", {"battery_low": True}),
    ("1601", {"battery_charging": True}),
    ("1700", {"carbon_monoxide": False}),
    ("1801", {"cold": True}),
    ("1900", {"connectivity": False}),
    ("1a00", {"door": False}),
    ("1b01", {"garage_door": True}),
    ("1c01", {"gas": True}),
    ("1d00", {"heat": False}),
    ("1e01", {"light": True}),
    ("1f01", {"lock": True}),
    ("2001", {"moisture": True}),
    ("2100", {"motion": False}),
    ("2201", {"moving": True}),
    ("2301", {"occupancy": True}),
    ("2400", {"plug": False}),
    ("2500", {"presence": False}),
    ("2601", {"problem": True}),
    ("2701", {"running": True}),
    ("2800", {"safety": False}),
    ("2901", {"smoke": True}),
    ("2a00", {"sound": False}),
    ("2b00", {"tamper": False}),
    ("2c01", {"vibration": True}),
    ("2d01", {"window": True}),
    ("2e23", {"humidity": 35}),
    ("2f23", {"moisture": 35}),
    ("3d0960", {"count": 24585}),
    ("3e2a2c0960", {"count": 1611213866}),
    ("3f020c", {"rotation": 307.4}),
    ("400c00", {"distance_mm": 12}),
    ("414e00", {"distance": 7.8}),
    ("424e3400", {"duration": 13.39}),
    ("434e34", {"current": 13.39}),
    ("444e34", {"speed": 133.9}),
    ("451101", {"temperature": 27.3}),
    ("4632", {"uv_index": 5.0}),
    ("478756", {"volume": 2215.1}),
    ("48dc87", {"volume_ml": 34780}),
    ("49dc87", {"volume_flow_rate": 34.78}),
    ("4a020c", {"voltage": 307.4}),
    ("4b138a14", {"gas": 1346.067}),
    ("4c41018a01", {"gas": 25821.505}),
    ("4d12138a14", {"energy": 344593.17}),
    ("4e87562a01", {"volume": 19551.879}),
    ("4f87562a01", {"water": 19551.879}),
    ("505d396164", {"timestamp": "2023-05-14T19:41:17+00:00"}),
    ("518756", {"acceleration": 22.151}),
    ("528756", {"gyroscope": 22.151}),
    ("530c48656c6c6f20576f726c6421", {"text": "Hello World!"}),
    ("540c48656c6c6f20576f726c6421", {"raw": "48656c6c6f20576f726c6421"}),
    ("5587562a01", {"volume_storage": 19551.879}),
    ("56e803", {"conductivity": 1000}),
    ("57ea", {"temperature": -22}),
    ("58ea", {"temperature": -7.7}),
    ("59ea", {"count": -22}),
    ("5aeaea", {"count": -5398}),
    ("5beaeaeaea", {"count": -353703190}),
    ("5c02fbffff", {"power": -12.78}),
    ("5d02ea", {"current": -5.63}),
    ("5e9f8c", {"direction": 359.99}),
    ("5f8756", {"precipitation": 2215.1}),
    ("6001", {"channel": 1}),
    ("61ac0d", {"rotational_speed": 3500}),
    ("62d5ffffff", {"speed": -0.000043}),
    ("63808d5b00", {"acceleration": 6.0}),
    ("6402", {"light_level": 2}),
    ("6507", {"settings_revision": 7}),
    ("f100010204", {"firmware": "4.2.1.0"}),
    ("f2000106", {"firmware": "6.1.0"}),
]
"""Most bytes are the examples of bthome.io/format; what they say was worked out by hand."""

EVENTS = [
    ("3a01", [("button", "press", {})]),
    ("3a06", [("button", "long_triple_press", {})]),
    ("3a80", [("button", "hold_press", {})]),
    ("3afe", [("button", "hold_press", {})]),
    ("3a00", []),
    ("3a33", []),
    ("3c0103", [("dimmer", "rotate_left", {"steps": 3})]),
    ("3c020a", [("dimmer", "rotate_right", {"steps": 10})]),
    ("3c0000", []),
    ("3b0002", [("command", "toggle", {})]),
    ("3b020342aa", [("command", "step_up", {"args": "42aa"})]),
    ("3b0077", [("command", "other", {"code": 119})]),
    ("3a003a013a03", [("button_2", "press", {}), ("button_3", "triple_press", {})]),
    ("60023a02", [("button", "double_press", {"channel": 2})]),
]


def test_every_object_has_a_vector():
    """But for those that say nothing, and the kinds of events."""
    with_vector = {int(data[:2], 16) for data, _ in (*ONE_OF_EACH, *EVENTS)}
    assert OBJECTS.keys() - with_vector == {0x00, 0xF0}


@pytest.mark.parametrize(("data", "values"), ONE_OF_EACH)
def test_an_object(data, values):
    """Its value, in both versions."""
    body = bytes.fromhex(data)
    assert read(walk_v2(body)) == (values, (), NOTHING_SKIPPED)
    row = OBJECTS[body[0]]
    content = body[2:] if row.size == 0 else body[1:]
    form = 1 if row.signed else 0
    first = bytes((form << 5 | len(content) + 1, body[0])) + content
    assert read(walk_v1(first))[0] == values


@pytest.mark.parametrize(("data", "events"), EVENTS)
def test_events(data, events):
    """One that is none fires nothing and holds its place; unknown codes of buttons are none."""
    assert [(event.event, event.type, event.properties) for event in read(walk_v2(bytes.fromhex(data)))[1]] == events


def test_several_of_one_kind_are_numbered():
    """By position, whatever their ids; one alone has no number."""
    values, events, _ = read(walk_v2(bytes.fromhex("02ca09 02cb09 451101 0160 3a01")))
    assert values == {"temperature_1": 25.06, "temperature_2": 25.07, "temperature_3": 27.3, "battery": 96}
    assert events == (Event("button", "press"),)


def test_a_value_that_cannot_be_keeps_its_place():
    """And the others count."""
    values, _, skipped = read(walk_v2(bytes.fromhex("02ff7f 02cb09 0178")))
    assert (values, skipped.implausible) == ({"temperature_2": 25.07}, ("temperature", "battery"))


def test_an_unknown_id_ends_the_walk():
    """What came before it counts, and it is counted."""
    values, _, skipped = read(walk_v2(bytes.fromhex("015d fe5d 03b718")))
    assert (values, skipped.unknown) == ({"battery": 93}, (0xFE,))


def test_version_1_passes_over_an_unknown_id():
    """Its length is there."""
    values, _, skipped = read(walk_v1(bytes.fromhex("02015d 03fe5d09 0303b718")))
    assert (values, skipped.unknown) == ({"battery": 93, "humidity": 63.27}, (0xFE,))


@pytest.mark.parametrize("data", ["015d 02ca", "015d 53", "015d 5305 4141", "015d 3b", "015d 3b02 01"])
def test_an_object_that_is_cut_off(data):
    """What came before it counts."""
    values, events, skipped = read(walk_v2(bytes.fromhex(data)))
    assert (values, events, skipped.short) == ({"battery": 93}, (), True)


def test_an_empty_text_is_passed_over():
    """And what follows counts."""
    assert read(walk_v2(bytes.fromhex("5300 5400 015d")))[0] == {"battery": 93}


@pytest.mark.parametrize("object_id", sorted(OBJECTS))
def test_an_empty_object_of_version_1_is_passed_over(object_id):
    """Anyone can send one; what follows counts."""
    assert read(walk_v1(bytes((1, object_id)) + bytes.fromhex("02015d"))) == ({"battery": 93}, (), NOTHING_SKIPPED)


def test_a_device_has_one_firmware():
    """Of several in one frame the last counts, without a number, as in bthome-ble."""
    assert read(walk_v2(bytes.fromhex("f100010204 f2000106")))[0] == {"firmware": "6.1.0"}


def test_text_that_is_none():
    """Bytes that are no UTF-8 are not shown; control characters are replaced."""
    assert read(walk_v2(bytes.fromhex("5302ff00")))[2].implausible == ("text",)
    assert read(walk_v2(bytes.fromhex("530241 0a".replace(" ", ""))))[0] == {"text": "A?"}


def test_floats_of_version_1():
    """Of two, four and eight bytes; one that is no number is out of range."""
    for form, control in (("<e", "43"), ("<f", "45"), ("<d", "49")):
        body = bytes.fromhex(control + "02") + struct.pack(form, 2500.0)
        assert read(walk_v1(body))[0] == {"temperature": 25.0}
    assert read(walk_v1(bytes.fromhex("45020000c07f")))[2].implausible == ("temperature",)


def test_the_number_of_one_kind_is_bounded():
    """Anyone can send a frame of many."""
    assert len(read(walk_v2(bytes.fromhex("0160") * 100))[0]) == 16


def test_the_packet_id_and_what_says_nothing():
    """A packet id alone, the device's type, buttons that were not pressed."""
    assert packet_id(walk_v2(bytes.fromhex("0009015d"))) == 9
    assert packet_id(walk_v2(bytes.fromhex("015d"))) is None
    for data in ("0009", "0009f00100", "00093a00", "3c0000"):
        assert not says_something(walk_v2(bytes.fromhex(data)))
    for data in ("0009015d", "fe", "00", "3a01", "53"):
        assert says_something(walk_v2(bytes.fromhex(data)))
