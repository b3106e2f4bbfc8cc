from aioesphomeapi.api_pb2 import BluetoothLEAdvertisementResponse
from aioesphomeapi.model import BluetoothLEAdvertisement

from proxy_listener.model.advertisement import MIBEACON, service_data
from proxy_listener.proxies.parsed import payload

FRAME = bytes.fromhex("5020aa01")


def advertisement(**fields):
    return BluetoothLEAdvertisement.from_pb(BluetoothLEAdvertisementResponse(address=1, rssi=-60, **fields))


def test_service_data_is_found_again():
    """What the node took apart is put together so that the listener finds the same service data."""
    for uuid in ("0xfe95", "0xFE95", "0000fe95-0000-1000-8000-00805f9b34fb"):
        whole = payload(advertisement(service_data=[{"uuid": uuid, "data": FRAME}]))
        assert list(service_data(whole)) == [(MIBEACON, FRAME)]


def test_order_and_forms():
    whole = payload(
        advertisement(
            name=b"MJ",
            service_data=[{"uuid": "0xfe95", "data": b"\x01"}],
            manufacturer_data=[{"uuid": "0x004c", "data": b"\x02"}],
        )
    )
    assert whole == bytes.fromhex("041695fe01 04ff4c0002 03094d4a")


def test_long_uuids_are_left_out():
    assert payload(advertisement(service_data=[{"uuid": "12345678-0000-0000-0000-000000000000", "data": b"x"}])) == b""


def test_what_fits_no_radio_is_none():
    assert payload(advertisement(service_data=[{"uuid": "0xfe95", "data": bytes(253)}])) is None
    twice = [{"uuid": "0xfe95", "data": bytes(200)}, {"uuid": "0xfe96", "data": bytes(200)}]
    assert payload(advertisement(service_data=twice)) is None
