"""A reading's line of JSON, which other programs read."""

import json

import pytest

from proxy_listener.model.reading import Event, Reading, as_json, timestamp

EXAMPLE = (
    '{"time":"2026-11-22T18:04:05.123Z","mac":"A4:C1:38:02:83:F4","name":"Bedroom climate","model":"LYWSD03MMC",'
    '"source":"advertisement","proxy":"bedroom-proxy","room":"Bedroom","rssi":-61,"counter":9808,'
    '"trust":"authenticated","late":false,"values":{"humidity":46.7},"events":[]}'
)


def reading(**changes) -> Reading:
    fields = {
        "time": 1795370645.123,
        "mac": 0xA4C1380283F4,
        "name": "Bedroom climate",
        "model": "LYWSD03MMC",
        "source": "advertisement",
        "proxy": "bedroom-proxy",
        "room": "Bedroom",
        "rssi": -61,
        "counter": 9808,
        "trust": "authenticated",
        "late": False,
        "values": {"humidity": 46.7},
    }
    return Reading(**{**fields, **changes})


def test_the_keys_and_their_order():
    """The line of the documentation, to the byte."""
    assert as_json(reading()) == EXAMPLE


def test_what_is_unknown_is_null_and_text_stays_readable():
    """No counter, no RSSI; umlauts are not escaped; a number without a form in JSON is refused."""
    line = as_json(reading(counter=None, rssi=None, room="Küche"))
    assert '"rssi":null,"counter":null' in line
    assert '"room":"Küche"' in line
    with pytest.raises(ValueError, match="JSON compliant"):
        as_json(reading(values={"temperature": float("nan")}))


@pytest.mark.parametrize(("late", "fires", "fired"), [(False, True, False), (True, True, True), (True, False, False)])
def test_a_late_event_that_fires_says_so(late, fires, fired):
    """Properties stand beside the event and its type."""
    line = as_json(reading(late=late, fires=fires, events=(Event("dimmer", "rotate_left", {"steps": 3}),)))
    expected = {"event": "dimmer", "type": "rotate_left", "steps": 3} | ({"fired": True} if fired else {})
    assert json.loads(line)["events"] == [expected]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1795370645.1234, "2026-11-22T18:04:05.123Z"),
        (1795370645.9996, "2026-11-22T18:04:06.000Z"),
    ],
)
def test_a_time_is_rounded_to_milliseconds(seconds, text):
    """And never cut to a thousand of them."""
    assert timestamp(seconds) == text
