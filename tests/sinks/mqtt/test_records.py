"""The note of what the broker has retained."""

import json

import pytest

from proxy_listener.sinks.mqtt.records import Record, Records, digest, read

RECORDS = Records(
    "house",
    "homeassistant",
    {"a4c1380283f4": Record("1f", {"button": ["press"]}, "Attic", "3.2.2")},
    {"a0b1c2d3e4f5": Record()},
    Record("2e"),
    ["Attic", "Kitchen"],
)


def test_a_note_is_read_as_it_was_written() -> None:
    """With all that it says of devices and proxies."""
    assert read(RECORDS.text()) == RECORDS


def test_a_note_of_an_earlier_version_is_read() -> None:
    """It says less."""
    note = json.loads(RECORDS.text())
    note["devices"]["a4c1380283f4"] = {"announced": "1f", "events": {}}
    del note["service"], note["rooms"]
    found = read(json.dumps(note))
    assert found is not None
    assert found.devices == {"a4c1380283f4": Record("1f")}
    assert found.service == Record()


def test_an_entry_that_is_no_id_makes_no_topic() -> None:
    """The note is a file's content, and ids become topics."""
    note = json.loads(RECORDS.text())
    note["devices"]["#"] = {"announced": "1f", "events": {}}
    found = read(json.dumps(note))
    assert found is not None
    assert found.devices.keys() == {"a4c1380283f4"}


def test_a_digest_stands_for_its_payload() -> None:
    """It is short, and another one for another payload."""
    assert len(digest("a")) == 16
    assert digest("a") != digest("b")


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"base":1}', '{"base":"b","prefix":"p","devices":[],"proxies":{}}']
)
def test_a_note_that_cannot_be_read_is_no_note(text: str | None) -> None:
    assert read(text) is None
