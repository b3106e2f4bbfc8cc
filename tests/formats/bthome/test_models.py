"""What the local name says."""

from proxy_listener.formats.bthome.models import PRODUCTS, named
from proxy_listener.formats.xiaomi.models import model_of


def test_a_local_name_names_a_product():
    """Shelly's, b-parasite, Xiaomi's hardware with custom firmware; other names say nothing."""
    assert (named("SBBT-004CEU").maker, len(named("SBBT-004CEU").events)) == ("Shelly", 4)
    assert named("prst").kind == "Plant Sensor"
    assert named("LYWSD03MMC") is model_of(0x055B)
    assert [named(name) for name in ("", "ATC_8D18B2", "TEST DEVICE", "sbbt-002c")] == [None] * 4


def test_every_product_of_the_format_counts_in_16_bits_perhaps():
    """So a counter that wraps is no replay."""
    assert all(model.wraps for model in PRODUCTS)
