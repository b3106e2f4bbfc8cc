"""The client of the control socket: which device is meant, and how the service's errors arrive."""

import pytest
from support.control_service import living

from proxy_listener.web import Actions


@pytest.mark.parametrize("wanted", ["bedroom", "Bedroom climate", "A4:C1:38:02:83:F4", "a4c1380283f4"])
def test_a_device_is_found_by_name_or_mac(call, state, wanted):
    """Or by the only part of a name that fits."""
    result = call("route", wanted, "--state", state)
    row = "* kitchen-proxy Kitchen -61.4 4 s -61.4 2/3 hears it best"
    assert " ".join(result.stdout.splitlines()[1].split()) == row


@pytest.mark.parametrize(("wanted", "words"), [("Cellar", "no such device: Cellar"), ("i", "is more than one device")])
def test_a_device_that_is_not_meant_clearly_fails_in_words(call, state, wanted, words):
    """Status 1."""
    result = call("history", wanted, "--state", state)
    assert result.exit_code == 1
    assert words in result.stderr


def test_what_the_service_does_not_do_fails_in_its_words(call, tmp_path):
    """Status 1, not 69: there is a service."""
    with living(tmp_path, Actions()):
        result = call("coverage", "--state", tmp_path)
    assert result.exit_code == 1
    assert "keeps no record" in result.stderr
