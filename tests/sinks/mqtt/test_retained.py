"""Retained topics: published once, again when the broker may have lost them, cleared when the device is gone."""

import json
from collections.abc import Collection
from typing import Any

import attrs
import pytest
from support.made_status import ID, MAC, NOW, PROXY_MAC, device, proxy, reading

from proxy_listener.formats.xiaomi.models import MODELS
from proxy_listener.model.events import ANY_BUTTON
from proxy_listener.model.models import Model
from proxy_listener.model.reading import Event, timestamp
from proxy_listener.model.status import DeviceStatus, ProxyState, ProxyStatus
from proxy_listener.sinks.mqtt.records import Records, read
from proxy_listener.sinks.mqtt.retained import Retained, moved
from proxy_listener.sinks.mqtt.topics import Message, Topics

TOPICS = Topics("house", "homeassistant")
CONFIG = f"homeassistant/device/proxy_listener_{ID}/config"
AVAILABILITY, STATE = f"house/device/{ID}/availability", f"house/device/{ID}/state"
SERVICE = "homeassistant/device/proxy_listener_service_house/config"
PROXY_ID = f"{PROXY_MAC:012x}"


def house(records: Records | None = None, admitted: Collection[int] = (), **changes: Any) -> Retained:
    fields = {"topics": TOPICS, "discovery": "all", "started": 0.0} | changes
    return Retained(
        records=records or Records("house", "homeassistant"), admitted=lambda mac: mac in admitted, **fields
    )


def published(
    retained: Retained,
    devices: list[DeviceStatus] | None = None,
    proxies: list[ProxyStatus] | None = None,
    now: float = 1,
) -> dict[str, str]:
    """What is published now, and acknowledged by the broker: topic -> payload. Without the service's own discovery."""
    found = published_all(retained, devices, proxies, now)
    return {topic: payload for topic, payload in found.items() if topic != SERVICE}


def published_all(
    retained: Retained,
    devices: list[DeviceStatus] | None = None,
    proxies: list[ProxyStatus] | None = None,
    now: float = 1,
) -> dict[str, str]:
    """The same with it."""
    messages = retained.messages([device()] if devices is None else devices, proxies or [], now)
    assert all(message.retain for message in messages)
    retained.acknowledged(messages)
    return {message.topic: message.payload for message in messages}


def restarted(retained: Retained, **changes: Any) -> Retained:
    """The next run, which has the note only."""
    return house(read(retained.records.text()), **changes)


def test_a_device_is_announced_once() -> None:
    """Availability and discovery, and then nothing until something changes."""
    retained = house()
    found = published(retained)
    assert found.keys() == {CONFIG, AVAILABILITY}
    assert found[AVAILABILITY] == "online"
    assert {"temperature", "humidity", "battery", "room", "rssi"} == json.loads(found[CONFIG])["cmps"].keys()
    assert published(retained) == {}


def test_the_service_is_announced_before_its_devices() -> None:
    """They name it as what they are reached through. Once, and again over a restart only with another page."""
    retained = house(page="http://pi.local:8099")
    assert next(iter(published_all(retained))) == SERVICE
    assert SERVICE not in published_all(retained)
    assert SERVICE not in published_all(restarted(retained, page="http://pi.local:8099"))
    assert SERVICE in published_all(restarted(retained, page="http://attic.local:8099"))
    assert published_all(restarted(retained, discovery="off"))[SERVICE] == ""


def test_the_area_is_the_first_room_and_stays() -> None:
    """Home Assistant takes it when it first sees the device; a move afterwards would only repeat the discovery."""
    retained = house(Records("house", "homeassistant", rooms=["Attic", "Bedroom"]))
    found = published(retained, [device(room="Attic")])
    assert json.loads(found[CONFIG])["dev"]["suggested_area"] == "Attic"
    assert published(retained, [device(room="Bedroom")]) == {}
    assert published(restarted(retained), [device(room="Bedroom")]).keys() == {AVAILABILITY}


def test_a_device_is_announced_when_its_room_is_known() -> None:
    """Or after three seconds: then the room that hears it best is its area, and without one it has none."""
    retained = house()
    assert published(retained, [device(room=None)], now=1).keys() == {AVAILABILITY}
    assert published(retained, [device(room=None)], now=3.9) == {}
    found = published(retained, [device(room="Bedroom")], now=3.9)
    assert json.loads(found[CONFIG])["dev"]["suggested_area"] == "Bedroom"
    for heard, area in ((device().heard, "Kitchen"), ([], None)):
        retained = house()
        published(retained, [device(room=None, heard=heard)], now=1)
        found = published(retained, [device(room=None, heard=heard)], now=4)
        assert json.loads(found[CONFIG])["dev"].get("suggested_area") == area


