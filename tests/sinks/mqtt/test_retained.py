"""What the broker is to keep: said once, said again when it may be lost, taken back when it is gone."""

import json
from collections.abc import Collection
from typing import Any

import pytest
from support.made_status import ID, MAC, PROXY_MAC, device, proxy, reading

from proxy_listener.model.reading import Event
from proxy_listener.model.status import DeviceStatus, ProxyState, ProxyStatus
from proxy_listener.sinks.mqtt.retained import Records, Retained, moved, read
from proxy_listener.sinks.mqtt.topics import Message, Topics

TOPICS = Topics("house", "homeassistant")
CONFIG = f"homeassistant/device/proxy_listener_{ID}/config"
AVAILABILITY, STATE = f"house/device/{ID}/availability", f"house/device/{ID}/state"
PROXY_ID = f"{PROXY_MAC:012x}"


def house(records: Records | None = None, admitted: Collection[int] = (), **changes: Any) -> Retained:
    fields = {"topics": TOPICS, "discovery": "all", "started": 0.0} | changes
    return Retained(
        records=records or Records("house", "homeassistant"), admitted=lambda mac: mac in admitted, **fields
    )


def say(
    retained: Retained,
    devices: list[DeviceStatus] | None = None,
    proxies: list[ProxyStatus] | None = None,
    now: float = 1,
) -> dict[str, str]:
    """What is said now, and heard by the broker."""
    messages = retained.messages([device()] if devices is None else devices, proxies or [], now)
    assert all(message.retain for message in messages)
    retained.acknowledged(messages)
    return {message.topic: message.payload for message in messages}


def restarted(retained: Retained, **changes: Any) -> Retained:
    """The next run: it has the note, and nothing else."""
    return house(read(retained.records.text()), **changes)


def test_a_device_is_announced_once() -> None:
    """Availability and discovery, and then nothing until something changes."""
    retained = house()
    said = say(retained)
    assert said.keys() == {CONFIG, AVAILABILITY}
    assert said[AVAILABILITY] == "online"
    assert {"temperature", "humidity", "battery", "room", "rssi"} == json.loads(said[CONFIG])["cmps"].keys()
    assert say(retained) == {}


def test_availability_follows_the_device() -> None:
    retained = house()
    say(retained)
    assert say(retained, [device(available=False)]) == {AVAILABILITY: "offline"}
    assert say(retained, [device()]) == {AVAILABILITY: "online"}


def test_what_was_not_acknowledged_is_said_again() -> None:
    retained = house()
    first = retained.messages([device()], [], 1)
    assert retained.messages([device()], [], 2) == first
    assert read(retained.records.text()).devices[ID].announced is None


def test_after_a_restart_unchanged_discovery_is_not_said_again() -> None:
    """The broker keeps it. A rename is a change."""
    retained = house()
    say(retained)
    assert say(restarted(retained)).keys() == {AVAILABILITY}
    assert say(restarted(retained), [device(name="Attic climate")]).keys() == {AVAILABILITY, CONFIG}


def test_a_second_connection_says_everything_again() -> None:
    """The broker may have been restarted without its store."""
    retained = house()
    retained.connected(again=False)
    first = say(retained)
    retained.connected(again=True)
    assert say(retained) == first


def test_a_birth_of_home_assistant_says_everything_again() -> None:
    retained = restarted(house())
    first = say(retained, proxies=[proxy()])
    retained.announce_all()
    assert say(retained, proxies=[proxy()]) == first


def test_a_new_quantity_extends_the_discovery() -> None:
    """What a model was not known to send is announced when it comes, as what its value is."""
    retained = house()
    say(retained)
    assert retained.record(reading(values={"door": True}, room="Bedroom"))
    said = say(retained)
    assert said.keys() == {CONFIG}
    assert json.loads(said[CONFIG])["cmps"]["door"]["p"] == "binary_sensor"
    assert not retained.record(reading(values={"door": False}, room="Bedroom"))


def test_a_new_event_extends_the_discovery_and_is_remembered() -> None:
    """Nothing else remembers it: the journal's live state has values only."""
    retained = house()
    say(retained)
    pressed = reading(values={}, events=(Event("button_up", "press"),))
    assert retained.record(pressed)
    entity = json.loads(say(retained)[CONFIG])["cmps"]["event_button_up"]
    assert entity["event_types"] == ["press", "double_press", "long_press"]
    assert not retained.record(pressed)
    after = restarted(retained)
    assert say(after).keys() == {AVAILABILITY}
    after.announce_all()
    assert "event_button_up" in json.loads(say(after)[CONFIG])["cmps"]


def test_a_new_room_is_an_option_before_it_is_a_state() -> None:
    """Home Assistant refuses a state that is no option."""
    retained = house()
    say(retained)
    assert retained.record(reading(room="Attic"))
    assert "Attic" in json.loads(say(retained)[CONFIG])["cmps"]["room"]["options"]


