"""The list of answers is complete: what a Bluetooth proxy sends, but its advertisements."""

from aioesphomeapi.core import MESSAGE_TYPE_TO_PROTO

from proxy_listener.proxies.tap import ANSWERS


def test_every_answer_of_a_bluetooth_proxy_is_passed_on():
    """A message that a newer library knows has to be added, or named here."""
    known = {
        kind.__name__
        for kind in MESSAGE_TYPE_TO_PROTO.values()
        if kind.__name__.startswith("Bluetooth") and kind.__name__.endswith("Response")
    }
    advertisements = {"BluetoothLEAdvertisementResponse", "BluetoothLERawAdvertisementsResponse"}
    assert {kind.__name__ for kind in ANSWERS} == known - advertisements
