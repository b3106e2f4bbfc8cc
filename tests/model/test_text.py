"""Text from outside: what may be shown, and network endpoints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.model.text import LIMIT, host_name, loopback, printable, split_endpoint


@given(st.text(max_size=200))
def test_what_may_be_shown_has_nothing_invisible(text):
    """One character each, at most 64 of them; done twice, it is the same."""
    shown = printable(text)
    assert len(shown) == min(len(text), LIMIT)
    assert shown == printable(shown)
    assert shown.replace(" ", "").isprintable() or not shown.isascii()


@pytest.mark.parametrize("hidden", ["\n", "\x1b[31m", "\u202e", "\u200b", "\x00", "\ud800", "\u2028"])
def test_control_characters_overrides_and_line_breaks_are_replaced(hidden):
    """No name can end a line, start an escape sequence or turn the text around."""
    assert printable(f"a{hidden[0]}b") == "a?b"


@pytest.mark.parametrize(
    ("endpoint", "parts"),
    [
        ("127.0.0.1:8099", ("127.0.0.1", 8099)),
        ("[::1]:9750", ("::1", 9750)),
        ("broker.lan:65535", ("broker.lan", 65535)),
        ("broker.lan:65536", None),
        ("broker.lan", None),
        (":8099", None),
        ("::1:9750", None),
        ("a b:1", None),
    ],
)
def test_an_endpoint_has_a_host_and_a_port(endpoint, parts):
    """An IPv6 address stands in brackets."""
    assert split_endpoint(endpoint) == parts


@pytest.mark.parametrize(
    ("host", "only_here"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("nas", False)],
)
def test_what_only_this_machine_can_reach(host, only_here):
    """No name is looked up: of names, only localhost counts."""
    assert loopback(host) is only_here


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Localhost:8099", "localhost"),
        ("pi.home.example.", "pi.home.example"),
        ("[::1]:8099", "::1"),
        ("[::1", ""),
        ("localhost:evil.example", ""),
        ("", ""),
        (":80", ""),
    ],
)
def test_the_name_in_a_host_header(header, name):
    """Without port, brackets, final dot, in lower case."""
    assert host_name(header) == name
