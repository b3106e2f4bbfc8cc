"""How a failure on a connection is named."""

import pytest
from aioesphomeapi.core import APIConnectionError, TimeoutAPIError

from proxy_listener.proxies.link_errors import failed, gatt_error, lost, refused


@pytest.mark.parametrize(
    ("error", "cause", "text"),
    [
        (refused(0), "no_slot", "no free connection slot"),
        (refused(133), "refused", "status 133, the device could not be reached"),
        (refused(77), "refused", "status 77"),
        (lost(0x08), "connection_lost", "link lost: supervision timeout"),
        (lost(77), "connection_lost", "link lost: reason 77"),
        (failed(TimeoutAPIError("x")), "timeout", "the device did not answer"),
        (failed(APIConnectionError("x")), "proxy_gone", "the session with the proxy ended"),
        (gatt_error(-1), "not_connected", "the proxy has no link to the device"),
        (gatt_error(1), "bad_handle", "the device does not know the handle"),
        (gatt_error(14), "error", "the device refused with GATT error 14"),
    ],
)
def test_causes(error, cause, text):
    """Each code has its cause, and its reason in words where one is known."""
    assert (error.cause, str(error)) == (cause, text)