def test_a_device_that_leaves_is_taken_back() -> None:
    """Discovery, availability and state are emptied; the record goes when the broker has heard it."""
    retained = house()
    say(retained)
    gone = retained.messages([], [], 2)
    assert gone == [Message(topic, "", retain=True) for topic in (CONFIG, AVAILABILITY, STATE)]
    assert ID in retained.records.devices
    retained.acknowledged(gone)
    assert not retained.records.devices
    assert retained.messages([], [], 3) == []


def test_a_device_that_left_while_the_service_was_down_is_taken_back() -> None:
    retained = house()
    say(retained)
    assert say(restarted(retained), []) == {CONFIG: "", AVAILABILITY: "", STATE: ""}


def test_an_admitted_device_that_was_not_heard_since_the_start_stays() -> None:
    """Strangers come into the house when they are heard; until then a restart takes nothing back."""
    retained = house(admitted=[MAC])
    say(retained, [device(listed=False)])
    after = restarted(retained, admitted=[MAC])
    assert say(after, []) == {}
    assert say(after, [device(listed=False)]).keys() == {AVAILABILITY}


def test_a_stranger_without_a_reading_is_not_announced() -> None:
    """A neighbour's lock whose frames nobody here can read."""
    retained = house()
    assert say(retained, [device(listed=False, values={})]) == {}
    retained.record(reading(values={}))
    assert CONFIG in say(retained, [device(listed=False, values={})])


def test_a_device_that_was_never_heard_is_not_announced() -> None:
    """Nobody knows yet what it is."""
    assert say(house(), [device(model="", kind="", values={})]) == {}


@pytest.mark.parametrize(("discovery", "listed"), [("off", True), ("listed", False)])
def test_discovery_that_is_not_wanted_is_taken_back(discovery: str, listed: bool) -> None:
    """Availability and states are for everyone all the same."""
    retained = house(admitted=[MAC])
    say(retained, [device(listed=listed)])
    said = say(restarted(retained, admitted=[MAC], discovery=discovery), [device(listed=listed)])
    assert said == {CONFIG: "", AVAILABILITY: "online"}


def test_other_topics_in_the_configuration_take_back_the_old_ones() -> None:
    retained = house()
    say(retained, proxies=[proxy()])
    emptied = {message.topic for message in moved(retained.records, Topics("home", "homeassistant"))}
    assert emptied == {
        CONFIG,
        AVAILABILITY,
        STATE,
        f"house/proxy/{PROXY_ID}/state",
        f"homeassistant/device/proxy_listener_proxy_{PROXY_ID}/config",
        "house/bridge/state",
    }
    assert moved(retained.records, TOPICS) == []


def test_a_proxy_is_told_with_its_cause() -> None:
    said = say(
        house(), [], [proxy(state=ProxyState.WRONG_KEY, cause="the key is wrong", advice="enter the node's key")]
    )
    found = json.loads(said[f"house/proxy/{PROXY_ID}/state"])
    assert (found["state"], found["cause"], found["advice"]) == (
        "wrong_key",
        "the key is wrong",
        "enter the node's key",
    )


def test_a_proxys_numbers_alone_are_told_once_a_minute() -> None:
    """They change with every advertisement; its state is told at once."""
    retained = house()
    topic = f"house/proxy/{PROXY_ID}/state"
    assert topic in say(retained, [], [proxy(rate=1.0)], now=1)
    assert say(retained, [], [proxy(rate=2.0)], now=60) == {}
    assert topic in say(retained, [], [proxy(rate=2.0)], now=61)
    assert topic in say(retained, [], [proxy(state=ProxyState.SILENT)], now=62)


@pytest.mark.parametrize(
    "changes", [{"state": ProxyState.NOT_ACCEPTED}, {"state": ProxyState.NOT_A_PROXY}, {"mac": None}]
)
def test_strangers_are_no_proxies_of_ours(changes: dict[str, Any]) -> None:
    """A node that anyone may announce gets no topic, no entity and no room."""
    retained = house()
    assert say(retained, [], [proxy(**changes)]) == {}
    assert retained.rooms == ()


def test_a_proxy_of_the_last_run_has_a_minute_to_be_found() -> None:
    """mDNS takes its time; what is gone for good is taken back."""
    retained = house()
    say(retained, [], [proxy()])
    after = restarted(retained)
    assert say(after, [], [], now=59) == {}
    assert set(say(after, [], [], now=60).values()) == {""}
    assert not after.records.proxies


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"base":1}', '{"base":"b","prefix":"p","devices":[],"proxies":{}}']
)
def test_a_note_that_cannot_be_read_is_as_good_as_none(text: str | None) -> None:
    assert read(text) is None


def test_a_note_is_read_as_it_was_written() -> None:
    retained = house()
    retained.record(reading(events=(Event("button", "press"),)))
    say(retained, proxies=[proxy()])
    assert read(retained.records.text()) == retained.records


def test_a_hostile_name_reaches_no_topic() -> None:
    """Only payloads carry names."""
    hostile = "a/#/+\u202e\x1b[31m\r\n"
    said = say(house(), [device(name=hostile, room=hostile)], [proxy(name=hostile, room=hostile)])
    assert all(set(topic) <= set("abcdefghijklmnopqrstuvwxyz0123456789_/-") for topic in said)
