"""The verb ``admit``, over a real control socket."""

import json

import attrs
import pytest
from support.control_service import ACTIONS, BEDROOM, HOUSE, running_service

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.status import Newcomer

NEW = 0xE4AAEC755F23
WAITING = Newcomer(NEW, "MCCGQ02HL", True, "hall-proxy", "Hall", -71, 2, 40.0, 3.0, "heard too briefly so far")


@pytest.fixture
def house(tmp_path):
    """A service with one newcomer: its state directory, and the list of what was admitted."""
    admitted = []

    def admit(mac):
        if mac == 1:
            raise ProxyListenerError("only listed devices are admitted")
        admitted.append(mac)

    def devices():
        return [BEDROOM, *(attrs.evolve(BEDROOM, mac=mac, heard_age=None, listed=False) for mac in admitted)]

    actions = attrs.evolve(ACTIONS, newcomers=lambda: [WAITING], admit=admit)
    with running_service(tmp_path, actions, view=attrs.evolve(HOUSE, devices=devices)):
        yield tmp_path, admitted


def test_without_a_mac_it_lists_what_waits(call, house):
    """Each with what it is, where it is heard, and what it waits for."""
    state, admitted = house
    lines = call("admit", "--state", state).stdout.splitlines()
    assert " ".join(lines[1].split()) == (
        "E4:AA:EC:75:5F:23 MCCGQ02HL encrypted Hall -71 40 s 3 s heard too briefly so far"
    )
    assert json.loads(call("admit", "--json", "--state", state).stdout)[0]["mac"] == "E4:AA:EC:75:5F:23"
    assert admitted == []


@pytest.mark.parametrize("written", ["E4:AA:EC:75:5F:23", "e4aaec755f23"])
def test_with_a_mac_it_admits(call, house, written):
    """And says that the device was not heard yet, where it was not."""
    state, admitted = house
    result = call("admit", written, "--state", state)
    assert result.exit_code == 0
    assert admitted == [NEW]
    assert "E4:AA:EC:75:5F:23 is admitted; it was not heard yet" in result.stdout


def test_what_is_refused_fails_with_the_reason(call, house):
    """A MAC that is none is wrong usage."""
    state, _ = house
    refused = call("admit", "00:00:00:00:00:01", "--state", state)
    assert (refused.exit_code, "only listed devices" in refused.stderr) == (1, True)
    assert call("admit", "Bedroom", "--state", state).exit_code == 2