def test_the_firmware_is_in_the_discovery() -> None:
    """Of a device that was read, and of a proxy; the proxy's is remembered while it is not connected."""
    found = json.loads(published(house(), [device(values={"firmware": ("3.2.2", NOW)})])[CONFIG])
    assert found["dev"]["sw_version"] == "3.2.2"
    retained = house()
    config = f"homeassistant/device/proxy_listener_proxy_{PROXY_ID}/config"
    found = json.loads(published(retained, [], [proxy()])[config])
    assert found["dev"]["sw_version"] == "2026.10.0"
    away = proxy(version=None, state=ProxyState.UNREACHABLE)
    assert config not in published(restarted(retained), [], [away])


def test_availability_follows_the_device() -> None:
    retained = house()
    published(retained)
    assert published(retained, [device(available=False)]) == {AVAILABILITY: "offline"}
    assert published(retained, [device()]) == {AVAILABILITY: "online"}


def test_what_was_not_acknowledged_is_published_again() -> None:
    retained = house()
    first = retained.messages([device()], [], 1)
    assert retained.messages([device()], [], 2) == first
    assert read(retained.records.text()).devices[ID].announced is None


def test_after_a_restart_unchanged_discovery_is_not_published_again() -> None:
    """The broker retains it. A rename is a change."""
    retained = house()
    published(retained)
    assert published(restarted(retained)).keys() == {AVAILABILITY}
    assert published(restarted(retained), [device(name="Attic climate")]).keys() == {AVAILABILITY, CONFIG}


def test_a_second_connection_publishes_everything_again() -> None:
    """The broker may have been restarted without its store."""
    retained = house()
    retained.connected(again=False)
    first = published(retained)
    retained.connected(again=True)
    assert published(retained) == first


def test_a_birth_of_home_assistant_publishes_everything_again() -> None:
    retained = restarted(house())
    first = published(retained, proxies=[proxy()])
    retained.announce_all()
    assert published(retained, proxies=[proxy()]) == first


def test_a_new_quantity_extends_the_discovery() -> None:
    """A quantity that the model is not known to send is announced when it comes, in the form of its value."""
    retained = house()
    published(retained)
    assert retained.record(reading(values={"door": True}, room="Bedroom"))
    found = published(retained)
    assert found.keys() == {CONFIG}
    assert json.loads(found[CONFIG])["cmps"]["door"]["p"] == "binary_sensor"
    assert not retained.record(reading(values={"door": False}, room="Bedroom"))


def test_a_device_of_which_nothing_is_known_is_announced_by_its_values() -> None:
    """A model may promise nothing: quantities and events are those that the device sends, the maker is the model's."""
    unknown = Model("SBBT-002C", "Door/Window Sensor", maker="Shelly")
    door = device(model="SBBT-002C", product=unknown, values={"opening": (True, NOW), "illuminance": (130, NOW)})
    retained = house()
    retained.record(reading(values={"pressure_level": 3}, events=(Event("button", "press"),)))
    found = json.loads(published(retained, [door])[CONFIG])
    assert found["dev"]["manufacturer"] == "Shelly"
    entities = {key for key, entry in found["cmps"].items() if entry["p"] != "device_automation"}
    assert entities == {"opening", "illuminance", "pressure_level", "event_button", "room", "rssi"}
    assert found["cmps"]["opening"]["p"] == "binary_sensor"
    assert found["cmps"]["illuminance"]["unit_of_measurement"] == "lx"


def test_a_plant_is_announced_again_when_it_advertises_its_values() -> None:
    """They are expected more often from then on."""
    plant = {"product": MODELS[0x0098], "readable": True, "read_interval": 86_400.0, "interval": 900.0}
    retained = house()
    found = published(retained, [device(**plant, advertises=False)])
    assert json.loads(found[CONFIG])["cmps"]["temperature"]["expire_after"] == 259_200
    assert retained.lifetime(MAC, "temperature") == 259_200
    found = published(retained, [device(**plant)])
    assert json.loads(found[CONFIG])["cmps"]["temperature"]["expire_after"] == 2700
    assert retained.lifetime(MAC, "temperature") == 2700


def test_the_form_of_a_value_counts_more_than_what_the_model_promises() -> None:
    """A plant sensor's model promises moisture as a number; a flag that comes is shown as a flag."""
    plant = device(product=MODELS[0x0098], values={"moisture": (True, NOW)})
    found = json.loads(published(house(), [plant])[CONFIG])
    assert found["cmps"]["moisture"]["p"] == "binary_sensor"
    assert found["cmps"]["conductivity"]["p"] == "sensor"


