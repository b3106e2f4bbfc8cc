"""The table of formats, and the products of all of them."""

from proxy_listener.formats import FORMATS, PRODUCTS, RARE, find_company, find_ours, model_named
from proxy_listener.model.advertisement import COMPANY
from proxy_listener.simulator import frames


def test_every_product_is_found_by_its_name():
    """Rows of the history name the model, and after a restart it is looked up."""
    assert {model.name for model in PRODUCTS if model_named(model.name).name != model.name} == set()


def test_a_product_without_a_row_is_found_by_the_id_that_is_its_name():
    """And no other text is a product."""
    model = model_named("0x5A5A")
    assert (model.product_id, model.known) == (0x5A5A, False)
    assert [model_named(name) for name in ("", "5A5A", "0x5A5", "0x5a5a", "no such")] == [None] * 5


def test_service_and_manufacturer_data_of_every_format_is_ours():
    """The search that every advertisement passes comes from the table."""
    for uuid in FORMATS:
        data = frames.advertisement(b"x", uuid)
        assert find_ours(data) if uuid < COMPANY else RARE in data and find_company(data)
    assert find_ours(bytes([4, 0x16, 0x34, 0x12]) + b"x") is None
