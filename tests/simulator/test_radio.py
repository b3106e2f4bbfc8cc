"""Reception in the simulated rooms."""

from statistics import mean

from hypothesis import given
from hypothesis import strategies as st

from proxy_listener.simulator.radio import AT_ONE_METRE, FLOOR, PER_DECADE, PER_WALL, mean_rssi, receive
from proxy_listener.simulator.seeded_random import random_for

coordinates = st.floats(-50, 50)


def test_rssi_follows_distance_and_walls():
    """-55 dBm at one metre; at ten metres 28 dB less, and 5 dB for each of two walls."""
    assert mean_rssi((0.0, 0.0), (1.0, 0.0)) == AT_ONE_METRE
    assert mean_rssi((0.0, 0.0), (10.0, 0.0)) == AT_ONE_METRE - PER_DECADE - 2 * PER_WALL


@given(st.tuples(coordinates, coordinates), st.tuples(coordinates, coordinates), st.floats(1.0, 5.0))
def test_farther_is_never_louder(a, b, factor):
    """Moving the receiver away along the line does not raise the RSSI."""
    farther = tuple(x + (y - x) * factor for x, y in zip(a, b, strict=True))
    assert mean_rssi(a, farther) <= mean_rssi(a, b) + 1e-9


def test_packets_are_lost_by_share_and_below_the_floor():
    """Near by, the given share is lost and the RSSI scatters about its mean; below the floor nothing arrives."""
    chance = random_for("radio")
    near = [receive(chance, -60.0, 0.25) for _ in range(4_000)]
    heard = [rssi for rssi in near if rssi is not None]
    assert 0.72 < len(heard) / len(near) < 0.78
    assert abs(mean(heard) + 60.0) < 0.5
    assert min(heard) >= FLOOR
    assert all(receive(chance, -130.0, 0.0) is None for _ in range(100))


def test_the_fringe_loses_half():
    """Within 8 dB of the floor about half of the packets are lost."""
    chance = random_for("fringe")
    heard = sum(receive(chance, FLOOR + 5.0, 0.0) is not None for _ in range(4_000))
    assert 0.4 < heard / 4_000 < 0.65
