"""Values as JSON documents."""

import enum
import math

import attrs
import pytest
from support.made_status import MAC, NOW, device, reading

from proxy_listener.model.reading import Event
from proxy_listener.model.status import INTERNAL, Heard
from proxy_listener.web.documents import device_document, plain, text


class Colour(enum.StrEnum):
    RED = "red"


@attrs.frozen
class Made:
    """Has every kind of field that the API knows."""

    mac: int | None
    unheard: tuple[int, ...]
    lost_without: dict[int, float]
    colour: Colour
    hidden: int = attrs.field(default=7, metadata=INTERNAL)


def test_an_attrs_value_is_an_object_of_its_fields():
    """MACs are text in fields, lists and keys; internal fields are left out."""
    assert plain(Made(MAC, (1,), {2: 0.5}, Colour.RED)) == {
        "mac": "A4:C1:38:02:83:F4",
        "unheard": ["00:00:00:00:00:01"],
        "lost_without": {"00:00:00:00:00:02": 0.5},
        "colour": "red",
    }
    assert plain(Made(None, (), {}, Colour.RED))["mac"] is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        (-math.inf, None),
        (1.23456, 1.235),
        (True, True),
        (7, 7),
        (None, None),
        ((1, "a"), [1, "a"]),
        (frozenset({1}), [1]),
        ({1: [2.0]}, {"1": [2.0]}),
    ],
)
def test_plain_values(value, expected):
    """Numbers are finite and rounded to three digits; sequences and sets are lists; keys are text."""
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


def test_an_enum_is_its_plain_text():
    """Not an instance of the enum, which other encoders would treat as one."""
    assert type(plain(Colour.RED)) is str


def test_a_document_is_one_line():
    """Text stays readable, line ends are escaped."""
    assert text({"name": "Küche\n", "n": 1}) == '{"name":"Küche\\n","n":1}'
    with pytest.raises(ValueError, match="Out of range"):
        text(math.nan)


def test_values_have_their_time_and_age():
    """An age is never negative, even if the clock was set back."""
    made = device(values={"temperature": (21.3, NOW - 4), "battery": (87, NOW + 60)})
    values = device_document(made, NOW)["values"]
    assert (values["temperature"]["value"], values["temperature"]["age"]) == (21.3, 4.0)
    assert values["battery"]["age"] == 0.0


def test_the_last_event_of_a_reading_is_shown_with_its_properties():
    """A reading may have several events."""
    events = (Event("lock", "unlock"), Event("button", "press", {"steps": 3}))
    document = device_document(device(), NOW, reading(events=events, time=NOW - 2))
    event = document["event"]
    assert (event["event"], event["type"], event["steps"], event["age"]) == ("button", "press", 3, 2.0)
    assert device_document(device(), NOW)["event"] is None


@pytest.mark.parametrize(("number", "word"), [(0, "public"), (1, "random"), (9, None), (-1, None)])
def test_an_address_type_is_a_word(number, word):
    """An unknown number is null."""
    heard = [Heard("kitchen-proxy", "Kitchen", -61.4, 4.0, 0.93, number)]
    assert device_document(device(heard=heard), NOW)["heard"][0]["address_type"] == word
