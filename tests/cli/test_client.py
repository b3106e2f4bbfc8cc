"""The client of the control socket: how a device is selected, and how errors of the service arrive."""

import pytest
from support.control_service import running_service

from proxy_listener.web import Actions


@pytest.mark.parametrize("wanted", ["bedroom", "Bedroom climate", "A4:C1:38:02:83:F4", "a4c1380283f4"])
def test_a_device_is_found_by_name_or_mac(call, state, wanted):
    """A part of a name is enough if only one device has it."""
    result = call("route", wanted, "--state", state)
    row = "* kitchen-proxy Kitchen -61.4 4 s -61.4 2/3 hears it best"
    assert " ".join(result.stdout.splitlines()[1].split()) == row


@pytest.mark.parametrize(("wanted", "words"), [("Cellar", "no such device: Cellar"), ("i", "is more than one device")])
def test_an_unknown_or_ambiguous_device_is_an_error(call, state, wanted, words):
    """The message says which; status 1."""
    result = call("history", wanted, "--state", state)
    assert result.exit_code == 1
    assert words in result.stderr


def test_an_error_of_the_service_is_shown(call, tmp_path):
    """Status 1, not 69, because a service answered."""
    with running_service(tmp_path, Actions()):
        result = call("coverage", "--state", tmp_path)
    assert result.exit_code == 1
    assert "keeps no record" in result.stderr
