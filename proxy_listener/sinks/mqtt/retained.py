"""What the broker is to keep for us, beside the states: availability, proxies, and Home Assistant's discovery.

The house as it is goes in, the messages that make the broker agree come out; those it acknowledged are told back. The
rule of this file: a message goes out only where the broker does not hold it yet, and what leaves the house is taken
back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.events import EventKind, kind_of
from proxy_listener.model.quantities import Quantity, quantity_of
from proxy_listener.model.reading import Reading
from proxy_listener.model.status import NOT_EXPECTED, DeviceStatus, ProxyStatus
from proxy_listener.sinks.mqtt.discovery import Subject, device_payload, proxy_payload
from proxy_listener.sinks.mqtt.records import Record, Records, digest
from proxy_listener.sinks.mqtt.topics import OFFLINE, ONLINE, Message, Topics, compact, device_id

NUMBERS_EVERY = 60.0
"""Seconds between two messages of a proxy of which only the numbers changed."""

LEAVE_AFTER = 60.0
"""Seconds after the start in which a proxy of the last run may still be found again."""


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
    """``admitted`` tells whether a device without an entry belongs to the house. Times are monotonic.

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
    _known: dict[Address, Announced] = attrs.field(factory=dict)
    _payloads: dict[Address, tuple[object, str]] = attrs.field(factory=dict)
    _proxies: dict[str, tuple[object, float]] = attrs.field(factory=dict)
    _announcing: dict[str, Record] = attrs.field(factory=dict)
    _leaving: dict[str, tuple[dict[str, Record], str]] = attrs.field(factory=dict)

    def connected(self, again: bool) -> None:
        """A new connection. ``again``: this run had one before, so the broker may have lost what it kept."""
        self.held.clear()
        self._proxies.clear()
        if again:
            self.announce_all()

    def announce_all(self) -> None:
        """All is due again: who listens may have forgotten it."""
        self.held.clear()
        self._proxies.clear()
        for record in (*self.records.devices.values(), *self.records.proxies.values()):
            if record.announced is not None:
                record.announced = ""

    def saw(self, reading: Reading) -> bool:
        """Takes note of what a device sends. True where its discovery does not say so yet."""
        new = reading.mac not in self._sent or reading.room not in self.rooms
        if reading.room not in self.rooms:
            self.rooms = tuple(sorted({*self.rooms, reading.room}))
        sent = self._sent.setdefault(reading.mac, Sent())
        known = self._known.get(reading.mac, Announced())
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
        """Whether the device is in the house: one that left has no state any more."""
        return mac in self._present or (mac not in self._gone and self.admitted(mac))

    def messages(self, devices: Sequence[DeviceStatus], proxies: Sequence[ProxyStatus], now: float) -> list[Message]:
        """What the broker does not hold yet."""
        ours = [proxy for proxy in proxies if proxy.mac is not None and proxy.state not in NOT_EXPECTED]
        shown = [device for device in devices if device.model and (device.listed or self._spoke(device))]
        self._learn_rooms(ours, shown)
        found: list[Message] = []
        for device in shown:
            found += self._of_device(device)
        for proxy in ours:
            found += self._of_proxy(proxy, now)
        return [*found, *self._left({device.mac for device in shown}, {_proxy_id(proxy) for proxy in ours}, now)]

    def acknowledged(self, messages: Iterable[Message]) -> None:
        """The broker holds these now; the records say so."""
        for message in messages:
            if message.payload:
                self.held[message.topic] = message.payload
            else:
                self.held.pop(message.topic, None)
            if (record := self._announcing.pop(message.topic, None)) is not None:
                record.announced = digest(message.payload) if message.payload else None
            entries, id_ = self._leaving.pop(message.topic, ({}, ""))
            entries.pop(id_, None)

    def _record(self, mac: Address) -> Record:
        return self.records.devices.setdefault(device_id(mac), Record())

    def _spoke(self, device: DeviceStatus) -> bool:
        return bool(device.values) or device.mac in self._sent or device_id(device.mac) in self.records.devices

    def _learn_rooms(self, proxies: Sequence[ProxyStatus], devices: Sequence[DeviceStatus]) -> None:
        """Rooms are only added while the service runs: a device may still be where no proxy is any more."""
        rooms = {*self.rooms, *(proxy.room for proxy in proxies), *(device.room for device in devices if device.room)}
        if len(rooms) != len(self.rooms):
            self.rooms = tuple(sorted(rooms))

    def _of_device(self, device: DeviceStatus) -> list[Message]:
        id_, record = device_id(device.mac), self._record(device.mac)
        found: list[Message] = []
        wanted = self.discovery == "all" or (self.discovery == "listed" and device.listed)
        payload = self._discovery(device, record)
        if wanted:
            found += self._config(self.topics.device_config(id_), payload, record)
        elif record.announced is not None:
            found += self._announced(Message(self.topics.device_config(id_), "", retain=True), record)
        found += self._changed(self.topics.availability(id_), ONLINE if device.available else OFFLINE)
        return found

    def _discovery(self, device: DeviceStatus, record: Record) -> str:
        sent = self._sent.get(device.mac, Sent())
        for name, types in sent.events.items():
            record.events[name] = list(dict.fromkeys([*record.events.get(name, []), *types]))
        announced = self._known[device.mac] = _announced(device, sent, record)
        subject = Subject(
            device.mac,
            device.name,
            device.model,
            device.kind,
            device.product.maker if device.product else "",
            device.sleepy,
            device.interval,
            tuple(announced.quantities.values()),
            tuple(announced.events.values()),
        )
        cached = self._payloads.get(device.mac)
        if cached is None or cached[0] != (subject, self.rooms):
            payload = device_payload(subject, self.rooms, self.topics)
            cached = self._payloads[device.mac] = (subject, self.rooms), payload
        return cached[1]

    def _of_proxy(self, proxy: ProxyStatus, now: float) -> list[Message]:
        id_ = _proxy_id(proxy)
        record = self.records.proxies.setdefault(id_, Record())
        found: list[Message] = []
        if self.discovery != "off":
            payload = proxy_payload(id_, proxy.name, proxy.room, self.topics)
            found += self._config(self.topics.proxy_config(id_), payload, record)
        key = (proxy.name, proxy.room, proxy.state, proxy.cause, proxy.version, proxy.active)
        last = self._proxies.get(id_)
        if last is None or last[0] != key or now - last[1] >= NUMBERS_EVERY:
            self._proxies[id_] = key, now
            found.append(Message(self.topics.proxy(id_), proxy_state(proxy), retain=True))
        return found

    def _config(self, topic: str, payload: str, record: Record) -> list[Message]:
        """Discovery that the broker has from an earlier run, too, is not sent again."""
        if record.announced == digest(payload):
            return []
        return self._announced(Message(topic, payload, retain=True), record)

    def _announced(self, message: Message, record: Record) -> list[Message]:
        """The message, and whose record is to say that it was heard."""
        self._announcing[message.topic] = record
        return [message]

    def _changed(self, topic: str, payload: str) -> list[Message]:
        return [] if self.held.get(topic) == payload else [Message(topic, payload, retain=True)]

    def _left(self, devices: set[Address], proxies: set[str], now: float) -> list[Message]:
        """What takes back those that are gone. A stranger of an earlier run stays until it is heard or forgotten."""
        found: list[Message] = []
        for mac in self._present - devices:
            self._gone.add(mac)
            self._known.pop(mac, None)
            self._payloads.pop(mac, None)
            self._sent.pop(mac, None)
        self._gone -= devices
        self._present = devices
        for id_, record in self.records.devices.items():
            mac = int(id_, 16)
            if mac not in devices and (mac in self._gone or not self.admitted(mac)):
                found += taken_back(self.topics, id_, record)
                self._leaving[self.topics.state(id_)] = self.records.devices, id_
        for id_, record in self.records.proxies.items():
            if id_ not in proxies and (id_ in self._proxies or now - self.started >= LEAVE_AFTER):
                found += proxy_taken_back(self.topics, id_, record)
                self._leaving[self.topics.proxy(id_)] = self.records.proxies, id_
        return found


