"""What the broker retains besides device states: availability, proxies, and Home Assistant's discovery.

Devices and proxies as they are now come in; the messages that the broker lacks go out, and those that it acknowledged
come back in. A message is published only where the broker does not hold it yet, and the topics of a device or proxy
that is gone are cleared. A note in the journal says what was acknowledged, so that this holds over a restart; without a
readable note everything is announced again, and nothing is cleared.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.events import EventKind, kind_of
from proxy_listener.model.quantities import Quantity, quantity_of
from proxy_listener.model.reading import Reading
from proxy_listener.model.status import NOT_EXPECTED, DeviceStatus, ProxyStatus
from proxy_listener.sinks.mqtt.discovery import Subject, device_payload, proxy_payload
from proxy_listener.sinks.mqtt.topics import OFFLINE, ONLINE, Message, Topics, device_id, proxy_state_payload

NOTE = "mqtt"
CLIENT_NOTE = "mqtt client"
"""Names of the journal's notes: these records, and the client id."""

NUMBERS_EVERY = 60.0
"""Seconds between two messages of a proxy of which only the numbers changed."""

LEAVE_AFTER = 60.0
"""Seconds after the start in which a proxy of the last run may still be found again."""


@attrs.define
class Record:
    """A device or proxy. ``announced`` is the digest of its discovery; ``events`` are those it sent, kind -> types."""

    announced: str | None = None
    events: dict[str, list[str]] = attrs.field(factory=dict)


@attrs.define
class Records:
    """Devices and proxies that have retained topics below ``base`` and ``prefix``, by their ids."""

    base: str
    prefix: str
    devices: dict[str, Record] = attrs.field(factory=dict)
    proxies: dict[str, Record] = attrs.field(factory=dict)

    def text(self) -> str:
        """The note."""
        return json.dumps(attrs.asdict(self), separators=(",", ":"))


@attrs.define
class Sent:
    """What a device sent in this run beyond what its discovery said."""

    quantities: dict[str, Quantity] = attrs.field(factory=dict)
    events: dict[str, list[str]] = attrs.field(factory=dict)


@attrs.frozen
class Announced:
    """What a device's discovery says: quantities and kinds of events by name."""

    quantities: Mapping[str, Quantity] = attrs.field(factory=dict)
    events: Mapping[str, EventKind] = attrs.field(factory=dict)


