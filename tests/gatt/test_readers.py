"""The table of readers and the table of products fit together."""

from proxy_listener.formats import PRODUCTS
from proxy_listener.gatt.lywsd02 import PRODUCTS as CLOCKS
from proxy_listener.gatt.miflora import PLANTS
from proxy_listener.gatt.readers import READERS


def test_each_product_that_names_a_reader_is_known_to_it():
    """And each product of a reader's own table names that reader."""
    named = {(model.product_id, model.reader) for model in PRODUCTS if model.reader}
    assert named == {(id_, "miflora") for id_ in PLANTS} | {(id_, "lywsd02") for id_ in CLOCKS}
    assert {reader for _, reader in named} == READERS.keys()


def test_only_clocks_have_a_clock_to_set():
    """A plant sensor's clock counts seconds since its battery went in."""
    assert {name for name, reader in READERS.items() if reader.set_clock} == {"lywsd02"}
