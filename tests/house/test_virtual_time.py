"""A house by virtual time."""

import itertools

import pytest
from support.attackers import forgeries, replays
from support.decoding import decode
from support.virtual_time import Network, in_virtual_time

from proxy_listener.formats import FORMATS
from proxy_listener.formats.bindkey import Bindkey
from proxy_listener.model.advertisement import RANDOM, mac_text, payloads
from proxy_listener.simulator.ground_truth import Origin
from proxy_listener.simulator.house import House

TROUBLE = {"network": Network(stalls=20), "attackers": (replays(1_200), forgeries(1_200)), "restarts": 4}


def evening(seed=1, seconds=400, **more):
    return in_virtual_time(House(seed), seconds, **more)


def test_the_same_seed_is_the_same_evening():
    """Byte for byte, in the same order; another seed is another one."""
    first, again, other = (list(itertools.islice(evening(seed, **TROUBLE), 5_000)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_arrival_is_in_order_and_stalls_make_it_late():
    """``heard`` never goes back; with stalls some copies come minutes after others of their frame."""
    calm, stalled = evening(), evening(seconds=1_200, network=Network(stalls=20))
    for house in (calm, stalled):
        last = 0.0
        for advertisement in house:
            assert advertisement.heard >= last
            last = advertisement.heard
    delays = [frame.first_heard - frame.time for frame in calm.truth.expected()]
    assert 0 <= max(delays) < 10
    assert last > 1_000 + 1_200 + 20


def test_most_traffic_is_foreign():
    """About 70 % of what arrives is of none of the house's devices, from addresses that change."""
    house = House(3)
    own = {device.mac for device in [*house.devices, *house.neighbours]}
    heard = list(in_virtual_time(house, 600))
    foreign = [advertisement for advertisement in heard if advertisement.address not in own]
    assert 0.6 < len(foreign) / len(heard) < 0.8
    assert all(advertisement.address_type == RANDOM for advertisement in foreign)
    assert len({advertisement.address for advertisement in foreign}) > 100
    assert not any(uuid == 0xFE95 for advertisement in foreign for uuid, _ in payloads(advertisement.data))


def test_every_heard_frame_decodes_to_what_the_truth_says():
    """With the device's key, each genuine frame gives the values, events and counter that were sent."""
    house = House(5, devices=24)
    devices = {device.mac: device for device in house.devices}
    heard = in_virtual_time(house, 900, restarts=3)
    assert sum(1 for _ in heard)
    checked = set()
    for frame in heard.truth.expected():
        device = devices.get(frame.mac)
        if device is None:
            continue
        decoded, counter = said(device, frame.data)
        assert counter == frame.counter
        assert decoded.values.items() >= dict(frame.values).items(), mac_text(frame.mac)
        assert tuple(decoded.events) == frame.events
        checked.add(device.model)
    assert checked == {device.model for device in house.devices}


def said(device, data):
    """What a frame says, and its counter."""
    ((uuid, payload),) = payloads(data)
    key = Bindkey(device.bindkey) if device.bindkey else None
    return decode(uuid, payload, device.mac, key)[1], FORMATS[uuid].parse(payload, None).counter


def test_attacks_and_restarts_are_in_the_truth():
    """Replays name what they copy and came later; forgeries verify under no key; restarts begin a new epoch."""
    house = House(2)
    devices = {device.mac: device for device in house.devices}
    heard = in_virtual_time(house, 900, **TROUBLE)
    assert sum(1 for _ in heard)
    replays = [frame for frame in heard.truth.frames if frame.origin is Origin.REPLAY]
    forged = [frame for frame in heard.truth.frames if frame.origin is Origin.FORGED]
    assert len(replays) > 100
    assert len(forged) > 100
    assert all(frame.of.origin is Origin.GENUINE and frame.of.time < frame.time for frame in replays)
    for frame in forged:
        ((uuid, payload),) = payloads(frame.data)
        parsed = FORMATS[uuid].parse(payload, None)
        if parsed.scheme == "ccm" and frame.mac in devices:
            assert FORMATS[uuid].open(parsed, payload, frame.mac, Bindkey(devices[frame.mac].bindkey)) is None
    assert len(heard.truth.restarts) == 4
    for mac, time, counter in heard.truth.restarts:
        after = [f for f in heard.truth.frames if f.mac == mac and f.epoch == 1 and f.origin is Origin.GENUINE]
        before = [f for f in heard.truth.frames if f.mac == mac and f.epoch == 0 and f.origin is Origin.GENUINE]
        assert after[0].time - before[-1].time > 120
        assert after[0].time >= time
        if after[0].counter is not None:
            assert (after[0].counter - counter) % 256 in {0, 1}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_counters_wrap_their_eight_bits(seed):
    """Within ten minutes the low byte of the counter wraps in every device that sends often."""
    heard = in_virtual_time(House(seed), 600)
    assert sum(1 for _ in heard)
    wrapped = {frame.mac for frame in heard.truth.frames if frame.counter is not None and frame.counter & 0xFF == 0}
    assert len(wrapped) >= 6


def test_frames_that_no_room_hears_are_in_the_ground_truth():
    """If every room loses nearly all packets, the ground truth lists the frames that none received."""
    house = House(4, rooms=2, loss=0.97)
    heard = in_virtual_time(house, 300)
    assert sum(1 for _ in heard)
    unheard = [frame for frame in heard.truth.frames if frame.has_content and not frame.heard]
    assert unheard
    assert all(not frame.heard and frame.copies == 0 for frame in unheard)
    assert len(list(heard.truth.expected())) + len(unheard) == sum(frame.has_content for frame in heard.truth.frames)
