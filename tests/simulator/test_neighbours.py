"""The simulated devices that are not in MiBeacon: what they send is what the formats read."""

from itertools import islice

import pytest
from support.decoding import decode, read

from proxy_listener.formats import FORMATS
from proxy_listener.model.secret import Secret
from proxy_listener.simulator.devices import Sender, SimulatedDevice
from proxy_listener.simulator.generate import generate_devices, generate_rooms
from proxy_listener.simulator.ground_truth import GroundTruth
from proxy_listener.simulator.neighbours import NEIGHBOURS

KEY = Secret("b9ea895fac7eea6d30532432a516f3a3")


@pytest.mark.parametrize("profile", NEIGHBOURS, ids=lambda profile: profile.name)
def test_each_frame_says_what_the_truth_says(profile):
    """Exactly its values, under the device's address, with the counter that a reading must have."""
    device = SimulatedDevice(profile.oui << 24 | 0xAABBCC, profile, "x", (0.0, 0.0), KEY if profile.encrypted else None)
    sender = Sender(device, "1", GroundTruth())
    sent = [sender.send(float(number))[0] for number in range(50)]
    assert len({frame.data for frame in sent}) == 50
    for frame in sent:
        _, found = read(frame.data, device.mac, device.key and device.key.hex())
        assert found.values == frame.values
        payload = frame.data[7 : 7 + frame.data[3] - 3]
        assert FORMATS[profile.uuid].parse(payload, device.mac).counter == frame.counter


def test_only_its_key_opens_the_pot():
    """Its frames are encrypted."""
    pot = next(profile for profile in NEIGHBOURS if profile.encrypted)
    device = SimulatedDevice(pot.oui << 24 | 1, pot, "x", (0.0, 0.0), KEY)
    frame, _ = Sender(device, "1", GroundTruth()).send(0.0)
    payload = frame.data[7 : 7 + frame.data[3] - 3]
    assert decode(pot.uuid, payload, device.mac) is None
    assert decode(pot.uuid, payload, device.mac, "ab" * 16) is None


def test_the_house_of_the_demo_has_each_of_them():
    """A new user sees them without an option; the twelve before them stay what they were."""
    rooms = generate_rooms(4, 0.25)
    devices = generate_devices("1", 15, rooms)
    assert {device.profile for device in islice(devices, 12, 15)} == set(NEIGHBOURS)
    assert generate_devices("1", 12, rooms) == devices[:12]
