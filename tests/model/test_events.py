"""The table of kinds of events."""

import attrs

from proxy_listener.model.events import (
    ANY_BUTTON,
    BUTTON,
    DIMMER,
    EVENTS,
    EventKind,
    button,
    control_of,
    kind_of,
)


def test_every_kind_has_types():
    """No kind is without types, and no type stands twice."""
    for name, kind in EVENTS.items():
        assert kind.name == name
        assert kind.types
        assert len(set(kind.types)) == len(kind.types)


def test_a_button_by_name():
    """A button of several has a name of its own and the types of any button."""
    left = button("left")
    assert (left.name, left.types, left.device_class) == ("button_left", BUTTON.types, "button")
    assert button("") is BUTTON
    assert control_of("button_left") == left
    assert kind_of("button_left") == attrs.evolve(ANY_BUTTON, name="button_left")
    assert (kind_of("dimmer_2").types, kind_of("dimmer_2").name) == (DIMMER.types, "dimmer_2")


def test_a_kind_without_a_row():
    """Nothing is known of it but its name."""
    assert kind_of("gesture") == EventKind("gesture")
    assert kind_of("lock") is EVENTS["lock"]
