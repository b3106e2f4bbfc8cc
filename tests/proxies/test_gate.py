from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.proxies.gate import Gate
from proxy_listener.proxies.timing import Timing

TIMING = Timing()


def test_first_attempt_is_at_once():
    assert Gate(TIMING).opens() <= 0.0


def test_announcements_do_not_lower_the_floor():
    """After an attempt that reached the node, 5 s pass whatever mDNS says."""
    gate = Gate(TIMING)
    gate.begin(100.0)
    gate.reached(100.1)
    for _ in range(1000):
        gate.announce()
    assert gate.opens() == 105.1


def test_key_error_bars_for_a_minute():
    gate = Gate(TIMING)
    gate.begin(100.0)
    gate.reached(100.1)
    gate.bar(100.2, TIMING.auth)
    gate.announce()
    assert gate.opens() == 160.2


def test_announcement_ends_the_wait_for_an_unanswered_dial():
    """The node boots a moment after an attempt that nobody answered: it is called when it announces itself."""
    gate = Gate(TIMING)
    gate.begin(100.0)
    gate.wait(100.0, 300.0)
    gate.announce()
    assert gate.opens() == 101.0


def test_announced_session_loss_reconnects_at_once():
    gate = Gate(TIMING)
    gate.begin(100.0)
    gate.reached(100.1)
    gate.wait(1000.0, 5.0)
    assert gate.opens() == 1005.0
    gate.announce()
    assert gate.opens() <= 1000.0


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 20.0)), max_size=60))
def test_attempts_are_rare_whatever_is_announced(history):
    """However announcements fall: attempts that reach the node are 5 s apart, others at most two in any 5 s."""
    gate, now, reached, tried = Gate(TIMING), 0.0, [], []
    for answers, pause in history:
        gate.announce()
        now = max(now + pause, gate.opens())
        gate.begin(now)
        tried.append(now)
        if answers:
            gate.reached(now)
            reached.append(now)
    assert all(b - a >= TIMING.spacing - 1e-9 for a, b in pairwise(reached))
    assert all(c - a >= TIMING.spacing - 1e-9 for a, c in zip(tried, tried[2:], strict=False))
