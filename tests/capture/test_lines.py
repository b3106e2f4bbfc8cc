"""Captures: lines in, advertisements out, and back."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.capture.lines import LINE_LIMIT, PROBLEMS_KEPT, Capture, LineError, line_of, parse
from proxy_listener.model.advertisement import Advertisement

GOOD = {
    "time": 1732300000.123,
    "proxy": "kitchen-proxy",
    "mac": "A4:C1:38:02:83:F4",
    "address_type": "public",
    "rssi": -61,
    "data": "02010616",
}


def line(**changes):
    fields = {**GOOD, **changes}
    return json.dumps({key: value for key, value in fields.items() if value is not None}).encode()


def read(*lines):
    capture = Capture()
    return capture, list(capture.read(io.BytesIO(b"\n".join(lines)), "evening.jsonl"))


def test_the_line_of_the_contract():
    """The example of the documentation, field by field; hex and MAC in either case."""
    want = Advertisement(0xA4C1380283F4, 0, bytes.fromhex("02010616"), "kitchen-proxy", -61, 1732300000.123, 0.0)
    assert parse(line()) == want
    assert parse(line(mac="a4c1380283f4", data="0201061A")).data == bytes.fromhex("0201061a")
    assert parse(line(address_type="random")).address_type == 1


def test_what_may_be_missing_and_what_may_be_more():
    """Without address_type it is public; unknown keys are ignored."""
    assert parse(line(address_type=None)).address_type == 0
    assert parse(line(channel=37)) == parse(line())


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (b"{", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        (b"\xff", "not UTF-8"),
        (b"[1]", "not a JSON object"),
        (b"[" * 5000, "not JSON"),
        (b"9" * 5000, "not JSON"),
        (line(time=None), "time: missing"),
        (line(time="1732300000"), "time: expected seconds since 1970"),
        (line(time=True), "time: expected seconds since 1970"),
        (line(time=float("nan")), "time: expected seconds between"),
        (line(time=-1), "time: expected seconds between"),
        (line(time=10**400), "time: expected seconds between"),
        (line(proxy=""), "proxy: expected a name"),
        (line(proxy=7), "proxy: expected a name"),
        (line(mac="A4:C1:38"), "mac: 'A4:C1:38' is not a MAC"),
        (line(mac=5), "mac: expected text"),
        (line(address_type="static"), "address_type: expected public or random"),
        (line(address_type=[]), "address_type: expected public or random"),
        (line(rssi=-61.5), "rssi: expected a whole number"),
        (line(rssi=False), "rssi: expected a whole number"),
        (line(data="0201061"), "data: expected an even number of hex digits"),
        (line(data="02 01"), "data: expected an even number of hex digits"),
        (line(data="0x01"), "data: expected an even number of hex digits"),
        (line(data=None), "data: missing"),
        (line(data="00" * LINE_LIMIT), f"longer than {LINE_LIMIT} bytes"),
    ],
)
def test_a_bad_line_says_what_is_wrong(bad, text):
    """Each field by name; the error is the module's own, never another."""
    with pytest.raises(LineError) as raised:
        parse(bad)
    assert str(raised.value).startswith(text)


def test_bad_lines_are_counted_and_named_by_their_place():
    """The good lines around them stand; blank lines are nothing; only the first problems are kept in words."""
    capture, found = read(line(), b"", b"oops", line(rssi=None), *[b"{}"] * 50, line())
    assert (len(found), capture.lines, capture.bad) == (2, 54, 52)
    assert len(capture.problems) == PROBLEMS_KEPT
    assert str(capture.problems[0]).startswith("evening.jsonl:3: not JSON")
    assert str(capture.problems[1]) == "evening.jsonl:4: rssi: missing"


def test_a_line_without_an_end_fills_no_memory():
    """A megabyte without a line break is one bad line, and the line after it is read."""
    capture, found = read(b"x" * 1_000_000, line())
    assert (len(found), capture.bad) == (1, 1)
    assert str(capture.problems[0]) == f"evening.jsonl:1: longer than {LINE_LIMIT} bytes"


def test_heard_is_the_sum_of_the_forward_steps_of_time():
    """A step back counts nothing, over the end of one file as well."""
    capture, found = read(*[line(time=time) for time in (100, 101.5, 50, 52, 52)])
    found += capture.read(io.BytesIO(line(time=60)), "night.jsonl")
    assert [advertisement.heard for advertisement in found] == [0, 1.5, 1.5, 3.5, 3.5, 11.5]
    assert [advertisement.time for advertisement in found] == [100, 101.5, 50, 52, 52, 60]


def test_names_are_made_printable():
    """A proxy's name with an escape sequence shows none."""
    assert parse(line(proxy="\x1b[2Jkitchen")).proxy == "?[2Jkitchen"


@given(
    st.integers(0, 2**48 - 1),
    st.integers(0, 1),
    st.binary(max_size=255),
    st.text("abcäö -_", min_size=1, max_size=64),
    st.integers(-128, 127),
    st.integers(0, 4_000_000_000_000),
)
def test_what_is_recorded_is_read_back(address, kind, data, proxy, rssi, milliseconds):
    """line_of and parse undo each other, to the millisecond."""
    advertisement = Advertisement(address, kind, data, proxy, rssi, milliseconds / 1000, 0.0)
    assert parse(line_of(advertisement)) == advertisement


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(data):
    """Whatever a file holds, each line is an advertisement or a counted problem."""
    capture = Capture()
    found = list(capture.read(io.BytesIO(data), "x"))
    assert len(found) + capture.bad == capture.lines