def _announced(device: DeviceStatus, sent: Sent, record: Record) -> Announced:
    """What the device's product is known to send, what it sent in this run, what its values are now.

    Where a device sends another form of a quantity than its product is known for, its own counts.
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


def proxy_state(proxy: ProxyStatus) -> str:
    """How a proxy is, for its topic."""
    return compact(
        {
            "name": proxy.name,
            "room": proxy.room,
            "state": str(proxy.state),
            "cause": proxy.cause,
            "advice": proxy.advice,
            "version": proxy.version,
            "active": proxy.active,
            "rate": round(proxy.rate, 1),
            "advertisements": proxy.advertisements,
            "slots_free": proxy.slots_free,
            "slots_limit": proxy.slots_limit,
            "wifi_rssi": proxy.wifi_rssi,
        }
    )


def taken_back(topics: Topics, id_: str, record: Record) -> list[Message]:
    """What makes the broker, and Home Assistant, forget a device."""
    kept = [topics.device_config(id_)] if record.announced is not None else []
    return [Message(topic, "", retain=True) for topic in (*kept, topics.availability(id_), topics.state(id_))]


def proxy_taken_back(topics: Topics, id_: str, record: Record) -> list[Message]:
    """What makes the broker, and Home Assistant, forget a proxy."""
    kept = [topics.proxy_config(id_)] if record.announced is not None else []
    return [Message(topic, "", retain=True) for topic in (*kept, topics.proxy(id_))]


def moved(old: Records, topics: Topics) -> list[Message]:
    """What takes everything back from the topics of an earlier configuration."""
    before = Topics(old.base, old.prefix)
    if before == topics:
        return []
    found = [message for id_, record in old.devices.items() for message in taken_back(before, id_, record)]
    for id_, record in old.proxies.items():
        found += proxy_taken_back(before, id_, record)
    return [*found, Message(before.bridge, "", retain=True)]


def _proxy_id(proxy: ProxyStatus) -> str:
    assert proxy.mac is not None
    return device_id(proxy.mac)
