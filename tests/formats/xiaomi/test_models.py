"""The model table."""

from proxy_listener.formats.xiaomi.models import MODELS, NUMBERED, SCALE_V1, SCALE_V2, model_of
from proxy_listener.model.events import button
from proxy_listener.model.quantities import BATTERY, MOISTURE


def test_a_product_without_a_row_is_named_by_its_id():
    """It is a Model all the same, so that its standard objects are decoded."""
    model = model_of(0x5A5A)
    assert (model.name, model.known, model.product_id) == ("0x5A5A", False, 0x5A5A)
    assert model_of(0x055B).name == "LYWSD03MMC"


def test_sleepy_models():
    """Locks, buttons, doors, scales and toothbrushes stay available for hours; thermometers and alarm clocks do not."""
    sleepy = [0x0380, 0x1949, 0x098B, 0x3BD5, 0x0806, 0x0153, 0x0A8D, 0x6375, 0x59FA, 0x20DB]
    awake = [0x055B, 0x0576, 0x0C3C, 0x06D3, 0x0098, 0x01AA, 0x520B, 0x3E17]
    assert all(MODELS[product].sleepy for product in sleepy)
    assert not any(MODELS[product].sleepy for product in awake)
    assert SCALE_V1.sleepy
    assert SCALE_V2.sleepy


def test_models_with_the_legacy_encryption():
    """The five Yeelight remotes and no others."""
    assert {product for product, model in MODELS.items() if model.legacy} == {0x0153, 0x03B6, 0x03BF, 0x04E6, 0x068E}


def test_models_that_are_read_over_a_connection():
    """Three plant sensors and three clocks."""
    readers = {product: model.reader for product, model in MODELS.items() if model.reader}
    plants, clocks = (0x0098, 0x03BC, 0x015D), (0x045B, 0x16E4, 0x2542)
    assert readers == dict.fromkeys(plants, "miflora") | dict.fromkeys(clocks, "lywsd02")


def test_what_a_model_sends():
    """Quantities of advertisements, those that come by reading it only, and the kinds of its buttons' events."""
    plant, remote = MODELS[0x0098], MODELS[0x03BF]
    assert BATTERY not in plant.quantities
    assert plant.read_quantities == (BATTERY,)
    assert remote.quantities == ()
    assert button("light") in remote.events
    assert MODELS[0x0863].quantities == (MOISTURE.as_flag(), BATTERY)


def test_every_known_model_says_what_it_sends_or_is_known_by_name_only():
    """Names of XiaomiGateway3 say nothing of what they send; their buttons are not known either."""
    for model in MODELS.values():
        assert (model.quantities or model.events) or model.buttons is NUMBERED, model.name
        assert model.maker == "Xiaomi"
