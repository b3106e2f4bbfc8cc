"""The converter: stricter than cattrs, and every error at its key."""

from typing import Literal

import attrs
import pytest
from cattrs import transform_error

from proxy_listener.config.secrets import Secrets
from proxy_listener.config.structure import converter_for
from proxy_listener.model.secret import Secret


def even(_instance, _field, value):
    if value % 2:
        raise ValueError("expected an even number")


@attrs.frozen
class SinkSettings:
    """A sink's table with a field of every type."""

    name: str = ""
    count: int = attrs.field(default=0, validator=even)
    loud: bool = False
    wait: float = 1.0
    pause: float | None = None
    version: Literal["auto", "5"] = "auto"
    token: Secret | None = None
    hosts: tuple[str, ...] = ()


@pytest.fixture
def structure(tmp_path):
    converter = converter_for(Secrets(tmp_path))
    return lambda table: converter.structure(table, SinkSettings)


def test_every_type_is_converted(structure):
    """Durations to seconds, "off" to None, a secret to a Secret, a list to a tuple."""
    table = {
        "name": "a",
        "count": 2,
        "loud": True,
        "wait": "1min",
        "pause": "off",
        "version": "5",
        "token": "t",
        "hosts": ["h"],
    }
    assert structure(table) == SinkSettings("a", 2, True, 60.0, None, "5", Secret("t"), ("h",))


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("name", 5, "expected text in quotes, found a number @ sink.name"),
        ("count", True, "expected a whole number, found a boolean @ sink.count"),
        ("count", 3, "expected an even number @ sink.count"),
        ("loud", "no", "expected true or false, found text @ sink.loud"),
        ("version", "4", 'expected "auto" or "5" @ sink.version'),
        ("hosts", "abc", "expected a list, found text @ sink.hosts"),
        ("hosts", ["a", 1], "expected text in quotes, found a number @ sink.hosts[2]"),
    ],
)
def test_what_cattrs_would_accept_is_refused_at_its_key(structure, key, value, text):
    """A boolean is no number and text no list; a validator's error has the place of its key, too."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  cattrs's group, whatever the fields raised
        structure({key: value})
    assert transform_error(caught.value, "sink", lambda error, _: str(error)) == [text]
