"""Rows of the journal in, the messages that publish them out.

A device's live state is a snapshot of the journal (:meth:`States.restore`), changed by the rows after it. Every reading
is published as state or as history, and the state never goes back in time. Rows that a snapshot already contains (those
of an outage) and late rows are history; only values that are newer than the state's change the state.
"""

from collections.abc import Mapping

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
    """A device's live state. ``as_of`` is the id of the newest row that it contains."""

    newest: Reading
    time: float
    values: dict[str, Value]
    as_of: int

    def payload(self) -> str:
        """The payload of the state topic."""
        return state_payload(self.newest, self.time, self.values)


@attrs.define
class States:
    """The live states of all devices. ``history`` says whether past readings are published."""

    topics: Topics
    history: bool = True
    by_device: dict[Address, State] = attrs.field(factory=dict)

    def restore(self, newest: Reading, latest: Mapping[str, Latest], as_of: int) -> Message:
        """Take a snapshot of the journal: the newest reading, the live state, and the id of the newest row in it."""
        values = {name: value.value for name, value in latest.items()}
        time = max([value.time for value in latest.values()], default=newest.time)
        self.by_device[newest.mac] = State(newest, time, values, as_of)
        return self.message(newest.mac)

    def message(self, mac: Address) -> Message:
        """A device's current state."""
        return Message(self.topics.state(device_id(mac)), self.by_device[mac].payload(), retain=True)

    def messages(self, row: Row, now: float, shown: bool = True) -> list[Message]:
        """The messages of a row, in order: its events, the state if it changes that, the reading if it is history.

        The state of a device that is not ``shown`` does not change.
        """
        reading, id_ = row.reading, device_id(row.reading.mac)
        past = reading.source == "history"
        found: list[Message] = []
        if reading.fires and not past:
            found += [
                Message(self.topics.event(id_, event.event), event_payload(event, reading, now))
                for event in reading.events
            ]
        moved = shown and not past and self._move(row)
        if moved:
            found.append(self.message(reading.mac))
        if self.history and (past or reading.late or not moved):
            found.append(Message(self.topics.history(id_), history_payload(reading)))
        return found

    def _move(self, row: Row) -> bool:
        """Change the state by the row; False where nothing in the row is newer."""
        reading = row.reading
        values = {name: value for name, value in reading.values.items() if name not in reading.stale}
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
