"""The drawing of a frame: its lines, and values and events in words."""

from proxy_listener.formats.drawing import Drawing, Line, event_text, joined, value_texts
from proxy_listener.formats.layout import Decoded
from proxy_listener.model.reading import Event


def test_fields_of_fixed_sizes_are_drawn_one_behind_the_other():
    """Numbers in their byte order, a control byte in hex, a field that is cut off with what there is."""
    drawing = Drawing(None, ())
    drawing.add_fields(bytes.fromhex("22d438"), 4, (("control", 1), ("weight", 2), ("year", 2)), "little")
    assert drawing.lines == [
        Line("frame", 4, b"\x22", "control", "0x22"),
        Line("frame", 5, b"\xd4\x38", "weight", "14548"),
        Line("frame", 7, b"", "year", "0"),
    ]


def test_values_have_their_units_and_flags_are_yes_or_no():
    """A value of no known quantity stands as it is."""
    decoded = Decoded({"temperature": 21.5, "motion": False, "lock": True, "surprise": "blue"})
    assert list(value_texts(decoded)) == ["temperature 21.5 °C", "motion no", "lock yes", "surprise blue"]


def test_an_event_has_its_properties():
    """Behind its name and type."""
    assert event_text(Event("button", "press")) == "button press"
    assert event_text(Event("dimmer", "rotate_left", {"steps": 3})) == "dimmer rotate_left steps=3"


def test_joined_leaves_out_what_is_empty():
    """A field without a meaning leaves no comma."""
    assert joined(["version 5", "", "MAC"]) == "version 5, MAC"