@attrs.define
class Retained:
    """``admitted`` tells whether a device without an entry is to be shown. Times are monotonic.

    ``held`` is what the broker acknowledged on this connection, by topic.
    """

    topics: Topics
    discovery: Literal["all", "listed", "off"]
    records: Records
    admitted: Callable[[Address], bool]
    started: float
    held: dict[str, str] = attrs.field(factory=dict)
    rooms: tuple[str, ...] = ()
    _present: set[Address] = attrs.field(factory=set)
    _gone: set[Address] = attrs.field(factory=set)
    _sent: dict[Address, Sent] = attrs.field(factory=dict)
    _announced: dict[Address, Announced] = attrs.field(factory=dict)
    _payloads: dict[Address, tuple[object, str]] = attrs.field(factory=dict)
    _proxies: dict[str, tuple[object, float]] = attrs.field(factory=dict)
    _announcing: dict[str, Record] = attrs.field(factory=dict)
    _leaving: dict[str, tuple[dict[str, Record], str]] = attrs.field(factory=dict)

    def connected(self, again: bool) -> None:
        """A new connection. ``again``: this run had one before, so the broker may have lost what it retained."""
        self.held.clear()
        self._proxies.clear()
        if again:
            self.announce_all()

    def announce_all(self) -> None:
        """Publish everything again with the next messages: Home Assistant or the broker may have lost it."""
        self.held.clear()
        self._proxies.clear()
        for record in (*self.records.devices.values(), *self.records.proxies.values()):
            if record.announced is not None:
                record.announced = ""

    def record(self, reading: Reading) -> bool:
        """Remember which quantities and events a device sends. True where its discovery does not say so yet."""
        new = reading.mac not in self._sent or reading.room not in self.rooms
        if reading.room not in self.rooms:
            self.rooms = tuple(sorted({*self.rooms, reading.room}))
        sent = self._sent.setdefault(reading.mac, Sent())
        known = self._announced.get(reading.mac, Announced())
        for name, value in reading.values.items():
            if name not in known.quantities and name not in sent.quantities:
                sent.quantities[name] = quantity_of(name, value)
                new = True
        for event in reading.events:
            types = sent.events.setdefault(event.event, [])
            kind = known.events.get(event.event, EventKind(event.event))
            if event.type not in kind.types and event.type not in types:
                types.append(event.type)
                new = True
        return new

    def shows(self, mac: Address) -> bool:
        """Whether the device's state is published: not after it was removed."""
        known = device_id(mac) in self.records.devices and self.admitted(mac)
        return mac in self._present or (known and mac not in self._gone)

    def messages(self, devices: Sequence[DeviceStatus], proxies: Sequence[ProxyStatus], now: float) -> list[Message]:
        """What the broker does not hold yet."""
        expected = [proxy for proxy in proxies if proxy.mac is not None and proxy.state not in NOT_EXPECTED]
        shown = [device for device in devices if device.model and (device.listed or self._is_known(device))]
        self._add_rooms(expected, shown)
        found = [message for device in shown for message in self._of_device(device)]
        found += [message for proxy in expected for message in self._of_proxy(proxy, now)]
        return [*found, *self._left({device.mac for device in shown}, {_proxy_id(proxy) for proxy in expected}, now)]

    def acknowledged(self, messages: Iterable[Message]) -> None:
        """Note that the broker holds these now."""
        for message in messages:
            if message.payload:
                self.held[message.topic] = message.payload
            else:
                self.held.pop(message.topic, None)
            if (record := self._announcing.pop(message.topic, None)) is not None:
                record.announced = digest(message.payload) if message.payload else None
            entries, id_ = self._leaving.pop(message.topic, ({}, ""))
            entries.pop(id_, None)

    def _is_known(self, device: DeviceStatus) -> bool:
        """Announced before, or established: what is announced stays in Home Assistant until a person removes it."""
        if device_id(device.mac) in self.records.devices:
            return True
        return device.established and (bool(device.values) or device.mac in self._sent)

    def _add_rooms(self, proxies: Sequence[ProxyStatus], devices: Sequence[DeviceStatus]) -> None:
        """Rooms are only added while the service runs: a device may still be where no proxy is any more."""
        rooms = {*self.rooms, *(proxy.room for proxy in proxies), *(device.room for device in devices if device.room)}
        if len(rooms) != len(self.rooms):
            self.rooms = tuple(sorted(rooms))

    def _of_device(self, device: DeviceStatus) -> list[Message]:
        id_ = device_id(device.mac)
        record = self.records.devices.setdefault(id_, Record())
        wanted = self.discovery == "all" or (self.discovery == "listed" and device.listed)
        payload = self._discovery(device, record)
        found = self._config(self.topics.device_config(id_), payload if wanted else "", record)
        availability = Message(self.topics.availability(id_), ONLINE if device.available else OFFLINE, retain=True)
        return found if self.held.get(availability.topic) == availability.payload else [*found, availability]

    def _discovery(self, device: DeviceStatus, record: Record) -> str:
        sent = self._sent.get(device.mac, Sent())
        for name, types in sent.events.items():
            record.events[name] = list(dict.fromkeys([*record.events.get(name, []), *types]))
        announced = self._announced[device.mac] = _to_announce(device, sent, record)
        quantities, events = tuple(announced.quantities.values()), tuple(announced.events.values())
        maker = device.product.maker if device.product else ""
        subject = Subject(
            device.mac,
            device.name,
            device.model,
            device.kind,
            maker,
            device.sleepy,
            device.interval,
            quantities,
            events,
        )
        cached = self._payloads.get(device.mac)
        if cached is None or cached[0] != (subject, self.rooms):
            payload = device_payload(subject, self.rooms, self.topics)
            cached = self._payloads[device.mac] = (subject, self.rooms), payload
        return cached[1]

    def _of_proxy(self, proxy: ProxyStatus, now: float) -> list[Message]:
        id_ = _proxy_id(proxy)
        record = self.records.proxies.setdefault(id_, Record())
        payload = proxy_payload(id_, proxy.name, proxy.room, self.topics) if self.discovery != "off" else ""
        found = self._config(self.topics.proxy_config(id_), payload, record)
        key = (proxy.name, proxy.room, proxy.state, proxy.cause, proxy.version, proxy.active)
        last = self._proxies.get(id_)
        if last is None or last[0] != key or now - last[1] >= NUMBERS_EVERY:
            self._proxies[id_] = key, now
            found.append(Message(self.topics.proxy(id_), proxy_state_payload(proxy), retain=True))
        return found

    def _config(self, topic: str, payload: str, record: Record) -> list[Message]:
        """Discovery that the broker does not have yet, also not from an earlier run; an empty payload clears it."""
        if record.announced == (digest(payload) if payload else None):
            return []
        self._announcing[topic] = record
        return [Message(topic, payload, retain=True)]

    def _left(self, devices: set[Address], proxies: set[str], now: float) -> list[Message]:
        """What clears the topics of those that are gone. An unlisted device of an earlier run stays while admitted."""
        found: list[Message] = []
        for mac in self._present - devices:
            self._gone.add(mac)
            self._announced.pop(mac, None)
            self._payloads.pop(mac, None)
            self._sent.pop(mac, None)
        self._gone -= devices
        self._present = devices
        for id_, record in self.records.devices.items():
            mac = int(id_, 16)
            if mac not in devices and (mac in self._gone or not self.admitted(mac)):
                found += _device_cleared(self.topics, id_, record)
                self._leaving[self.topics.state(id_)] = self.records.devices, id_
        for id_, record in self.records.proxies.items():
            if id_ not in proxies and (id_ in self._proxies or now - self.started >= LEAVE_AFTER):
                found += _proxy_cleared(self.topics, id_, record)
                self._leaving[self.topics.proxy(id_)] = self.records.proxies, id_
        return found


