"""Where a device is: the nearest proxy by smoothed RSSI, with hysteresis."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.engine.routing import MISSED_COST_LIMIT, Routes


def hear(routes: Routes, serial: int, now: float, levels: dict[str, int]) -> bool:
    for proxy, rssi in levels.items():
        routes.note(proxy, rssi, now, serial, 0)
    return routes.settle(now)


def test_the_first_room_is_settled_once_every_room_had_time_to_deliver():
    routes = Routes()
    assert not hear(routes, 1, 0.0, {"hall": -80})
    assert not hear(routes, 1, 0.3, {"kitchen": -60})
    assert hear(routes, 2, 2.0, {"hall": -80, "kitchen": -60})
    assert routes.nearest == "kitchen"


@given(st.integers(0, 2**32))
def test_a_sensor_on_a_shelf_between_two_rooms_never_hops(seed):
    """Two rooms of equal mean level, packets that scatter by 4 dB, for an hour at two frames a second."""
    scatter = random.Random(seed)
    routes = Routes()
    moves = 0
    for serial in range(1, 600):
        levels = {proxy: round(scatter.gauss(-70, 4)) for proxy in ("hall", "kitchen")}
        moves += hear(routes, serial, serial * 6.0, levels)
    assert moves == 1


def test_a_device_that_is_carried_follows_within_half_a_minute():
    routes = Routes()
    for serial in range(1, 60):
        hear(routes, serial, serial * 1.0, {"hall": -60, "kitchen": -85})
    assert routes.nearest == "hall"
    moved_at = next(
        serial for serial in range(60, 200) if hear(routes, serial, serial * 1.0, {"hall": -85, "kitchen": -60})
    )
    assert routes.nearest == "kitchen"
    assert moved_at - 60 <= 30


def test_a_proxy_that_stops_hearing_a_device_loses_it_to_one_that_hears_it():
    routes = Routes()
    for serial in range(1, 30):
        hear(routes, serial, serial * 2.0, {"hall": -50, "kitchen": -80})
    for serial in range(30, 175):
        hear(routes, serial, serial * 2.0, {"kitchen": -80})
    assert routes.nearest == "hall"
    for serial in range(175, 185):
        hear(routes, serial, serial * 2.0, {"kitchen": -80})
    assert routes.nearest == "kitchen"


def test_a_proxy_that_returns_gets_its_devices_back():
    """Away for ten minutes, it lost the device to a room that is 3 dB weaker: half a minute after its return the device
    is there again. The other room then needs a lead as before.
    """
    routes = Routes()
    for serial in range(1, 60):
        hear(routes, serial, serial * 2.0, {"hall": -60, "kitchen": -63})
    for serial in range(60, 360):
        hear(routes, serial, serial * 2.0, {"kitchen": -63})
    assert routes.nearest == "kitchen"
    moves = [serial for serial in range(360, 400) if hear(routes, serial, serial * 2.0, {"hall": -60, "kitchen": -63})]
    assert (routes.nearest, len(moves)) == ("hall", 1)
    assert (moves[0] - 360) * 2.0 <= 30.0
    assert not any(hear(routes, serial, serial * 2.0, {"hall": -63, "kitchen": -60}) for serial in range(400, 600))


def test_a_silent_device_keeps_its_room():
    """A motion sensor: some frames in a minute, then an hour of nothing; the first copy comes through any proxy."""
    routes = Routes()
    serial, now, moves = 0, 0.0, 0
    for evening in range(50):
        for _ in range(4):
            serial, now = serial + 1, now + 10.0
            first = ("hall", "attic")[evening % 2]
            routes.note(first, -84, now, serial, 0)
            moves += routes.settle(now)
            routes.note("kitchen", -62, now + 0.2, serial, 0)
        now += 3600.0
    assert (routes.nearest, moves) == ("kitchen", 1)


def test_a_stalled_proxy_keeps_its_devices():
    """Four minutes without a word from the nearest proxy, while a room 3 dB weaker goes on hearing."""
    routes = Routes()
    for serial in range(1, 60):
        hear(routes, serial, serial * 2.0, {"hall": -60, "kitchen": -63})
    for serial in range(60, 180):
        assert not hear(routes, serial, serial * 2.0, {"kitchen": -63})
    assert routes.nearest == "hall"


def test_a_device_that_speaks_every_ten_minutes_does_not_hop_to_the_room_that_delivers_first():
    routes = Routes()
    for serial in range(1, 20):
        now = serial * 600.0
        routes.note("hall", -80, now, serial, 0)
        routes.settle(now)
        routes.note("kitchen", -60, now + 0.2, serial, 0)
    routes.settle(now + 0.2)
    assert routes.nearest == "kitchen"
    moves = 0
    for serial in range(20, 40):
        now = serial * 600.0
        routes.note("hall", -80, now, serial, 0)
        moves += routes.settle(now)
        routes.note("kitchen", -60, now + 0.2, serial, 0)
    assert moves == 0


def test_frames_are_counted_per_proxy_and_those_that_it_heard_alone():
    routes = Routes()
    hear(routes, 1, 0.0, {"hall": -80})
    hear(routes, 2, 1.0, {"hall": -80, "kitchen": -60})
    hear(routes, 2, 1.1, {"kitchen": -60})
    hear(routes, 3, 2.0, {"kitchen": -60})
    counted = {row.proxy: row[1:] for row in routes.counted()}
    assert counted == {"hall": (2, 1, 3), "kitchen": (2, 1, 3)}
    hear(routes, 4, 3.0, {"kitchen": -60})
    assert {row.proxy: row[1:] for row in routes.counted()} == {"hall": (0, 0, 1), "kitchen": (1, 1, 1)}
    assert routes.counted() == []


def test_a_frame_that_was_heard_alone_when_it_was_counted_may_be_shared_later():
    """Its other copy comes after the count: the next one takes it back."""
    routes = Routes()
    hear(routes, 1, 0.0, {"hall": -80})
    assert [tuple(row) for row in routes.counted()] == [("hall", 1, 1, 1)]
    hear(routes, 1, 0.5, {"kitchen": -60})
    assert [tuple(row) for row in routes.counted()] == [("hall", 0, -1, 0), ("kitchen", 1, 0, 0)]


def test_an_unknown_rssi_moves_no_average_and_makes_no_route():
    routes = Routes()
    routes.note("hall", 0, 0.0, 1, 0)
    assert routes.by_proxy == {}
    routes.note("hall", -70, 1.0, 1, 0)
    routes.note("hall", 0, 2.0, 1, 0)
    assert routes.by_proxy["hall"].rssi == -70
    assert routes.by_proxy["hall"].heard == 2.0


def missed(routes, proxy):
    return routes.missed(routes.by_proxy[proxy])


@pytest.mark.parametrize("pace", [1.0, 10.0, 300.0])
@pytest.mark.parametrize("copies", [1, 20])
def test_a_proxy_that_misses_what_others_hear_is_behind_any_signal(pace, copies):
    """Ten packets after the strong proxy lost the device it costs 60 dB, whatever the pace, also of repeated frames."""
    routes = Routes()
    for packet in range(60):
        hear(routes, packet // copies + 1, packet * pace, {"near": -50, "far": -85})
    assert missed(routes, "near") == 0.0
    for packet in range(60, 70):
        hear(routes, packet // copies + 1, packet * pace, {"far": -85})
    assert missed(routes, "near") == MISSED_COST_LIMIT > -50 + 85
    assert missed(routes, "far") == 0.0
    hear(routes, 100, 100 * pace, {"near": -70, "far": -85})
    assert missed(routes, "near") == 0.0


def test_silence_of_the_device_costs_nothing():
    """However long the device is silent, no proxy is behind; and a burst within a second is one beat."""
    routes = Routes()
    for packet in range(30):
        hear(routes, packet + 1, packet * 1.0, {"near": -50, "far": -85})
    for packet in range(20):
        hear(routes, packet + 31, 10_000.0 + packet * 0.01, {"far": -85})
    assert missed(routes, "near") == 0.0


def test_a_proxy_that_hears_one_packet_in_five():
    """A few missed packets cost it little, because that is how it hears the device; a hundred cost it everything."""
    routes = Routes()
    for packet in range(200):
        levels = {"near": -60, "far": -92} if packet % 5 == 0 else {"near": -60}
        hear(routes, packet + 1, float(packet), levels)
    assert 0.0 < missed(routes, "far") < 15.0
    for packet in range(200, 300):
        hear(routes, packet + 1, float(packet), {"near": -60})
    assert missed(routes, "far") == MISSED_COST_LIMIT
