"""What one simulated device sends."""

from itertools import islice, pairwise, takewhile

import pytest

from proxy_listener.model.secret import Secret
from proxy_listener.simulator.devices import SHORTEST_WAIT, Sender, SimulatedDevice
from proxy_listener.simulator.ground_truth import GroundTruth
from proxy_listener.simulator.profiles import PROFILES

KEY = Secret("b9ea895fac7eea6d30532432a516f3a3")


def device(name):
    profile = PROFILES[name]
    return SimulatedDevice(profile.oui << 24 | 1, profile, name, (1.0, 2.0), KEY if profile.encrypted else None)


def packets(name, seconds, pace=60.0, seed="1", **more):
    sender = Sender(device(name), seed, GroundTruth())
    return list(takewhile(lambda packet: packet.time < seconds, sender.packets(pace, **more)))


def frames(sent):
    return list({id(packet.frame): packet.frame for packet in sent}.values())


@pytest.mark.parametrize("name", PROFILES)
def test_a_frame_is_sent_in_copies(name):
    """All copies of a frame are equal and in order of time; none is longer than an advertising payload."""
    sent = packets(name, 120)
    profile = PROFILES[name]
    assert [packet.time for packet in sent] == sorted(packet.time for packet in sent)
    first = [packet for packet in sent if packet.frame is sent[0].frame]
    assert len(first) == profile.copies
    assert {packet.data for packet in first} == {first[0].frame.data}
    assert max(len(packet.data) for packet in sent) <= 31


@pytest.mark.parametrize("name", ["climate", "round climate", "door"])
def test_counters_count_up(name):
    """By one each frame: all 32 bits of an encrypted frame with content, 8 bits otherwise."""
    counters = [(frame.counter, bool(frame.values)) for frame in islice(frames(packets(name, 400)), 50)]
    assert all((after - before) % 256 == 1 for (before, _), (after, _) in pairwise(counters))
    assert all((counter > 255) is (PROFILES[name].encrypted and content) for counter, content in counters)


def test_a_seed_and_a_mac_decide_what_is_sent():
    """The same bytes at the same times again; others with another seed."""
    first, again, other = (
        [(packet.time, packet.data) for packet in packets("climate", 60, seed=seed)] for seed in ("1", "1", "2")
    )
    assert first == again
    assert first != other


def test_no_device_sends_faster_than_the_shortest_wait():
    """At any pace, so that an 8-bit counter does not wrap faster than a real one."""
    starts = [frame.time for frame in frames(packets("round climate", 100, pace=10.0**6))]
    assert len(starts) > 40
    assert min(after - before for before, after in pairwise(starts)) > SHORTEST_WAIT - 1e-9


def test_new_batteries_start_the_counter_again():
    """Silence while there are none, then the given counter; the ground truth has the restart."""
    truth = GroundTruth()
    sender = Sender(device("climate"), "1", truth)
    sent = list(takewhile(lambda p: p.time < 400, sender.packets(60.0, restarts=((100.0, 150.0, 5),))))
    before = [packet for packet in sent if packet.frame.epoch == 0]
    after = [packet for packet in sent if packet.frame.epoch == 1]
    assert after[0].time - before[-1].time > 140.0
    assert after[0].frame.counter == 5
    ((mac, time, counter),) = truth.restarts
    assert (mac, counter) == (sender.device.mac, 5)
    assert time <= after[0].time