def digest(payload: str) -> str:
    """What stands for a payload in the note."""
    return hashlib.sha256(payload.encode()).hexdigest()[:16]


def read(text: str | None) -> Records | None:
    """The note's records; None where there is no note, or none that can be read."""
    if text is None:
        return None
    try:
        found = json.loads(text)
        return Records(str(found["base"]), str(found["prefix"]), _entries(found["devices"]), _entries(found["proxies"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _entries(found: dict[str, Any]) -> dict[str, Record]:
    return {
        id_: Record(entry["announced"], {kind: list(types) for kind, types in entry["events"].items()})
        for id_, entry in found.items()
        if len(id_) == 12 and int(id_, 16) >= 0
    }


def moved(old: Records, topics: Topics) -> list[Message]:
    """What clears all topics of an earlier configuration, if its topics were others."""
    before = Topics(old.base, old.prefix)
    if before == topics:
        return []
    found = [message for id_, record in old.devices.items() for message in _device_cleared(before, id_, record)]
    found += [message for id_, record in old.proxies.items() for message in _proxy_cleared(before, id_, record)]
    return [*found, Message(before.bridge, "", retain=True)]


def _device_cleared(topics: Topics, id_: str, record: Record) -> list[Message]:
    kept = [topics.device_config(id_)] if record.announced is not None else []
    return [Message(topic, "", retain=True) for topic in (*kept, topics.availability(id_), topics.state(id_))]


def _proxy_cleared(topics: Topics, id_: str, record: Record) -> list[Message]:
    kept = [topics.proxy_config(id_)] if record.announced is not None else []
    return [Message(topic, "", retain=True) for topic in (*kept, topics.proxy(id_))]


def _to_announce(device: DeviceStatus, sent: Sent, record: Record) -> Announced:
    """What the device's product is known to send, what the device sent in this run, and the values that it has now.

    Where it sends another form of a quantity than its product is known for, its own counts.
    """
    product = device.product
    known = (*product.quantities, *product.read_quantities) if product else ()
    live = {name: quantity_of(name, value) for name, (value, _) in device.values.items()}
    quantities = {quantity.name: quantity for quantity in known} | sent.quantities | live
    events = {kind.name: kind for kind in product.events} if product else {}
    for name, types in record.events.items():
        kind = events.get(name) or kind_of(name)
        events[name] = attrs.evolve(kind, types=tuple(dict.fromkeys([*kind.types, *types])))
    return Announced(quantities, events)


def _proxy_id(proxy: ProxyStatus) -> str:
    assert proxy.mac is not None
    return device_id(proxy.mac)
