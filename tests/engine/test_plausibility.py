"""Implausible jumps, two senders under one address."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.engine.plausibility import (
    CONFLICT_AGAIN,
    LIMITS,
    JumpFilter,
    SentTwice,
    TwoSenders,
)
from proxy_listener.model.quantities import QUANTITIES


def jumps(*points: tuple[float, float], name: str = "temperature") -> list[bool]:
    """Whether each value, ``(seconds, value)``, is held back."""
    values = JumpFilter()
    return [bool(values.jumped({name: value}, heard)) for heard, value in points]


@pytest.mark.parametrize(
    ("points", "jumped"),
    [
        ([(0, 21.5), (2, 21.6), (4, 22.0)], [False, False, False]),
        ([(0, 21.5), (2, 85.3), (4, 21.6)], [False, True, False]),
        ([(0, 21.5), (2, 85.3), (4, 84.9), (6, 85.0)], [False, True, False, False]),
        ([(0, 21.5), (2, 85.3), (4, -30.0), (6, 21.6)], [False, True, True, False]),
        ([(0, 21.5), (2, 85.3), (4, 21.6), (6, 85.3)], [False, True, False, True]),
        ([(0, -18.0), (600, 21.5)], [False, False]),
    ],
    ids=["a room", "one damaged frame", "a second agrees", "two that disagree", "agreement ends", "time allows it"],
)
def test_a_jump_is_ignored_until_a_second_value_confirms_it(points, jumped):
    """Damaged frames with a good checksum exist; two that agree do not."""
    assert jumps(*points) == jumped


def test_quantities_without_inertia_may_jump():
    """A lamp is switched, a plant watered, a battery replaced."""
    for name, low, high in [("illuminance", 0, 90_000), ("moisture", 3, 80), ("battery", 4, 100)]:
        assert jumps((0, low), (1, high), name=name) == [False, False]


def test_each_limit_is_narrower_than_its_quantitys_range():
    """A limit as wide as the range would hold nothing back."""
    for name, limit in LIMITS.items():
        assert 0 < limit.jump < QUANTITIES[name].high - QUANTITIES[name].low


@given(st.lists(st.floats(-60, 130), min_size=1, max_size=20))
def test_a_value_that_comes_twice_is_believed_the_second_time(values):
    """Whatever came before it."""
    doubled = [(float(at), value) for at, value in enumerate(value for value in values for _ in range(2))]
    assert not any(jumps(*doubled)[1::2])


def reports(sent: list[tuple[float, int]]) -> int:
    """How often two senders are reported for these ``(seconds, counter)``."""
    senders = TwoSenders()
    return sum(senders.detected(counter % 256, heard) for heard, counter in sent)


def test_two_alternating_counters_are_reported_once_an_hour():
    """A device at 10, 11, 12 and somebody else at 150, 151, 152."""
    pairs = [(2.0 * n, 10 + n if n % 2 else 150 + n) for n in range(1800)]
    assert reports(pairs) == 1
    assert reports(pairs + [(heard + CONFLICT_AGAIN, counter) for heard, counter in pairs[:40]]) == 2


@pytest.mark.parametrize("loss", [0.0, 0.4, 0.8])
def test_one_sender_is_never_reported(loss):
    """Its counter wraps, frames are lost, and rooms deliver out of order."""
    chance = random.Random(1)
    sent = [(2.0 * n + chance.random() * 8, n) for n in range(20_000) if chance.random() >= loss]
    assert reports(sorted(sent)) == 0


def test_a_restarted_device_is_not_a_second_sender():
    """It left its old sequence and does not come back to it."""
    assert reports([(2.0 * n, n if n < 200 else 77 + n) for n in range(400)]) == 0


def test_the_backlog_of_a_stalled_proxy_is_not_a_second_sender():
    """Four minutes of frames come in one burst, alternating with the live ones."""
    live = [(300.0 + n * 0.1, 150 + n // 2) for n in range(40)]
    backlog = [(300.05 + n * 0.1, 30 + n) for n in range(40)]
    assert reports(sorted([(2.0 * n, n) for n in range(30)] + live + backlog)) == 0


def test_a_value_that_a_model_also_sends_wrongly_counts_when_it_is_sent_twice():
    """CGPR1 sends an hourly counter between its percentages; the battery that is believed is believed again at once."""
    sent_twice, live, found = SentTwice(), {}, []
    for battery in (100, 100, 37, 100, 99, 38, 99, 99, 98, 98):
        values = sent_twice.believed({"battery": battery, "motion": True}, frozenset({"battery"}), live)
        assert values["motion"] is True
        found.append(values.get("battery"))
        if "battery" in values:
            live["battery"] = (battery, 0.0)
    assert found == [None, 100, None, 100, None, None, None, 99, None, 98]
