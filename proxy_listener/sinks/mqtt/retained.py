"""What the broker retains besides device states: availability, proxies, and Home Assistant's discovery.

Devices and proxies as they are now come in; the messages that the broker lacks go out, and those that it acknowledged
come back in. A message is published only where the broker does not hold it yet, and the topics of a device or proxy
that is gone are cleared. A note in the journal says what was acknowledged, so that this holds over a restart; without a
readable note everything is announced again, and nothing is cleared.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.events import EventKind
from proxy_listener.model.quantities import quantity_of
from proxy_listener.model.reading import Reading, timestamp
from proxy_listener.model.status import NOT_EXPECTED, DeviceStatus, ProxyState, ProxyStatus
from proxy_listener.sinks.mqtt.announced import Announced, Sent, to_announce
from proxy_listener.sinks.mqtt.discovery import Subject, device_payload, proxy_payload, service_payload
from proxy_listener.sinks.mqtt.records import Record, Records, digest
from proxy_listener.sinks.mqtt.topics import OFFLINE, ONLINE, Message, Topics, compact, device_id, proxy_state_payload

NOTE = "mqtt"
CLIENT_NOTE = "mqtt client"
"""Names of the journal's notes: these records, and the client id."""

NUMBERS_EVERY = 60.0
"""Seconds between two messages of a proxy of which only the numbers changed."""

SETTLES = 3.0
"""Seconds before a device whose room is not known is announced. Home Assistant takes its area with the first discovery
only, and a room is known once every proxy had a second to deliver the device's first frame."""

SAME_TIME = 60.0
"""Seconds by which the time of a read differs without being published again: it is computed from an age each time."""

LEAVE_AFTER = 60.0
"""Seconds after the start in which a proxy of the last run may still be found again, or connected to."""


