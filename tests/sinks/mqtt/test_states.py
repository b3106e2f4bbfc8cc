"""What is published for the journal's rows: topics, payloads, their order, and what is state or history."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_status import ID, MAC, NOW, reading, row

from proxy_listener.history import Latest
from proxy_listener.model.quantities import QUANTITIES
from proxy_listener.model.reading import Event, as_json
from proxy_listener.sinks.mqtt.states import States
from proxy_listener.sinks.mqtt.topics import Message, Topics

TOPICS = Topics("house", "homeassistant")
STATE, HISTORY = f"house/device/{ID}/state", f"house/device/{ID}/history"


def topics(messages: list[Message]) -> list[str]:
    return [message.topic for message in messages]


def document(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.payload)
    return found


def test_a_reading_changes_the_retained_state() -> None:
    """The state has the newest value of every quantity, and the circumstances of the newest reading."""
    states = States(TOPICS)
    states.messages(row(1, values={"battery": 87}), NOW)
    (message,) = states.messages(row(2, values={"temperature": 21.3}, rssi=-70, room="Attic", time=NOW + 1), NOW)
    assert (message.topic, message.retain) == (STATE, True)
    assert document(message) == {
        "time": "2026-11-22T18:04:06.000Z",
        "name": "Bedroom climate",
        "model": "LYWSD03MMC",
        "rssi": -70,
        "proxy": "bedroom-proxy",
        "room": "Attic",
        "trust": "authenticated",
        "battery": 87,
        "temperature": 21.3,
    }


def test_no_quantity_has_the_name_of_another_key_of_the_state() -> None:
    """Values stand on one level with time, name and room."""
    (message,) = States(TOPICS).messages(row(1, values={}), NOW)
    assert not document(message).keys() & QUANTITIES.keys()


def test_an_event_is_not_retained_and_comes_before_the_state() -> None:
    states = States(TOPICS)
    event = Event("dimmer", "rotate_left", {"steps": 3})
    fired, moved = states.messages(row(1, events=(event,), values={"power": True}), NOW + 2)
    assert (fired.topic, fired.retain) == (f"house/device/{ID}/event/dimmer", False)
    assert document(fired) == {
        "steps": 3,
        "event_type": "rotate_left",
        "time": "2026-11-22T18:04:05.000Z",
        "delayed": False,
        "proxy": "bedroom-proxy",
        "room": "Bedroom",
        "trust": "authenticated",
    }
    assert moved.topic == STATE


@pytest.mark.parametrize(("age", "delayed"), [(0.0, False), (5.0, False), (5.1, True), (86_400.0, True), (-5.0, False)])
def test_an_old_event_says_that_it_is_delayed(age: float, delayed: bool) -> None:
    """It is published with its own time all the same."""
    fired, _ = States(TOPICS).messages(row(1, events=(Event("button", "press"),)), NOW + age)
    assert document(fired)["delayed"] is delayed
    assert document(fired)["time"] == "2026-11-22T18:04:05.000Z"


def test_an_event_that_waited_for_the_connection_is_delayed() -> None:
    """However young it is: after an outage the presses of its last seconds would all fire at one moment."""
    states = States(TOPICS, waited=7)
    events = (Event("button", "press"),)
    fired = [states.messages(row(id_, events=events, values={}), NOW + 0.1)[0] for id_ in (6, 7, 8)]
    assert [document(message)["delayed"] for message in fired] == [True, True, False]


def test_a_value_that_stopped_coming_leaves_the_state() -> None:
    """Home Assistant takes each message as news of all values in it: one that is older than its lifetime is not in it,
    while others keep coming. A value without a lifetime stays.
    """
    states = States(TOPICS, lifetime=lambda _mac, name: {"temperature": 100, "humidity": 100}.get(name))
    states.messages(row(1, values={"temperature": 21.3, "humidity": 40, "battery": 87}), NOW)
    for id_, later in enumerate((60.0, 100.0, 101.0), 2):
        (message,) = states.messages(row(id_, values={"humidity": 41}, time=NOW + later), NOW + later)
    assert document(message).keys() & QUANTITIES.keys() == {"humidity", "battery"}
    (message,) = states.messages(row(9, values={"temperature": 22.0}, time=NOW + 102), NOW + 102)
    assert document(message)["temperature"] == 22.0


def test_a_state_is_published_again_when_a_value_in_it_becomes_too_old() -> None:
    """Once for each value, also where no reading comes any more."""
    states = States(TOPICS, lifetime=lambda _mac, name: {"temperature": 100, "humidity": 200}.get(name))
    states.messages(row(1, values={"temperature": 21.3, "humidity": 40, "battery": 87}), NOW)
    assert states.outdated(NOW + 100) == []
    assert states.outdated(NOW + 101) == [MAC]
    assert document(states.message(MAC, NOW + 101)).keys() & QUANTITIES.keys() == {"humidity", "battery"}
    assert states.outdated(NOW + 102) == []
    assert states.outdated(NOW + 201) == [MAC]
    assert document(states.message(MAC, NOW + 201)).keys() & QUANTITIES.keys() == {"battery"}
    assert states.outdated(NOW + 86_400) == []


def test_a_discovery_is_followed_by_the_state() -> None:
    """It tells which devices were announced."""
    states = States(TOPICS)
    states.messages(row(1), NOW)
    states.messages(row(2, mac=MAC + 1), NOW)
    announced = Message(TOPICS.device_config(ID), "{}", retain=True)
    assert states.announced([announced, Message(TOPICS.bridge, "online")]) == {MAC}


def test_a_snapshot_holds_no_value_that_became_too_old_meanwhile() -> None:
    """After the service was stopped for a day, Home Assistant would show yesterday's temperature as today's."""
    states = States(TOPICS, lifetime=lambda _mac, name: 2700 if name == "temperature" else None)
    latest = {"temperature": Latest(21.3, NOW, 1), "battery": Latest(87, NOW, 2)}
    message = states.restore(reading(), latest, as_of=2, now=NOW + 86_400)
    assert document(message).keys() & QUANTITIES.keys() == {"battery"}


def test_a_reading_that_waited_longer_than_its_values_last_is_history() -> None:
    """The state does not show it, so it would be nowhere."""
    states = States(TOPICS, lifetime=lambda _mac, _name: 100)
    past = row(1)
    messages = states.messages(past, NOW + 101)
    assert topics(messages) == [STATE, HISTORY]
    assert messages[1] == Message(HISTORY, as_json(past.reading))


def test_a_late_reading_is_history_and_changes_nothing() -> None:
    """A newer frame has its quantity already, and its event does not fire."""
    states = States(TOPICS)
    states.messages(row(1), NOW)
    before = states.message(MAC, NOW)
    late = row(
        2,
        late=True,
        fires=False,
        values={"temperature": 3.0},
        stale=frozenset({"temperature"}),
        events=(Event("button", "press"),),
    )
    (message,) = states.messages(late, NOW)
    assert message == Message(HISTORY, as_json(late.reading))
    assert states.message(MAC, NOW) == before


def test_values_of_a_late_reading_that_are_not_stale_change_the_state() -> None:
    """A quantity that no newer frame has is taken, however late; time and room of the state stay."""
    states = States(TOPICS)
    states.messages(row(1, time=NOW + 9), NOW)
    late = row(
        2,
        late=True,
        time=NOW,
        room="Attic",
        values={"temperature": 3.0, "battery": 80},
        stale=frozenset({"temperature"}),
    )
    moved, past = states.messages(late, NOW)
    assert (moved.topic, past.topic) == (STATE, HISTORY)
    found = document(moved)
    assert (found["temperature"], found["battery"], found["room"]) == (21.3, 80, "Bedroom")
    assert found["time"] == "2026-11-22T18:04:14.000Z"


def test_a_late_event_fires_only_if_the_reading_says_so() -> None:
    states = States(TOPICS)
    events = (Event("button", "press"),)
    late = {"late": True, "values": {}, "events": events}
    assert topics(states.messages(row(1, fires=True, **late), NOW)) == [f"house/device/{ID}/event/button", HISTORY]
    assert topics(states.messages(row(2, fires=False, **late), NOW)) == [HISTORY]


def test_an_entry_of_the_sensors_log_is_history() -> None:
    """It is hours old; in the state, Home Assistant would record it as of now."""
    states = States(TOPICS)
    (message,) = states.messages(row(1, source="history", time=NOW - 7200, events=(Event("button", "press"),)), NOW)
    assert message.topic == HISTORY
    assert document(message)["time"] == "2026-11-22T16:04:05.000Z"


def test_rows_that_a_snapshot_contains_are_history() -> None:
    """After an outage the newest state comes first, and the readings of the outage follow with their own times."""
    states = States(TOPICS)
    shown = states.restore(reading(time=NOW + 50), {"temperature": Latest(25.0, NOW + 50, 1)}, as_of=3, now=NOW + 50)
    assert document(shown)["temperature"] == 25.0
    for id_ in (1, 2, 3):
        (message,) = states.messages(row(id_, values={"temperature": 20 + id_}), NOW)
        assert message.topic == HISTORY
    (message,) = states.messages(row(4, values={"temperature": 26}), NOW)
    assert (message.topic, document(message)["temperature"]) == (STATE, 26)


def test_all_events_of_an_outage_are_published() -> None:
    states = States(TOPICS)
    states.restore(reading(), {}, as_of=100, now=NOW)
    pressed = [states.messages(row(id_, events=(Event("button", "press"),)), NOW + 86_400) for id_ in range(1, 101)]
    fired = [message for messages in pressed for message in messages if "/event/" in message.topic]
    assert len(fired) == 100
    assert all(document(message)["delayed"] for message in fired)


def test_history_can_be_switched_off() -> None:
    states = States(TOPICS, history=False)
    assert states.messages(row(1, source="history"), NOW) == []
    assert topics(states.messages(row(2), NOW)) == [STATE]


rows = st.lists(
    st.builds(
        lambda mac, late, stale, past, value: {
            "mac": MAC + mac,
            "late": late,
            "fires": not late,
            "stale": frozenset({"temperature"}) if stale and late else frozenset(),
            "source": "history" if past else "advertisement",
            "values": {"temperature": value},
        },
        st.integers(0, 2),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.integers(-40, 80),
    ),
    max_size=40,
)


@given(rows, st.integers(0, 40))
def test_every_reading_shows_somewhere_and_the_state_never_goes_back(made: list[dict[str, Any]], as_of: int) -> None:
    """Each row leads to a message, and the messages of one state topic are of rows in rising order."""
    states = States(TOPICS)
    states.restore(reading(), {"temperature": Latest(0, NOW, 1)}, as_of, NOW)
    shown: dict[str, list[int]] = {}
    for id_, fields in enumerate(made, 1):
        messages = states.messages(row(id_, **fields), NOW)
        assert messages
        for message in messages:
            if message.retain:
                shown.setdefault(message.topic, []).append(id_)
    assert all(id_ > as_of for id_ in shown.get(STATE, []))
    for id_, fields in enumerate(made, 1):
        news = fields["source"] != "history" and not fields["stale"] and (fields["mac"] != MAC or id_ > as_of)
        assert news == (id_ in shown.get(TOPICS.state(f"{fields['mac']:012x}"), []))
