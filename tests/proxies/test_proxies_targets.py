from proxy_listener.proxies.discovery import Sighting
from proxy_listener.proxies.targets import LIMIT, Targets
from proxy_listener.settings import ProxySettings


def sighting(name, *addresses, port=6053):
    return Sighting(name, addresses, port)


def test_static_host_needs_no_mdns():
    targets = Targets(ProxySettings("kitchen", host="192.0.2.10", port=6054))
    assert targets.next().addresses == ("192.0.2.10",)
    assert targets.shown == "192.0.2.10:6054"


def test_nothing_to_try():
    assert not Targets(ProxySettings("kitchen"))


def test_move_is_told():
    targets = Targets(None)
    assert not targets.add(sighting("kitchen", "10.0.0.1"))
    assert not targets.add(sighting("kitchen", "10.0.0.1"))
    assert targets.add(sighting("kitchen", "10.0.0.2", "10.0.0.1"))
    assert targets.next().addresses == ("10.0.0.2", "10.0.0.1")


def test_what_worked_is_tried_first_and_the_others_have_their_turn():
    """Somebody announces our node's MAC under another name: the true one is tried first again."""
    targets = Targets(None)
    targets.add(sighting("rogue", "10.0.0.66"))
    targets.add(sighting("kitchen", "10.0.0.1"))
    assert targets.next().sighting.name == "rogue"
    targets.turn()
    good = targets.next()
    assert good.sighting.name == "kitchen"
    targets.good(good)
    targets.turn()
    assert targets.next().sighting.name == "kitchen"
    targets.turn()
    assert targets.next().sighting.name == "rogue"


def test_few_are_kept():
    targets = Targets(None)
    for number in range(100):
        targets.add(sighting(f"rogue{number}", "10.0.0.66"))
    seen = set()
    for _ in range(100):
        seen.add(targets.next().sighting.name)
        targets.turn()
    assert len(seen) == LIMIT


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
