"""Two senders under one address."""

import random

import pytest

from proxy_listener.engine.rivals import AGAIN, Rivals


def told(sent: list[tuple[float, int]]) -> int:
    rivals = Rivals()
    return sum(rivals.show(counter % 256, heard) for heard, counter in sent)


def test_two_counters_in_turns_are_told_once_an_hour():
    pairs = [(2.0 * n, 10 + n if n % 2 else 150 + n) for n in range(1800)]
    assert told(pairs) == 1
    assert told(pairs + [(heard + AGAIN, counter) for heard, counter in pairs[:40]]) == 2


@pytest.mark.parametrize("loss", [0.0, 0.4, 0.8])
def test_a_device_alone_is_never_told_of(loss):
    """It wraps, frames are lost, and rooms deliver out of order."""
    chance = random.Random(1)
    sent = [(2.0 * n + chance.random() * 8, n) for n in range(20_000) if chance.random() >= loss]
    assert told(sorted(sent)) == 0


def test_a_restarted_device_left_its_old_sequence_for_good():
    assert told([(2.0 * n, n if n < 200 else 77 + n) for n in range(400)]) == 0


def test_a_stalled_proxys_backlog_between_live_frames_is_not_told_of():
    """Four minutes of frames come in one burst, in turns with the live ones."""
    live = [(300.0 + n * 0.1, 150 + n // 2) for n in range(40)]
    backlog = [(300.05 + n * 0.1, 30 + n) for n in range(40)]
    assert told(sorted([(2.0 * n, n) for n in range(30)] + live + backlog)) == 0
