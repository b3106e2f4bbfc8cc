"""Rows of the journal in, the messages that publish them out.

A device's live state is a snapshot of the journal (:meth:`States.restore`), changed by the rows after it. Every reading
is published as state or as history, and the state never goes back in time. Rows that a snapshot already contains (those
of an outage) and late rows are history; only values that are newer than the state's change the state. A state holds no
value that is older than its lifetime: Home Assistant takes each message as news of every value in it.
"""

import math
from collections.abc import Callable, Iterable, Mapping

import attrs

from proxy_listener.history import Latest, Row
from proxy_listener.model.advertisement import Address
from proxy_listener.model.reading import Reading, Value
from proxy_listener.sinks.mqtt.topics import (
    Message,
    Topics,
    device_id,
    event_payload,
    history_payload,
    state_payload,
)


@attrs.define
class State:
    """A device's live state, each value with its time. ``as_of`` is the id of the newest row that it contains, and
    ``until`` the time at which the next value of the published state is too old.
    """

    newest: Reading
    time: float
    values: dict[str, tuple[Value, float]]
    as_of: int
    until: float = math.inf


def _stays(_mac: Address, _name: str) -> None:
    return None


@attrs.define
class States:
    """The live states of all devices. ``history`` says whether past readings are published, ``lifetime`` how many
    seconds a device's quantity stays in the state, None for always. Rows up to the id ``waited`` came before there was
    a connection. Times are wall seconds.
    """

    topics: Topics
    history: bool = True
    lifetime: Callable[[Address, str], int | None] = _stays
    waited: int = 0
    by_device: dict[Address, State] = attrs.field(factory=dict)

    def restore(self, newest: Reading, latest: Mapping[str, Latest], as_of: int, now: float) -> Message:
        """Take a snapshot of the journal: the newest reading, the live state, and the id of the newest row in it."""
        values = {name: (value.value, value.time) for name, value in latest.items()}
        time = max([value.time for value in latest.values()], default=newest.time)
        self.by_device[newest.mac] = State(newest, time, values, as_of)
        return self.message(newest.mac, now)

    def message(self, mac: Address, now: float) -> Message:
        """A device's current state."""
        state = self.by_device[mac]
        fresh, state.until = {}, math.inf
        for name, (value, time) in state.values.items():
            until = self._until(mac, name, time)
            if now <= until:
                fresh[name] = value
                state.until = min(state.until, until)
        return Message(self.topics.state(device_id(mac)), state_payload(state.newest, state.time, fresh), retain=True)

    def announced(self, messages: Iterable[Message]) -> set[Address]:
        """The devices whose discovery is among the messages. Home Assistant does not know their values that expire
        until the next state comes.
        """
        topics = {message.topic for message in messages}
        return {mac for mac in self.by_device if self.topics.device_config(device_id(mac)) in topics}

    def outdated(self, now: float) -> list[Address]:
        """The devices whose published state holds a value that is too old by now."""
        return [mac for mac, state in self.by_device.items() if now > state.until]

    def _until(self, mac: Address, name: str, time: float) -> float:
        seconds = self.lifetime(mac, name)
        return math.inf if seconds is None else time + seconds

    def messages(self, row: Row, now: float, shown: bool = True) -> list[Message]:
        """The messages of a row, in order: its events, the state if it changes that, the reading if it is history.

        The state of a device that is not ``shown`` does not change.
        """
        reading, id_ = row.reading, device_id(row.reading.mac)
        past = reading.source == "history"
        found: list[Message] = []
        if reading.fires and not past:
            found += [
                Message(
                    self.topics.event(id_, event.event),
                    event_payload(event, reading, now, waited=row.id <= self.waited),
                )
                for event in reading.events
            ]
        moved = shown and not past and self._move(row)
        if moved:
            found.append(self.message(reading.mac, now))
        old = any(now > self._until(reading.mac, name, reading.time) for name in reading.values)
        if self.history and (past or reading.late or old or not moved):
            found.append(Message(self.topics.history(id_), history_payload(reading)))
        return found

    def _move(self, row: Row) -> bool:
        """Change the state by the row; False where nothing in the row is newer."""
        reading = row.reading
        values = {name: (value, reading.time) for name, value in reading.values.items() if name not in reading.stale}
        state = self.by_device.get(reading.mac)
        if state is not None and row.id <= state.as_of:
            return False
        if reading.late and not values:
            return False
        if state is None:
            self.by_device[reading.mac] = State(reading, reading.time, values, row.id)
            return True
        if not reading.late:
            state.newest, state.time = reading, reading.time
        state.values |= values
        state.as_of = row.id
        return True