def test_a_new_event_extends_the_discovery_and_is_remembered() -> None:
    """The note keeps it, because the journal's live state has values only."""
    retained = house()
    published(retained)
    pressed = reading(values={}, events=(Event("button_up", "press"),))
    assert retained.record(pressed)
    entity = json.loads(published(retained)[CONFIG])["cmps"]["event_button_up"]
    assert entity["event_types"] == list(ANY_BUTTON.types)
    assert not retained.record(pressed)
    after = restarted(retained)
    assert published(after).keys() == {AVAILABILITY}
    after.announce_all()
    assert "event_button_up" in json.loads(published(after)[CONFIG])["cmps"]


def test_a_new_room_is_an_option_before_it_is_a_state() -> None:
    """Home Assistant refuses a state that is not an option of its enum."""
    retained = house()
    published(retained)
    assert retained.record(reading(room="Attic"))
    assert "Attic" in json.loads(published(retained)[CONFIG])["cmps"]["room"]["options"]


def test_a_start_announces_no_device_again_because_a_room_is_not_found_yet() -> None:
    """Home Assistant forgets a device's values at each discovery that has changed. Rooms of the last run stay for a
    minute, and then those that neither a proxy nor a device has are no options any more.
    """
    retained = house()
    published(retained, proxies=[proxy(), proxy(mac=PROXY_MAC + 1, room="Cellar")])
    assert retained.rooms == ("Bedroom", "Cellar", "Kitchen")
    after = restarted(retained)
    assert CONFIG not in published(after, [device(room=None)], [], now=1)
    assert CONFIG not in published(after, [device(room=None)], [proxy()], now=59)
    found = published(after, [device(room=None)], [proxy()], now=60)
    assert json.loads(found[CONFIG])["cmps"]["room"]["options"] == ["Kitchen"]


def test_the_topics_of_a_device_that_leaves_are_cleared() -> None:
    """Discovery, availability and state are cleared; the record is removed when the broker has acknowledged that."""
    retained = house()
    published(retained)
    gone = retained.messages([], [], 2)
    assert gone == [Message(topic, "", retain=True) for topic in (CONFIG, AVAILABILITY, STATE)]
    assert ID in retained.records.devices
    retained.acknowledged(gone)
    assert not retained.records.devices
    assert retained.messages([], [], 3) == []


def test_the_topics_of_a_device_that_left_while_the_service_was_down_are_cleared() -> None:
    retained = house()
    published(retained)
    assert published(restarted(retained), []) == {CONFIG: "", AVAILABILITY: "", STATE: ""}


def test_an_admitted_device_that_was_not_heard_since_the_start_stays() -> None:
    """An unlisted device is shown again when it is heard; until then a restart clears nothing."""
    retained = house(admitted=[MAC])
    published(retained, [device(listed=False)])
    after = restarted(retained, admitted=[MAC])
    assert published(after, []) == {}
    assert published(after, [device(listed=False)]).keys() == {AVAILABILITY}


def test_an_unlisted_device_without_a_reading_is_not_announced() -> None:
    """Such as a neighbour's lock, whose frames cannot be decrypted here."""
    retained = house()
    assert published(retained, [device(listed=False, values={})]) == {}
    retained.record(reading(values={}))
    assert CONFIG in published(retained, [device(listed=False, values={})])


def test_a_device_that_is_read_says_when_it_was_and_is_next() -> None:
    """Published again only when a time changed by a minute; cleared with the device. Others have no such topic."""
    retained = house(wall=lambda: NOW)
    plant = device(readable=True, read_age=3600.0, read_due=82_800.0)
    topic = f"house/device/{ID}/read"
    found = published(retained, [plant])
    times = {"last": timestamp(NOW - 3600), "next": timestamp(NOW + 82_800)}
    assert json.loads(found[topic]) == times
    assert {"last_read", "next_read"} <= json.loads(found[CONFIG])["cmps"].keys()
    assert published(retained, [attrs.evolve(plant, read_age=3630.0, read_due=82_750.0)]) == {}
    assert json.loads(published(retained, [attrs.evolve(plant, read_age=None, read_due=None)])[topic]) == {
        "last": None,
        "next": None,
    }
    after = restarted(retained)
    assert published(after, [])[topic] == ""
    assert not [name for name in published(house(), [device()]) if name.endswith("/read")]


def test_an_unlisted_device_is_announced_once_it_is_established() -> None:
    """Before, neither discovery nor state; once announced it stays, also over a restart."""
    retained = house(admitted=[MAC])
    new = device(listed=False, established=False)
    retained.record(reading())
    assert published(retained, [new]) == {}
    assert not retained.shows(MAC)
    assert CONFIG in published(retained, [device(listed=False)])
    assert retained.shows(MAC)
    after = restarted(retained, admitted=[MAC])
    assert after.shows(MAC)
    assert published(after, [new]).keys() == {AVAILABILITY}


