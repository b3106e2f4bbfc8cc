"""What the local name says."""

from proxy_listener.formats.atc import ATC
from proxy_listener.formats.bthome.models import PRODUCTS, named
from proxy_listener.formats.bthome.objects import read, walk_v2
from proxy_listener.formats.xiaomi.models import model_of


def test_a_local_name_names_a_product():
    """Shelly's, b-parasite, hardware with custom firmware; other names say nothing."""
    assert (named("SBBT-004CEU").maker, len(named("SBBT-004CEU").events)) == ("Shelly", 4)
    assert named("prst").kind == "Plant Sensor"
    assert named("LYWSD03MMC") is model_of(0x055B)
    assert named("ATC_8D18B2") is ATC
    assert [named(name) for name in ("", "ATC_8D18B", "ATC_8d18b2", "TEST DEVICE", "sbbt-002c")] == [None] * 5


def test_a_device_that_sends_every_minute_is_not_sleepy():
    """So that its silence is noticed; a button is silent for days."""
    assert [named(name).sleepy for name in ("SBHT-003C", "SBWS-90CM", "SBDW-002C", "SBBT-002C")] == [
        *(False, False, True, True)
    ]


def test_a_weather_station_by_what_it_sends():
    """Wind and gust are two speeds of one frame; each quantity of its frames is announced beforehand."""
    frame = "05 138a14 20 01 44 4e01 44 9a02 46 32 5e 3f75"
    more = "01 5d 04 138a01 08 ca06 0c 020c 2e 23 45 1101 5f 8756"
    sent = {**read(walk_v2(bytes.fromhex(frame)))[0], **read(walk_v2(bytes.fromhex(more)))[0]}
    assert (sent["speed_1"], sent["speed_2"]) == (3.34, 6.66)
    assert {quantity.name for quantity in named("SBWS-90CM").quantities} == sent.keys()


def test_every_product_of_the_format_counts_in_16_bits_perhaps():
    """So a counter that wraps is no replay."""
    assert all(model.wraps for model in PRODUCTS)
