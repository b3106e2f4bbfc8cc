"""The Wi-Fi reception of nodes that have a sensor for it, and what reaches the log."""

import logging
import math

import attrs
import pytest
from aioesphomeapi import api_pb2 as api
from google.protobuf.message import DecodeError
from support.edge import entry, house, make_node, running

from proxy_listener.node import firmware
from proxy_listener.proxies.client import WifiSignal, silence_libraries


class Connection:
    """A connection that a test sends messages to."""

    def __init__(self):
        self.asked, self.handlers = [], {}

    def send_message_callback_response(self, request, handler, kinds):
        self.asked.append(type(request).__name__)
        self.handlers.update(dict.fromkeys(kinds, handler))

        def stop():
            for kind in kinds:
                del self.handlers[kind]

        return stop

    def say(self, message):
        if type(message) in self.handlers:
            self.handlers[type(message)](message)


def sensor(key, **more):
    fields = {"device_class": "signal_strength", "unit_of_measurement": "dBm", "entity_category": 2}
    return api.ListEntitiesSensorResponse(key=key, **(fields | more))


def listed(*sensors):
    connection = Connection()
    wifi = WifiSignal(connection)
    for message in (*sensors, api.ListEntitiesDoneResponse()):
        connection.say(message)
    return connection, wifi


@pytest.mark.mdns("shared")
@pytest.mark.parametrize("generation", [firmware.FIRST_RAW, firmware.ESPHOME_2026_10], ids=["2023.6", "2026.10"])
async def test_a_node_with_the_sensor_reports_its_reception(generation):
    node, mute = make_node(1, generation), make_node(2, generation)
    node.settings = attrs.evolve(node.settings, wifi_rssi=-58)
    async with running(node, mute), house([entry(node), entry(mute)]) as made:
        await made.until(lambda: [status.wifi_rssi for status in made.fleet.status()] == [-58, None])
        await made.hears(node)
        await node.power_off()
        await made.until(lambda: made.fleet.status()[0].wifi_rssi is None)


def test_nothing_is_subscribed_without_the_sensor():
    """Not for a scale's Bluetooth signal, a percentage or a temperature."""
    connection, wifi = listed(
        sensor(1, entity_category=0), sensor(2, unit_of_measurement="%"), sensor(3, device_class="temperature")
    )
    assert connection.asked == ["ListEntitiesRequest"]
    assert wifi.rssi is None
    assert connection.handlers == {}


@pytest.mark.parametrize(
    ("state", "rssi"), [(-58.4, -58), (-127.0, -127), (0.0, 0), (math.nan, None), (-1e30, None), (7.0, None)]
)
def test_a_state_that_no_radio_has_is_none(state, rssi):
    connection, wifi = listed(sensor(7), sensor(8))
    connection.say(api.SensorStateResponse(key=8, state=-40.0))
    connection.say(api.SensorStateResponse(key=7, state=state))
    assert wifi.rssi == rssi


def test_a_missing_state_is_unknown_again():
    connection, wifi = listed(sensor(7))
    connection.say(api.SensorStateResponse(key=7, state=-60.0))
    connection.say(api.SensorStateResponse(key=7, missing_state=True))
    assert wifi.rssi is None


def test_entities_without_end_take_no_room():
    """A hostile node lists a hundred thousand sensors, and a thousand ends of the list: one key is kept, and states are
    subscribed once.
    """
    connection, wifi = listed(*(sensor(key) for key in range(1, 100_000)))
    for _ in range(1000):
        connection.say(api.ListEntitiesDoneResponse())
    assert connection.asked == ["ListEntitiesRequest", "SubscribeStatesRequest"]
    assert vars(wifi)["_key"] == 1


def test_garbage_from_a_node_is_not_logged():
    """asyncio reports a protocol that failed to parse a message; other errors of a protocol are still logged."""

    def passes(error):
        kind = type(error)
        record = logging.LogRecord("asyncio", logging.ERROR, "", 0, "Fatal error", (), (kind, error, None))
        return logging.getLogger("asyncio").filter(record)

    silence_libraries()
    assert not passes(DecodeError())
    assert passes(ZeroDivisionError())
    assert not logging.getLogger("aioesphomeapi.connection").isEnabledFor(logging.ERROR)
