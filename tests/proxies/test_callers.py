"""Hellos of callers, and how many calls are looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.calling import hello

from proxy_listener.proxies.callers import (
    EACH,
    EACH_KNOWN,
    KNOWN,
    STRANGERS,
    STRANGERS_RATE,
    CallLimits,
    NotANodeError,
    parse_hello,
)

HERE, THERE = "192.0.2.1", "198.51.100.7"


def test_a_nodes_hello_gives_name_and_mac_once_it_is_complete():
    data = hello()
    assert [parse_hello(data[:end]) for end in range(len(data))] == [None] * len(data)
    assert parse_hello(data) == ("kitchen-proxy", 0xA0B1C2D3E4F5)
    assert parse_hello(data + b"\x01\x00") == ("kitchen-proxy", 0xA0B1C2D3E4F5)


def test_a_hostile_name_is_made_printable():
    name, _ = parse_hello(hello("\x1b[2Jevil\r\n"))
    assert name.isprintable()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x00\x02\x01\x0a\x00", "only nodes with an encryption key can call"),
        (b"GET / HTTP/1.1\r\n", "does not speak the encrypted native API"),
        (b"\x01\xff\xff", "too long"),
        (b"\x01\x00\x00", "no name and MAC"),
        (b"\x01\x00\x05\x02abcd", "no name and MAC"),
        (hello(mac=""), "no name and MAC"),
        (hello(mac="zzb1c2d3e4f5"), "no name and MAC"),
        (hello(mac="a0b1c2d3e4f5ff"), "no name and MAC"),
    ],
)
def test_what_is_no_hello_is_refused_with_a_reason(data, words):
    with pytest.raises(NotANodeError, match=words):
        parse_hello(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_hello_or_incomplete_or_refused(data):
    """Nothing else is raised, and a name is printable."""
    try:
        claim = parse_hello(data)
    except NotANodeError:
        return
    assert claim is None or claim[0].isprintable()


def test_one_network_has_few_calls_at_once():
    """More once a node proved a key there; an IPv6 machine's addresses are one network."""
    limits = CallLimits(0.0)
    assert [limits.enter(f"2001:db8::{index}", 0.0) for index in range(EACH + 2)] == [True] * EACH + [False] * 2
    assert limits.enter("2001:db8:0:1::1", 0.0)
    limits.leave("2001:db8::1")
    assert limits.enter("2001:db8::9", 0.0)
    limits.proved(HERE)
    assert [limits.enter(HERE, 0.0) for _ in range(EACH_KNOWN + 1)] == [True] * EACH_KNOWN + [False]


def test_false_calls_of_one_network_become_rare_and_cost_no_other():
    """Ten, then six a minute, also where a node proved a key."""
    limits = CallLimits(0.0)
    limits.proved(HERE)

    def calls(seconds):
        taken = 0
        for now in range(seconds):
            if limits.enter(HERE, float(now)):
                taken += 1
                limits.false(HERE, float(now))
                limits.leave(HERE)
        return taken

    assert calls(600) <= 10 + 60
    assert limits.enter(THERE, 600.0)


def test_strangers_together_are_limited_and_known_networks_are_not():
    """A thousand addresses at once: 64 and then 8 a second are looked at; a site that proved a key is not held up."""
    limits = CallLimits(0.0)
    limits.proved(HERE)
    taken = [address for address in range(1000) if limits.enter(f"10.0.{address >> 8}.{address & 255}", 0.0)]
    assert len(taken) == STRANGERS
    assert limits.enter(HERE, 0.0)
    assert sum(limits.enter(f"10.1.0.{address}", 1.0) for address in range(100)) == STRANGERS_RATE


def test_what_is_remembered_is_bounded():
    """Of twenty thousand networks the newest few are known, told, or counted."""
    limits = CallLimits(0.0)
    for index in range(20_000):
        address = f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}"
        limits.proved(address)
        if limits.enter(address, float(index)):
            limits.leave(address)
        limits.false(address, 1e4 * index)
    assert len(limits._known) <= KNOWN
    assert len(limits._told) <= KNOWN
    assert not limits._pending


def test_a_networks_false_calls_are_logged_once_an_hour_and_all_together_a_few_times():
    limits = CallLimits(0.0)
    assert [limits.false(HERE, now) for now in (0.0, 1.0, 3599.0, 3601.0)] == [True, False, False, True]
    lines = sum(limits.false(f"10.0.{index >> 8}.{index & 255}", 3602.0) for index in range(10_000))
    assert lines <= 16
