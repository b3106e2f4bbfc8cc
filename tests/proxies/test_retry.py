from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.model.settings import ProxySettings
from proxy_listener.proxies.discovery import Sighting
from proxy_listener.proxies.retry import LIMIT, RetryTimer, Targets
from proxy_listener.proxies.timing import ProxyTiming

TIMING = ProxyTiming()


def test_first_attempt_is_at_once():
    assert RetryTimer(TIMING).due() <= 0.0


def test_announcements_do_not_shorten_the_minimum():
    """After an attempt that reached the node, 5 s pass whatever mDNS says."""
    retry = RetryTimer(TIMING)
    retry.started(100.0)
    retry.reached(100.1)
    for _ in range(1000):
        retry.announced()
    assert retry.due() == 105.1


def test_key_error_bars_for_a_minute():
    retry = RetryTimer(TIMING)
    retry.started(100.0)
    retry.reached(100.1)
    retry.bar(100.2, TIMING.auth)
    retry.announced()
    assert retry.due() == 160.2


def test_announcement_ends_the_wait_for_an_unanswered_dial():
    """The node boots just after an unanswered attempt: it is tried when it announces itself."""
    retry = RetryTimer(TIMING)
    retry.started(100.0)
    retry.wait(100.0, 300.0)
    retry.announced()
    assert retry.due() == 101.0


def test_announced_session_loss_reconnects_at_once():
    retry = RetryTimer(TIMING)
    retry.started(100.0)
    retry.reached(100.1)
    retry.wait(1000.0, 5.0)
    assert retry.due() == 1005.0
    retry.announced()
    assert retry.due() <= 1000.0


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 20.0)), max_size=60))
def test_attempts_are_rare_whatever_is_announced(history):
    """However announcements fall: attempts that reach the node are 5 s apart, others at most two in any 5 s."""
    retry, now, reached, tried = RetryTimer(TIMING), 0.0, [], []
    for answers, pause in history:
        retry.announced()
        now = max(now + pause, retry.due())
        retry.started(now)
        tried.append(now)
        if answers:
            retry.reached(now)
            reached.append(now)
    assert all(b - a >= TIMING.spacing - 1e-9 for a, b in pairwise(reached))
    assert all(c - a >= TIMING.spacing - 1e-9 for a, c in zip(tried, tried[2:], strict=False))


def sighting(name, *addresses, port=6053):
    return Sighting(name, addresses, port)


def test_static_host_needs_no_mdns():
    targets = Targets(ProxySettings("kitchen", host="192.0.2.10", port=6054))
    assert targets.next().addresses == ("192.0.2.10",)
    assert targets.shown == "192.0.2.10:6054"


def test_nothing_to_try():
    assert not Targets(ProxySettings("kitchen"))


def test_move_is_reported():
    targets = Targets(None)
    assert not targets.add(sighting("kitchen", "10.0.0.1"))
    assert not targets.add(sighting("kitchen", "10.0.0.1"))
    assert targets.add(sighting("kitchen", "10.0.0.2", "10.0.0.1"))
    assert targets.next().addresses == ("10.0.0.2", "10.0.0.1")


def test_what_worked_is_tried_first_and_then_the_others():
    """Another node announces our node's MAC under another name: the real one is tried first again."""
    targets = Targets(None)
    targets.add(sighting("rogue", "10.0.0.66"))
    targets.add(sighting("kitchen", "10.0.0.1"))
    assert targets.next().sighting.name == "rogue"
    targets.advance()
    good = targets.next()
    assert good.sighting.name == "kitchen"
    targets.good(good)
    targets.advance()
    assert targets.next().sighting.name == "kitchen"
    targets.advance()
    assert targets.next().sighting.name == "rogue"


def test_few_are_kept():
    targets = Targets(None)
    for number in range(100):
        targets.add(sighting(f"rogue{number}", "10.0.0.66"))
    seen = set()
    for _ in range(100):
        seen.add(targets.next().sighting.name)
        targets.advance()
    assert len(seen) == LIMIT


def test_the_entrys_own_name_always_has_a_place():
    targets = Targets(ProxySettings("kitchen"))
    for number in range(LIMIT):
        targets.add(sighting(f"rogue{number}", "10.0.0.66"))
    targets.add(sighting("kitchen", "10.0.0.1"))
    seen = set()
    for _ in range(LIMIT):
        seen.add(targets.next().sighting.name)
        targets.advance()
    assert "kitchen" in seen


def test_where_it_proved_itself_is_tried_whatever_is_announced():
    """Our node's name is announced at another port before every attempt."""
    targets = Targets(None)
    targets.add(sighting("kitchen", "10.0.0.1"))
    targets.good(targets.next())
    targets.advance()
    tried = []
    for number in range(8):
        targets.add(sighting("kitchen", "10.0.0.66", port=7000 + number))
        tried.append(targets.next().addresses[0])
        targets.advance()
    assert tried.count("10.0.0.1") >= 3


def test_each_of_several_addresses_is_tried_first_in_some_round():
    """Addresses of the node and of its clone are both in mDNS's cache."""
    targets = Targets(None)
    targets.add(sighting("kitchen", "10.0.0.66", "10.0.0.1"))
    assert targets.next().addresses[0] == "10.0.0.66"
    targets.advance()
    assert targets.next().addresses == ("10.0.0.1", "10.0.0.66")


def test_last_address_outlives_its_goodbye():
    targets = Targets(None)
    targets.add(sighting("kitchen", "10.0.0.1"))
    targets.next()
    targets.remove("kitchen")
    assert targets
    assert targets.next().addresses == ("10.0.0.1",)


def test_ipv6_is_shown_in_brackets():
    targets = Targets(None)
    targets.add(sighting("kitchen", "fe80::1%2"))
    targets.next()
    assert targets.shown == "[fe80::1%2]:6053"