@attrs.define
class Retained:
    """``admitted`` tells whether a device without an entry is to be shown. Times are monotonic.

    ``held`` is what the broker acknowledged on this connection, by topic; ``page`` is the URL of the service's page.
    """

    topics: Topics
    discovery: Literal["all", "listed", "off"]
    records: Records
    admitted: Callable[[Address], bool]
    started: float
    wall: Callable[[], float] = time.time
    held: dict[str, str] = attrs.field(factory=dict)
    page: str | None = None
    _present: set[Address] = attrs.field(factory=set)
    _gone: set[Address] = attrs.field(factory=set)
    _sent: dict[Address, Sent] = attrs.field(factory=dict)
    _announced: dict[Address, Announced] = attrs.field(factory=dict)
    _payloads: dict[Address, tuple[object, str]] = attrs.field(factory=dict)
    _proxies: dict[str, tuple[object, float]] = attrs.field(factory=dict)
    _rooms: set[str] = attrs.field(factory=set)
    _rooms_settled: bool = False
    _new: dict[Address, float] = attrs.field(factory=dict)
    _seen: set[str] = attrs.field(factory=set)
    _reads: dict[Address, tuple[float | None, float | None]] = attrs.field(factory=dict)
    _announcing: dict[str, Record] = attrs.field(factory=dict)
    _leaving: dict[str, tuple[dict[str, Record], str]] = attrs.field(factory=dict)

    @property
    def rooms(self) -> tuple[str, ...]:
        """What the room of a device may be. Home Assistant refuses another one."""
        return tuple(self.records.rooms)

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
        for record in (self.records.service, *self.records.devices.values(), *self.records.proxies.values()):
            if record.announced is not None:
                record.announced = ""

    def record(self, reading: Reading) -> bool:
        """Remember which quantities and events a device sends. True where its discovery does not say so yet."""
        new = reading.mac not in self._sent or reading.room not in self.records.rooms
        self.add_rooms([reading.room])
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

    def lifetime(self, mac: Address, name: str) -> int | None:
        """Seconds after which a value of the device is not known any more; None where it stays."""
        return self._announced.get(mac, Announced()).lifetimes.get(name)

    def describe(self, device: DeviceStatus) -> Announced:
        """What the device's discovery is to say now."""
        id_ = device_id(device.mac)
        sent = self._sent.get(device.mac, Sent())
        self._announced[device.mac] = to_announce(device, sent, self.records.devices.get(id_, Record()))
        return self._announced[device.mac]

    def messages(self, devices: Sequence[DeviceStatus], proxies: Sequence[ProxyStatus], now: float) -> list[Message]:
        """What the broker does not hold yet."""
        expected = [proxy for proxy in proxies if proxy.mac is not None and proxy.state not in NOT_EXPECTED]
        shown = [device for device in devices if device.model and (device.listed or self._is_known(device))]
        self.add_rooms([*(proxy.room for proxy in expected), *(device.room for device in shown if device.room)])
        if not self._rooms_settled and now - self.started >= LEAVE_AFTER:
            self._rooms_settled, self.records.rooms = True, sorted(self._rooms)
        found = self._of_service()
        found += [message for device in shown for message in self._of_device(device, now)]
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

    def add_rooms(self, rooms: Iterable[str]) -> None:
        """Rooms are only added while the service runs: a device may still be where no proxy is any more. Those of the
        last run stay for a minute, or each start would announce every device anew.
        """
        self._rooms.update(rooms)
        if not self._rooms.issubset(self.records.rooms):
            self.records.rooms = sorted(self._rooms.union(self.records.rooms))

    def _of_service(self) -> list[Message]:
        payload = service_payload(self.topics, self.page) if self.discovery != "off" else ""
        return self._config(self.topics.service_config, payload, self.records.service)

    def _of_device(self, device: DeviceStatus, now: float) -> list[Message]:
        id_ = device_id(device.mac)
        record = self.records.devices.setdefault(id_, Record())
        wanted = self.discovery == "all" or (self.discovery == "listed" and device.listed)
        if record.area is None:
            record.area = self._area(device, now)
        payload = self._discovery(device, record)
        found: list[Message] = []
        if record.area is not None or record.announced is not None or not wanted:
            found = self._config(self.topics.device_config(id_), payload if wanted else "", record)
        availability = Message(self.topics.availability(id_), ONLINE if device.available else OFFLINE, retain=True)
        wished = [availability, *([self._read(device, record)] if _is_read(device) else [])]
        return [*found, *(message for message in wished if self.held.get(message.topic) != message.payload)]

    def _read(self, device: DeviceStatus, record: Record) -> Message:
        """When it was read last and is read next. Times that differ by less than a minute are the same."""
        record.read = True
        now, last = self.wall(), self._reads.get(device.mac, (None, None))
        ages = (None if device.read_age is None else -device.read_age), device.read_due
        times = [None if age is None else now + age for age in ages]
        same = [
            before if before is not None and time is not None and abs(time - before) < SAME_TIME else time
            for before, time in zip(last, times, strict=True)
        ]
        self._reads[device.mac] = same[0], same[1]
        stamps = {name: time and timestamp(time) for name, time in zip(("last", "next"), same, strict=True)}
        return Message(self.topics.read(device_id(device.mac)), compact(stamps), retain=True)

    def _area(self, device: DeviceStatus, now: float) -> str | None:
        """The room that hears a new device best, once all rooms had time to hear it; None until then."""
        if device.room is None and now - self._new.setdefault(device.mac, now) < SETTLES:
            return None
        self._new.pop(device.mac, None)
        return device.room or (device.heard[0].room if device.heard else "")

    def _discovery(self, device: DeviceStatus, record: Record) -> str:
        sent = self._sent.get(device.mac, Sent())
        for name, types in sent.events.items():
            record.events[name] = list(dict.fromkeys([*record.events.get(name, []), *types]))
        announced = self.describe(device)
        quantities, events = tuple(announced.quantities.values()), tuple(announced.events.values())
        firmware = device.values.get("firmware")
        subject = Subject(
            device.mac,
            device.name,
            device.model,
            device.kind,
            device.product.maker if device.product else "",
            quantities,
            events,
            announced.lifetimes,
            record.area,
            str(firmware[0]) if firmware else None,
            self.page,
            read=_is_read(device),
        )
        cached = self._payloads.get(device.mac)
        if cached is None or cached[0] != (subject, self.rooms):
            payload = device_payload(subject, self.rooms, self.topics)
            cached = self._payloads[device.mac] = (subject, self.rooms), payload
        return cached[1]

    def _of_proxy(self, proxy: ProxyStatus, now: float) -> list[Message]:
        id_ = _proxy_id(proxy)
        record = self.records.proxies.setdefault(id_, Record())
        if proxy.state is ProxyState.CONNECTING and id_ not in self._seen and now - self.started < LEAVE_AFTER:
            return []  # the broker retains what it was in the last run
        self._seen.add(id_)
        record.version = proxy.version or record.version
        payload = proxy_payload(id_, proxy.name, proxy.room, self.topics, version=record.version, page=self.page)
        found = self._config(self.topics.proxy_config(id_), payload if self.discovery != "off" else "", record)
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
            self._new.pop(mac, None)
            self._reads.pop(mac, None)
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


def moved(old: Records, topics: Topics) -> list[Message]:
    """What clears all topics of an earlier configuration, if its topics were others."""
    before = Topics(old.base, old.prefix)
    if before == topics:
        return []
    found = [message for id_, record in old.devices.items() for message in _device_cleared(before, id_, record)]
    found += [message for id_, record in old.proxies.items() for message in _proxy_cleared(before, id_, record)]
    if old.service.announced is not None:
        found.append(Message(before.service_config, "", retain=True))
    return [*found, Message(before.bridge, "", retain=True)]


def _device_cleared(topics: Topics, id_: str, record: Record) -> list[Message]:
    kept = [topics.device_config(id_)] if record.announced is not None else []
    kept += [topics.read(id_)] if record.read else []
    return [Message(topic, "", retain=True) for topic in (*kept, topics.availability(id_), topics.state(id_))]


def _is_read(device: DeviceStatus) -> bool:
    return device.readable and device.listed


def _proxy_cleared(topics: Topics, id_: str, record: Record) -> list[Message]:
    kept = [topics.proxy_config(id_)] if record.announced is not None else []
    return [Message(topic, "", retain=True) for topic in (*kept, topics.proxy(id_))]


def _proxy_id(proxy: ProxyStatus) -> str:
    assert proxy.mac is not None
    return device_id(proxy.mac)
