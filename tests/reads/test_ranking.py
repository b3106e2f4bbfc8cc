"""Which proxy reads a device, and the reason."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.ranked import proxy

from proxy_listener.engine.routing import Routes
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import Heard, ProxyState
from proxy_listener.model.timing import DAY
from proxy_listener.reads.failures import FAILURE_HALF_LIFE, PROBED_AFTER, Failures
from proxy_listener.reads.ranking import (
    Situation,
    able,
    chosen,
    free,
    hearing,
    rank,
    worth_waiting,
)

MAC = 0xC47C8D6A3E7A


def heard(name, rssi, age=1.0):
    return Heard(name, name.title(), rssi, age, 0.9, 0)


def around(proxies, rssi, **more):
    facts = {"settings": DeviceSettings(MAC), "reading": (), "tried": {}, "failures": Failures(), "now": 1000.0}
    return Situation(proxies=proxies, heard=[heard(name, level) for name, level in rssi.items()], **(facts | more))


THREE = {"kitchen": -60.0, "hall": -70.0, "cellar": -88.0}


def three(**kitchen):
    return [proxy("cellar"), proxy("kitchen", **kitchen), proxy("hall")]


def reasons(candidates):
    return {candidate.proxy: candidate.reason for candidate in candidates}


def test_the_strongest_wins_and_says_so():
    """Of three that can, the strongest is chosen; the others have the difference as reason, in this order."""
    ranked = rank(around(three(), THREE))
    assert [candidate.proxy for candidate in ranked] == ["kitchen", "hall", "cellar"]
    assert reasons(ranked) == {
        "kitchen": "chosen: best of 3 that can connect",
        "hall": "10 dB behind kitchen",
        "cellar": "28 dB behind kitchen",
    }


@pytest.mark.parametrize(
    ("kitchen", "why"),
    [
        ({"active": False}, "passive: cannot connect to devices"),
        ({"active": None}, "passive: cannot connect to devices"),
        ({"state": ProxyState.TAKEN, "cause": "another client"}, "its stream is not live (taken): another client"),
        ({"state": ProxyState.UNREACHABLE}, "it is unreachable"),
        ({"state": ProxyState.SILENT}, "it is silent"),
    ],
)
def test_who_cannot_is_never_chosen(kitchen, why):
    """A passive proxy, or one whose stream is not live, is neither chosen nor waited for, even the strongest."""
    ranked = rank(around(three(**kitchen), THREE | {"kitchen": -30.0}))
    assert chosen(ranked).proxy == "hall"
    assert ranked[-1].reason == why


@pytest.mark.parametrize("kitchen", [{"slots_free": 0}, {"connecting": True}])
def test_busy_and_a_little_better_is_passed_over(kitchen):
    """A free proxy that is 10 dB weaker is chosen now."""
    ranked = rank(around(three(**kitchen), THREE))
    assert chosen(ranked).proxy == "hall"
    assert "10 dB ahead of hall" in reasons(ranked)["kitchen"]


@pytest.mark.parametrize("kitchen", [{"slots_free": 0}, {"connecting": True}])
def test_busy_and_much_better_is_waited_for(kitchen):
    """With 20 dB less nothing is chosen while patient, and the weak one afterwards."""
    weak = {"kitchen": -60.0, "hall": -80.0, "cellar": -88.0}
    ranked = rank(around(three(**kitchen), weak))
    assert chosen(ranked) is None
    assert worth_waiting(ranked)
    assert reasons(ranked)["kitchen"].endswith("; worth waiting for a short while")
    assert chosen(rank(around(three(**kitchen), weak), patient=False)).proxy == "hall"


def test_one_read_per_proxy():
    """A proxy that is used by another of our reads is busy."""
    ranked = rank(around([proxy("kitchen")], THREE, reading={"kitchen"}))
    assert chosen(ranked) is None
    assert "another read" in ranked[0].reason


def test_all_busy_and_no_patience_left():
    """Nothing is chosen, and nothing is waited for."""
    ranked = rank(around([proxy("kitchen", slots_free=0)], THREE), patient=False)
    assert chosen(ranked) is None


def test_nodes_that_are_no_proxies_are_not_listed():
    """A plug that mDNS found, or a node that was not accepted, is not among the candidates."""
    others = [proxy("plug", state=ProxyState.NOT_A_PROXY), proxy("stranger", state=ProxyState.NOT_ACCEPTED)]
    assert [candidate.proxy for candidate in rank(around([*others, proxy("hall")], THREE))] == ["hall"]


def test_who_does_not_hear_it_is_out():
    """A proxy that never heard the device, or not within three minutes, is not eligible."""
    ranked = rank(attrs.evolve(around(three(), {}), heard=[heard("hall", -50.0, 181.0)]))
    assert chosen(ranked) is None
    assert not worth_waiting(ranked)
    assert reasons(ranked)["kitchen"] == "does not hear the device"
    assert reasons(ranked)["hall"].startswith("last heard the device 181 s ago")


def test_a_device_that_we_held_ourselves_was_not_heard():
    """A connected sensor does not advertise; that time does not count against the proxies."""
    old = attrs.evolve(around(three(), {}), heard=[heard("hall", -50.0, 400.0)])
    assert chosen(rank(old)) is None
    assert chosen(rank(attrs.evolve(old, unheard=300.0))).proxy == "hall"


def test_failures_cost_and_fade():
    """A failure costs 12 dB, which makes the next room first; after half an hour 6 dB, which does not."""
    failures = Failures()
    failures.add("kitchen", MAC, 1000.0)
    first = rank(around(three(), THREE, failures=failures))
    assert chosen(first).proxy == "hall"
    assert reasons(first)["kitchen"] == "2 dB behind hall; recent failures here cost 12 dB"
    later = rank(around(three(), THREE, failures=failures, now=1000.0 + FAILURE_HALF_LIFE))
    assert chosen(later).proxy == "kitchen"


def test_failures_of_one_device_cost_others_nothing_and_a_success_forgives():
    """Failures count for one proxy and one device."""
    failures = Failures()
    failures.add("kitchen", MAC + 1, 1000.0)
    assert chosen(rank(around(three(), THREE, failures=failures))).proxy == "kitchen"
    failures.add("kitchen", MAC, 1000.0)
    failures.clear("kitchen", MAC, 1000.0)
    assert chosen(rank(around(three(), THREE, failures=failures))).proxy == "kitchen"


def test_many_failures_cost_three_walls_at_most():
    """A proxy that failed twenty times still wins over one that is 40 dB weaker."""
    failures = Failures()
    for _ in range(20):
        failures.add("kitchen", MAC, 1000.0)
    ranked = rank(around(three(), {"kitchen": -45.0, "hall": -85.0}, failures=failures))
    assert chosen(ranked).proxy == "kitchen"


def test_the_users_word_comes_first():
    """``prefer`` wins over 28 dB, ``avoid`` loses against them, ``only`` leaves no other."""
    prefer = rank(around(three(), THREE, settings=DeviceSettings(MAC, prefer=("cellar",))))
    assert chosen(prefer).reason == "chosen: preferred by the configuration"
    assert chosen(prefer).proxy == "cellar"
    avoid = rank(around(three(), THREE, settings=DeviceSettings(MAC, avoid=("kitchen", "hall"))))
    assert chosen(avoid).proxy == "cellar"
    assert reasons(avoid)["kitchen"] == "avoided by the configuration"
    only = rank(around(three(), THREE, settings=DeviceSettings(MAC, only=("hall",))))
    assert chosen(only).proxy == "hall"
    assert [candidate.eligible for candidate in only] == [True, False, False]


def test_a_preferred_one_that_is_busy_is_waited_for():
    """A preferred proxy is waited for, too."""
    busy = three(slots_free=0)
    assert chosen(rank(around(busy, THREE, settings=DeviceSettings(MAC, prefer=("kitchen",))))) is None


def test_what_was_tried_is_not_tried_again():
    """Within one read a proxy is tried once; afterwards its error is its reason."""
    ranked = rank(around(three(), THREE, tried={"kitchen": "status 133"}))
    assert chosen(ranked).proxy == "hall"
    assert reasons(ranked)["kitchen"] == "tried just now: status 133"


def test_old_firmware_tells_no_slots():
    """A proxy whose slots are unknown is eligible."""
    assert chosen(rank(around([proxy("kitchen", slots_free=None, slots_limit=None)], THREE))).proxy == "kitchen"


LEVELS = st.none() | st.sampled_from([-50.0, -65.0, -75.0, -90.0])
MANNERS = st.fixed_dictionaries(
    {"slots_free": st.sampled_from([0, 3]), "active": st.booleans(), "connecting": st.booleans()}
)


@given(st.lists(st.tuples(LEVELS, MANNERS), max_size=8), st.booleans())
def test_who_does_not_hear_it_changes_nothing(house, patient):
    """Leaving out the proxies that do not hear the device does not change the others or the choice."""
    proxies = [proxy(f"bed {number}", **manner) for number, (_, manner) in enumerate(house)]
    rssi = {f"bed {number}": level for number, (level, _) in enumerate(house) if level is not None}
    among_all = rank(around(proxies, rssi), patient=patient)
    among_near = rank(
        around(hearing({one.name: one for one in proxies}, around([], rssi).heard), rssi), patient=patient
    )
    assert among_near == [candidate for candidate in among_all if candidate.proxy in rssi]
    assert chosen(among_near) == chosen(among_all)
    assert len(among_all) == len(proxies)


@given(MANNERS, st.sampled_from(ProxyState), st.booleans())
def test_only_a_free_proxy_is_ever_chosen(manner, state, taken):
    """The only proxy that hears the device is chosen exactly if it is able and free."""
    one, reading = proxy("bed", state=state, **manner), {"bed"} if taken else set()
    ranked = rank(around([one], {"bed": -60.0}, reading=reading))
    assert (chosen(ranked) is not None) == free(one, reading)
    assert any(candidate.eligible for candidate in ranked) == able(one, DeviceSettings(MAC))


def hung(*macs, at=0.0):
    failures = Failures()
    for mac in macs:
        failures.add_hang("kitchen", mac, at)
    return failures


def test_a_hang_weighs_more_than_any_signal():
    """A read on demand goes through the weakest proxy rather than through one that hung; alone, that one is used."""
    ranked = rank(around(three(), THREE | {"kitchen": -40.0, "hall": -95.0}, failures=hung(MAC)))
    assert [candidate.proxy for candidate in ranked] == ["cellar", "hall", "kitchen"]
    assert reasons(ranked)["kitchen"] == "a read through it hung; a scheduled read tries it again"
    assert chosen(rank(around([proxy("kitchen")], THREE, failures=hung(MAC)))).proxy == "kitchen"


def test_a_hang_is_probed_by_schedule():
    """An hour after it a scheduled read tries the strongest again; one on demand does not, for a day."""
    failures = hung(MAC)
    for now, scheduled, best in (
        (PROBED_AFTER - 1, True, "hall"),
        (PROBED_AFTER, True, "kitchen"),
        (PROBED_AFTER, False, "hall"),
        (DAY, False, "kitchen"),
    ):
        ranked = rank(around(three(), THREE, failures=failures, now=now, scheduled=scheduled))
        assert chosen(ranked).proxy == best, (now, scheduled)


def test_a_distrusted_proxy_reads_nothing():
    """A proxy that sent more than any device has is no candidate for any device, and says why."""
    failures = Failures()
    failures.distrust("kitchen", "it listed too much", 1000.0)
    ranked = rank(around(three(), THREE, failures=failures, settings=DeviceSettings(MAC + 1)))
    assert chosen(ranked).proxy == "hall"
    assert reasons(ranked)["kitchen"] == "not used for reads for an hour: it listed too much"


@pytest.mark.parametrize("seconds", [10, 30, 60])
def test_a_plant_that_moved_away_from_the_best_proxy(seconds):
    """Ten to sixty seconds after the best proxy lost the plant, the one that hears it each second is chosen."""
    routes = Routes()
    for second in range(120 + seconds):
        for name, level in {"kitchen": -45, "hall": -88}.items():
            if name == "hall" or second < 120:
                routes.note(name, level, float(second), second // 5 + 1, 0)
    now = 119.0 + seconds
    around_it = [
        attrs.evolve(heard(name, route.rssi, now - route.heard), missed=routes.missed(route)) for name, route in routes
    ]
    ranked = rank(attrs.evolve(around(three(), {}), heard=around_it))
    assert chosen(ranked).proxy == "hall"
    assert "others heard it since, which costs 60 dB" in reasons(ranked)["kitchen"]