def test_a_device_that_was_never_heard_is_not_announced() -> None:
    """Its model is not known yet."""
    assert published(house(), [device(model="", kind="", values={})]) == {}


@pytest.mark.parametrize(("discovery", "listed"), [("off", True), ("listed", False)])
def test_discovery_that_is_switched_off_is_cleared(discovery: str, listed: bool) -> None:
    """Availability is published all the same."""
    retained = house(admitted=[MAC])
    published(retained, [device(listed=listed)])
    found = published(restarted(retained, admitted=[MAC], discovery=discovery), [device(listed=listed)])
    assert found == {CONFIG: "", AVAILABILITY: "online"}


def test_discovery_of_proxies_is_cleared_when_it_is_switched_off() -> None:
    """The state of a proxy is published all the same."""
    retained = house()
    published(retained, [], [proxy()])
    found = published(restarted(retained, discovery="off"), [], [proxy()])
    config = f"homeassistant/device/proxy_listener_proxy_{PROXY_ID}/config"
    assert found.keys() == {config, f"house/proxy/{PROXY_ID}/state"}
    assert found[config] == ""


def test_other_topics_in_the_configuration_clear_the_old_ones() -> None:
    retained = house()
    published(retained, proxies=[proxy()])
    emptied = {message.topic for message in moved(retained.records, Topics("home", "homeassistant"))}
    assert emptied == {
        CONFIG,
        AVAILABILITY,
        STATE,
        f"house/proxy/{PROXY_ID}/state",
        f"homeassistant/device/proxy_listener_proxy_{PROXY_ID}/config",
        SERVICE,
        "house/bridge/state",
    }
    assert moved(retained.records, TOPICS) == []


def test_the_state_of_a_proxy_has_its_cause() -> None:
    found = published(
        house(), [], [proxy(state=ProxyState.WRONG_KEY, cause="the key is wrong", advice="enter the node's key")]
    )
    found = json.loads(found[f"house/proxy/{PROXY_ID}/state"])
    assert (found["state"], found["cause"], found["advice"]) == (
        "wrong_key",
        "the key is wrong",
        "enter the node's key",
    )


def test_a_proxys_numbers_alone_are_published_once_a_minute() -> None:
    """They change with every advertisement; a change of its state is published at once."""
    retained = house()
    topic = f"house/proxy/{PROXY_ID}/state"
    assert topic in published(retained, [], [proxy(rate=1.0)], now=1)
    assert published(retained, [], [proxy(rate=2.0)], now=60) == {}
    assert topic in published(retained, [], [proxy(rate=2.0)], now=61)
    assert topic in published(retained, [], [proxy(state=ProxyState.SILENT)], now=62)


@pytest.mark.parametrize(
    "changes", [{"state": ProxyState.NOT_ACCEPTED}, {"state": ProxyState.NOT_A_PROXY}, {"mac": None}]
)
def test_nodes_that_are_not_expected_are_not_published(changes: dict[str, Any]) -> None:
    """Anybody on the network can announce a node by mDNS: it gets no topic, no entity and no room."""
    retained = house()
    assert published(retained, [], [proxy(**changes)]) == {}
    assert retained.rooms == ()


def test_a_start_does_not_show_the_proxies_as_disconnected() -> None:
    """The broker retains the state of the last run, which is replaced by the first one that is known. One that cannot
    be connected to within a minute says so, and so does one that was connected in this run.
    """
    topic = f"house/proxy/{PROXY_ID}/state"
    retained = house()
    connecting = [proxy(state=ProxyState.CONNECTING)]
    assert topic not in published(retained, [], connecting, now=1)
    assert published(retained, [], connecting, now=59) == {}
    assert topic in published(retained, [], connecting, now=60)
    retained = house()
    assert '"state":"live"' in published(retained, [], [proxy()], now=1)[topic]
    assert '"state":"connecting"' in published(retained, [], connecting, now=2)[topic]


def test_a_proxy_of_the_last_run_has_a_minute_to_be_found() -> None:
    """Before that mDNS may not have found it; after that its topics are cleared."""
    retained = house()
    published(retained, [], [proxy()])
    after = restarted(retained)
    assert published(after, [], [], now=59) == {}
    assert set(published(after, [], [], now=60).values()) == {""}
    assert not after.records.proxies


def test_a_hostile_name_reaches_no_topic() -> None:
    """Names are in payloads only."""
    hostile = "a/#/+\u202e\x1b[31m\r\n"
    found = published(house(), [device(name=hostile, room=hostile)], [proxy(name=hostile, room=hostile)])
    assert all(set(topic) <= set("abcdefghijklmnopqrstuvwxyz0123456789_/-") for topic in found)
