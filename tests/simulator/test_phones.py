"""Senders that are none of the house's devices."""

from itertools import islice, takewhile

import pytest

from proxy_listener.formats import find_ours
from proxy_listener.model.advertisement import RANDOM
from proxy_listener.simulator.phones import phone
from proxy_listener.simulator.seeded_random import random_for


@pytest.mark.parametrize("seed", range(20))
def test_nothing_a_phone_sends_is_of_our_formats(seed):
    """No payload of 31 bytes or less passes the prefilter of the formats, also across changes of address."""
    for packet in islice(phone(random_for("phone", seed), (0.0, 0.0), 1.0, rotation=2.0), 200):
        assert find_ours(packet.data) is None
        assert len(packet.data) <= 31
        assert packet.frame is None


def test_addresses_are_resolvable_private_and_change():
    """The two upper bits are 01, and an address is kept for the rotation's time."""
    packets = list(takewhile(lambda packet: packet.time < 1_000, phone(random_for("x"), (0.0, 0.0), 1.0, 100.0)))
    addresses = list(dict.fromkeys(packet.address for packet in packets))
    assert 9 <= len(addresses) <= 12
    assert {address >> 46 for address in addresses} == {1}
    assert {packet.address_type for packet in packets} == {RANDOM}
    assert [packet.time for packet in packets] == sorted(packet.time for packet in packets)
