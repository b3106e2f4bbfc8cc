"""Documents of the API in words."""

import re

import pytest

from proxy_listener.cli.rows import (
    advice_in_words,
    counts_in_words,
    coverage_in_words,
    events_in_words,
    log_in_words,
    no_readings_in_words,
    proxy_coverage_row,
    reads_in_words,
    shared_in_words,
    values_in_words,
)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ({"stored": 300, "known": 0, "skipped": 0, "complete": True}, "log of 300 entries: 300 new, 0 known"),
        (
            {"stored": 20, "known": 99, "skipped": 1, "complete": False},
            "log of 300 entries: 20 new, 99 known, 1 unusable; not complete, the next one goes on from there",
        ),
    ],
)
def test_a_downloaded_log_in_words(log, words):
    """How many entries are new, and whether all were fetched."""
    assert log_in_words({"count": 300, **log}) == words


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"temperature": 21.5, "battery": 87}, "temperature 21.5 °C, battery 87 %"),
        ({"mass": 63.24999999}, "mass 63.25 kg"),
        ({"moisture": True, "mass_non_stabilized": 5}, "moisture yes, mass non stabilized 5 kg"),
        ({"unheard_of": 3}, "unheard of 3"),
        ({}, ""),
    ],
)
def test_values_in_words(values, words):
    """Numbers have their quantity's unit; flags and unknown quantities have none."""
    assert values_in_words(values) == words


def test_events_and_counts_in_words():
    """An event's properties are in brackets; underlines are spaces."""
    events = [{"event": "dimmer", "type": "rotate_left", "steps": 3}, {"event": "button", "type": "press"}]
    assert events_in_words(events) == "dimmer rotate left (steps 3), button press"
    assert counts_in_words({"not_ours": 12, "decoded": 1}) == "not ours 12, decoded 1"


def test_many_devices_that_need_one_proxy_are_counted():
    """The four with the greatest share are named."""
    lost = {f"{number}": number / 10 for number in range(1, 7)}
    proxy = {"proxy": "p", "room": "r", "devices": 6, "frames": 60, "lost_without": lost}
    row = proxy_coverage_row(proxy | {"hears_nothing": False, "adds_nothing": False}, {"6": "Cellar"})
    assert row[4] == "Cellar 60 %, 5 50 %, 4 40 %, 3 30 %, and 2 more".replace(" %", "\N{NO-BREAK SPACE}%")
    assert proxy_coverage_row(proxy | {"hears_nothing": True, "adds_nothing": True}, {})[4] == "hears nothing"


@pytest.mark.parametrize(
    ("key", "cause", "words"),
    [
        ("verified", "", "Cup: no readings in this range"),
        ("missing", "sends encrypted frames", r"Cup sends encrypted frames; 37 frames kept since 2026-.* Get its key"),
    ],
)
def test_why_a_history_is_empty(key, cause, words):
    """Of a device without its key: how many frames are kept since when, and what to do."""
    kept = {"frames": 37, "since": "2026-11-26T12:00:00Z"} if cause else None
    device = {"name": "Cup", "key": key, "cause": cause, "kept": kept, "advice": "Get its key." if cause else ""}
    assert re.match(words, no_readings_in_words(device))


@pytest.mark.parametrize(
    ("hours", "judged", "words"),
    [
        (
            8 / 3600,
            False,
            "312 frames in 8 s of listening: too early to judge, which needs a day, and 100 frames of a device",
        ),
        (168.0, True, "312 frames in 7 d of listening; 1 of 2 devices are not judged: fewer than 100 frames"),
    ],
)
def test_coverage_says_over_what_it_judges(hours, judged, words):
    """How long, how many frames, and what it does not judge; a proxy has no verdict then."""
    devices = [{"judged": True}, {"judged": False}]
    assert coverage_in_words({"hours": hours, "frames": 312, "judged": judged, "devices": devices}) == words
    proxy = {"proxy": "p", "room": "", "devices": 1, "frames": 5, "lost_without": {}, "hears_nothing": False}
    row = proxy_coverage_row(proxy | {"adds_nothing": True}, {}, judged=judged)
    assert row[4] == ("adds nothing" if judged else "too early")


@pytest.mark.parametrize(
    ("last", "due", "listed", "words"),
    [
        (10_800.0, 75_600.0, True, "read 3 h ago, next in 21 h"),
        (None, -5.0, True, "not read yet, next when it can"),
        (60.0, None, True, "read 60 s ago, no next"),
        (None, None, False, "not read yet, needs an entry"),
    ],
)
def test_when_a_device_was_and_is_read(last, due, listed, words):
    """In ``devices``, for devices that are read over a connection."""
    assert reads_in_words({"read_age": last, "read_due": due, "listed": listed}) == words


def test_one_line_says_what_to_do_about_all_devices_of_one_kind():
    """With four of their names; devices that need nothing are left out."""
    devices = [{"name": f"d{n}", "cause": "has no key", "advice": "Get it." if n else ""} for n in range(7)]
    assert advice_in_words(devices) == ["has no key (d1, d2, d3, d4 and 2 more). Get it."]


def test_where_proxies_are_shared():
    """Each with its port and clients, what they are connected to and what they lost; or why not."""
    client = {
        "name": "Home Assistant",
        "address": "192.0.2.9",
        "age": 90.0,
        "subscribed": True,
        "dropped": 0,
        "links": [],
    }
    busy = {**client, "name": "scale", "dropped": 3, "links": ["A4:C1:38:02:83:F4"]}
    proxies = [
        {
            "name": "kitchen",
            "shared": {"name": "k-shared", "port": 6100, "problem": "", "clients": [client, busy]},
        },
        {"name": "hall", "shared": {"name": "", "port": 0, "problem": "the proxy is taken", "clients": []}},
        {"name": "attic", "shared": None},
    ]
    assert list(shared_in_words(proxies)) == [
        "kitchen is shared as k-shared, port 6100, 2 clients",
        "  Home Assistant at 192.0.2.9 for 90 s",
        "  scale at 192.0.2.9 for 90 s, connected to A4:C1:38:02:83:F4, lost 3 messages: it reads too slowly",
        "hall is not shared now: the proxy is taken",
    ]
