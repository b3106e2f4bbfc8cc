"""What a discovery is to say: of the product, of what came, and how long each value lasts."""

from support.made_status import NOW, device

from proxy_listener.formats.xiaomi.models import MODELS
from proxy_listener.model.events import ANY_BUTTON
from proxy_listener.model.quantities import PERCENT, quantity_of
from proxy_listener.model.timing import DAY
from proxy_listener.sinks.mqtt.announced import Sent, to_announce
from proxy_listener.sinks.mqtt.records import Record

PLANT = MODELS[0x0098]


def test_a_plant_that_is_read_once_a_day_keeps_its_values_for_three() -> None:
    """Once it advertises them, they have to come with every interval of its model."""
    plant = {"product": PLANT, "readable": True, "read_interval": DAY, "interval": 900.0}
    periodic = ("temperature", "illuminance", "moisture", "conductivity")
    found = to_announce(device(**plant, advertises=False), Sent(), Record())
    assert found.lifetimes == dict.fromkeys(periodic, 259_200)
    assert to_announce(device(**plant), Sent(), Record()).lifetimes == dict.fromkeys(periodic, 2700)


def test_a_plant_that_is_not_read_by_schedule_keeps_its_values() -> None:
    """With ``read = "off"`` a value comes when a person asks for it."""
    plant = device(product=PLANT, readable=True, interval=900.0, advertises=False)
    assert to_announce(plant, Sent(), Record()).lifetimes == {}


def test_what_came_counts_more_than_what_the_product_is_known_for() -> None:
    """Values that the device has now, then those that it sent in this run, then its product's."""
    sent = Sent(quantities={"no_such": quantity_of("no_such", 3), "battery": quantity_of("battery", "low")})
    found = to_announce(device(values={"battery": (87, NOW)}), sent, Record(events={"button_up": ["press"]}))
    assert found.quantities.keys() == {"temperature", "humidity", "battery", "no_such"}
    assert found.quantities["battery"].unit == PERCENT
    assert found.events["button_up"].types == ANY_BUTTON.types
