"""THE TABLE of readers: the name in a model's row -> how devices of that model are read over a connection."""

from collections.abc import Mapping

from proxy_listener.gatt import lywsd02, miflora
from proxy_listener.gatt.interface import GattReader
from proxy_listener.gatt.lywsd02 import PRODUCTS, Product
from proxy_listener.gatt.lywsd02_log import RecordDownload
from proxy_listener.gatt.miflora import PLANTS, Plant
from proxy_listener.gatt.miflora_log import EntryDownload


def miflora_reader(plants: Mapping[int, Plant] = PLANTS) -> GattReader:
    """Reads the plant sensors of this table, by product id."""
    return GattReader(
        read=lambda gatt, target: miflora.read(gatt, plants[target.product_id]),
        download=lambda target, progress: EntryDownload(plants[target.product_id], target, progress),
        outdated="update it with the maker's phone app (Flower Care): 3.2.1 and later send values",
    )


def lywsd02_reader(products: Mapping[int, Product] = PRODUCTS) -> GattReader:
    """Reads the clocks of this table, by product id."""
    return GattReader(
        read=lambda gatt, target: lywsd02.read(gatt, target.local),
        download=lambda target, progress: RecordDownload(products[target.product_id], target, progress),
        set_clock=lambda gatt, target: lywsd02.set_clock(gatt, target.local),
    )


READERS: Mapping[str, GattReader] = {"miflora": miflora_reader(), "lywsd02": lywsd02_reader()}
