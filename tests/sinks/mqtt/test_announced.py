"""What a discovery is to say: of the product, of what came, and how long each value lasts."""

from support.made_status import NOW, device

from proxy_listener.formats.xiaomi.models import MODELS
from proxy_listener.model.quantities import PERCENT, quantity_of
from proxy_listener.model.timing import DAY
from proxy_listener.sinks.mqtt.announced import Sent, to_announce
from proxy_listener.sinks.mqtt.records import Record

PLANT = MODELS[0x0098]


def test_a_plant_that_is_read_once_a_day_keeps_its_values_for_three() -> None:
    """Until it advertises one: then that one has to come with every interval of its model, and the others do not."""
    plant = device(product=PLANT, readable=True, read_interval=DAY, interval=900.0)
    found = to_announce(plant, Sent(), Record())
    assert found.lifetimes == dict.fromkeys(("temperature", "illuminance", "moisture", "conductivity"), 259_200)
    assert found.only_read == found.lifetimes.keys()
    found = to_announce(plant, Sent(advertised={"temperature"}), Record(advertised=["moisture"]))
    assert found.lifetimes == {"temperature": 2700, "moisture": 2700, "illuminance": 259_200, "conductivity": 259_200}
    assert found.only_read == {"illuminance", "conductivity"}


def test_a_plant_that_is_not_read_by_schedule_keeps_its_values() -> None:
    """With ``read = "off"`` a value comes when a person asks for it."""
    assert to_announce(device(product=PLANT, readable=True, interval=900.0), Sent(), Record()).lifetimes == {}


def test_what_came_counts_more_than_what_the_product_is_known_for() -> None:
    """Values that the device has now, then those that it sent in this run, then its product's."""
    sent = Sent(quantities={"no_such": quantity_of("no_such", 3), "battery": quantity_of("battery", "low")})
    found = to_announce(device(values={"battery": (87, NOW)}), sent, Record(events={"button_up": ["press"]}))
    assert found.quantities.keys() == {"temperature", "humidity", "battery", "no_such"}
    assert found.quantities["battery"].unit == PERCENT
    assert found.events["button_up"].types == ("press", "double_press", "long_press")
