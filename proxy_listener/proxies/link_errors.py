"""What goes wrong on a connection: the library's errors and a link's codes in, a GattError with our cause out."""

from aioesphomeapi.core import APIConnectionError, BluetoothGATTAPIError, TimeoutAPIError

from proxy_listener.model.errors import GattError

INVALID_HANDLE, NOT_CONNECTED = 1, -1
"""ATT's error code, and ESPHome's own for an operation without a link."""

_REASONS = {
    0x08: "supervision timeout",
    0x13: "the device hung up",
    0x16: "the proxy hung up",
    0x22: "link layer timeout",
    0x3E: "the device did not take the connection",
    133: "status 133, the device could not be reached",
}
"""HCI reasons (Bluetooth Core, volume 1, part F), and Bluedroid's catch-all. The client library reads these codes as
ATT errors and calls 8 "Insufficient authorization"."""


def refused(code: int) -> GattError:
    """The proxy refused to connect, with this code."""
    if code == 0:
        return GattError("no_slot", "no free connection slot")
    return GattError("refused", _REASONS.get(code, f"status {code}"))


def lost(code: int) -> GattError:
    """The link was lost for this reason."""
    return GattError("connection_lost", f"link lost: {_REASONS.get(code, f'reason {code}')}")


def unanswered() -> GattError:
    """The link is up, and a request was not answered in time."""
    return GattError("timeout", "the device did not answer")


def failed(error: APIConnectionError) -> GattError:
    """An operation failed, and not because the link was lost."""
    if isinstance(error, TimeoutAPIError):
        return unanswered()
    if not isinstance(error, BluetoothGATTAPIError):
        return GattError("proxy_gone", "the session with the proxy ended")
    return gatt_error(error.error.error)


def gatt_error(code: int) -> GattError:
    """The proxy answered an operation with a GATT error."""
    if code == NOT_CONNECTED:
        return GattError("not_connected", "the proxy has no link to the device")
    if code == INVALID_HANDLE:
        return GattError("bad_handle", "the device does not know the handle")
    return GattError("error", f"the device refused with GATT error {code}")
