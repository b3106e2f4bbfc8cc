"""Any devices.toml gives a configuration or a ConfigError, and no other exception."""

import tempfile
from pathlib import Path

import attrs
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_listener.config import doubts, load
from proxy_listener.model.errors import ConfigError
from proxy_listener.model.settings import (
    DeviceSettings,
    DevicesSettings,
    DiscoverySettings,
    HistorySettings,
    ProxySettings,
    ServiceSettings,
    WebSettings,
)
from proxy_listener.model.text import printable
from proxy_listener.sinks import jsonl, mqtt

TABLES = {
    "service": ServiceSettings,
    "discovery": DiscoverySettings,
    "proxy": ProxySettings,
    "device": DeviceSettings,
    "devices": DevicesSettings,
    "history": HistorySettings,
    "web": WebSettings,
}

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
likely = st.sampled_from(["A4:C1:38:02:83:F4", "off", "10s", "0", "keyed", "ab" * 16, "127.0.0.1:80", "[::]:1", "-"])
values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.datetimes() | words | likely,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["file", "env", "x"]) | words, inner, max_size=3)
    ),
    max_leaves=4,
)


def table(wanted: type) -> st.SearchStrategy:
    keys = st.sampled_from([field.name for field in attrs.fields(wanted)])
    return st.dictionaries(keys | words, values, max_size=5)


documents = st.fixed_dictionaries(
    {},
    optional={name: table(wanted) | st.lists(table(wanted), max_size=3) | values for name, wanted in TABLES.items()}
    | {
        "sink": st.fixed_dictionaries({}, optional={"jsonl": table(jsonl.Settings), "mqtt": table(mqtt.Settings)})
        | values
    },
)


def problems_of(content: bytes) -> list[str] | None:
    """The problems of a file with this content; its warnings where it loads."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "devices.toml"
        path.write_bytes(content)
        path.chmod(0o600)
        try:
            return list(map(str, doubts(load(path))))
        except ConfigError as error:
            return list(map(str, error.problems)) or None


@settings(max_examples=150, deadline=None)
@given(documents)
def test_any_document_loads_or_is_refused(document):
    """Values of every type in every place raise no other exception, and no message has unprintable characters."""
    said = problems_of(tomlkit.dumps(document).encode())
    assert said is not None
    assert all(printable(line, 10_000) == line for line in said)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_load_or_are_refused(content):
    """Also what is not TOML."""
    said = problems_of(content)
    assert said is not None
    assert all(printable(line, 10_000) == line for line in said)
