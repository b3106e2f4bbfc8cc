"""The hot path: an advertisement in, what became of it out.

What comes in: the fields of one advertisement, from the proxy's callback, in one synchronous call chain. What goes
out: an :class:`Outcome`, counted here, and readings through ``emit``. Of a thousand advertisements a second most are
phones and nearly all others are copies, so these two leave first, after the fewest operations: :meth:`Listener.hear`.
Fields are passed one by one, because making an object of them costs more than letting a foreign advertisement go.

The rule of this file: only what decoded, and where there is a bindkey verified, moves any state; and an address alone
never decides that a device is foreign (a sensor may be heard first through a scan response that holds only its name).
"""

from collections.abc import Callable
from typing import NamedTuple
from zlib import crc32

from proxy_listener.engine.dedup import ACCEPTED, FOREVER, NEW, REPLAY_AFTER, Judgement, Verdict
from proxy_listener.engine.device import Copy, Device
from proxy_listener.engine.devices import Devices
from proxy_listener.formats.layout import NOTHING_SKIPPED, Found, Skipped
from proxy_listener.formats.xiaomi import hhcc, miscale
from proxy_listener.formats.xiaomi.mibeacon import Bindkey, Frame, open_frame, parse_frame
from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.formats.xiaomi.objects import read_objects
from proxy_listener.model.advertisement import (
    BODY_COMPOSITION,
    MIBEACON,
    SERVICE_DATA_16,
    TUYA,
    WEIGHT_SCALE,
    Address,
    find_ours,
    service_data,
)
from proxy_listener.model.errors import NoReadingError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading, Trust
from proxy_listener.model.status import KeyState

RSSI_SECONDS = 2.0
"""A copy of an authenticated frame says where the device is only so long after the first: later it may be a replay."""

SKIPPED = 256
"""Kinds of skipped things that are told apart: anybody can make up object ids."""

NOT_OURS, DECODED, REPEAT, LATE, REPLAY = (
    Outcome.NOT_OURS,
    Outcome.DECODED,
    Outcome.REPEAT,
    Outcome.LATE,
    Outcome.REPLAY,
)
"""Looking a member up in its enum takes a third of the time that a foreign advertisement may cost."""

_NOT_OURS, _REPEAT = int(NOT_OURS), int(REPEAT)
"""Where the two are counted that most are: a plain number is the quicker index."""

NOTHING: frozenset[str] = frozenset()
"""No quantities."""


class Hearing(NamedTuple):
    """The circumstances of one advertisement."""

    proxy: str
    address: Address
    address_type: int
    rssi: int
    data: bytes
    time: float
    heard: float


_new = tuple.__new__  # NamedTuple's own constructor is Python code and takes twice as long


class Listener:
    """``outcomes`` counts by :class:`Outcome`, ``skipped`` what frames held beside what was read: unknown objects by
    id, those that were cut off, and quantities outside their range. ``emit`` takes each reading.
    """

    def __init__(self, devices: Devices, emit: Callable[[Reading], None]) -> None:
        self.devices = devices
        self.outcomes = [0] * len(Outcome)
        self.skipped: dict[str, int] = {}
        self._by_address = devices.by_address
        self._emit = emit
        self._formats = {
            MIBEACON: self._mibeacon,
            WEIGHT_SCALE: self._uncounted,
            BODY_COMPOSITION: self._uncounted,
            TUYA: self._uncounted,
        }

    def hear(
        self, proxy: str, address: Address, address_type: int, rssi: int, data: bytes, time: float, heard: float
    ) -> Outcome:
        """What became of one advertisement. ``time`` is wall, ``heard`` monotonic seconds; ``rssi`` 0 is unknown."""
        device = self._by_address.get(address)
        if device is not None:
            copy = device.copies.get(data)
            if copy is not None and heard - copy.last <= copy.ttl:
                copy.last = heard
                if copy.stream is None and heard - copy.first > RSSI_SECONDS:
                    outcome = REPLAY if heard - copy.first > REPLAY_AFTER else REPEAT
                    self.outcomes[outcome] += 1
                    return outcome
                device.heard = heard
                device.routes.note(proxy, rssi, heard, copy.serial, address_type)
                self.outcomes[_REPEAT] += 1
                return REPEAT
        if SERVICE_DATA_16 not in data or find_ours(data) is None:
            self.outcomes[_NOT_OURS] += 1
            return NOT_OURS
        outcome = NOT_OURS
        hearing = _new(Hearing, (proxy, address, address_type, rssi, data, time, heard))
        for uuid, payload in service_data(data):
            if look := self._formats.get(uuid):
                try:
                    outcome = look(self._by_address.get(address), hearing, uuid, payload)
                except NoReadingError as error:
                    outcome = error.outcome
        self.outcomes[outcome] += 1
        return outcome

    def let_go(self, count: int) -> None:
        """So many advertisements held no service data of ours: they are only counted."""
        self.outcomes[_NOT_OURS] += count

    def _mibeacon(self, device: Device | None, hearing: Hearing, _uuid: int, payload: bytes) -> Outcome:
        frame = parse_frame(payload, hearing.address)
        if not frame.body:
            return self._sign_of_life(device, hearing, frame)
        if frame.scheme != "plain":
            return self._encrypted(device or self._admit(hearing), hearing, frame, payload)
        if device is not None and not device.believes_plain():
            return Outcome.DOWNGRADED
        model = model_of(frame.product_id)
        if device is not None and device.contradicts(model):
            return Outcome.CONFLICT
        found = read_objects(frame.body, model, False)
        return self._claimed(device, hearing, model, found, frame.body, "claimed", frame.counter32)

    def _uncounted(self, device: Device | None, hearing: Hearing, uuid: int, payload: bytes) -> Outcome:
        """Mi scales and HHCCJCY10: no counter, no bindkey, no MAC inside."""
        if device is not None and not device.believes_plain():
            return Outcome.DOWNGRADED
        model, found = (hhcc if uuid == TUYA else miscale).decode(uuid, payload)
        if device is not None and device.contradicts(model):
            return Outcome.CONFLICT
        return self._claimed(device, hearing, model, found, payload, "claimed", None)

    def _sign_of_life(self, device: Device | None, hearing: Hearing, frame: Frame) -> Outcome:
        """A frame without objects may share its counter with one that has some: it never counts as known."""
        if device is None and frame.version == 0:
            # All that a plant sensor with old firmware ever sends: its owner should learn that it is there.
            device = self._admit(hearing)
        if device is not None and not device.keys:
            if device.model is None:
                self.devices.name(device, model_of(frame.product_id), hearing.heard)
            self._alive(device, hearing)
            self._locate(device, hearing.heard)
            # Of a listed device the read over a connection tells, with its firmware's version.
            if frame.version == 0 and device.entry is None and not device.old_firmware:
                device.old_firmware = True
                self.devices.tell("old_firmware", device)
        return Outcome.EMPTY

    def _encrypted(self, device: Device, hearing: Hearing, frame: Frame, payload: bytes) -> Outcome:
        model = model_of(frame.product_id)
        if not device.keys:
            return self._sealed(device, hearing, model, payload)
        scheme = frame.scheme
        keys = device.keys_in_force(scheme, hearing.heard)
        if not keys:
            return Outcome.DOWNGRADED
        if device.budgets.spent(hearing.proxy, hearing.heard):
            if device.budgets.to_tell(hearing.heard):
                self.devices.tell("guessing", device, hearing.proxy)
            return Outcome.GUESSING
        for key in keys:
            body = open_frame(frame, payload, hearing.address, key)
            if body is not None:
                break
        else:
            device.budgets.charge(hearing.proxy, hearing.heard)
            if device.key_failed(hearing.heard):
                self.devices.tell("key_wrong", device)
            return Outcome.WRONG_BINDKEY
        if device.key_verified(key.id, hearing.heard):
            self.devices.tell("key_verified", device)
        found = read_objects(body, model, True)
        if scheme == "legacy":
            return self._claimed(device, hearing, model, found, body, "encrypted", frame.counter)
        return self._authenticated(device, hearing, model, found, frame, key)

    def _sealed(self, device: Device, hearing: Hearing, model: Model, payload: bytes) -> Outcome:
        """An encrypted frame of a device without a bindkey is kept until there is one."""
        if device.model is None:
            self.devices.name(device, model, hearing.heard)
        self._alive(device, hearing)
        self._locate(device, hearing.heard)
        if device.key is not KeyState.MISSING:
            device.key = KeyState.MISSING
            self.devices.tell("key_missing", device)
        proxy, address, address_type, rssi, _, time, _ = hearing
        self.devices.memory.seal(address, time, proxy, rssi, address_type, payload)
        return Outcome.NO_BINDKEY

    def _authenticated(
        self, device: Device, hearing: Hearing, model: Model, found: Found, frame: Frame, key: Bindkey
    ) -> Outcome:
        self.require_content(found, model)
        heard, counter, stream = hearing.heard, frame.counter32, device.authenticated(key.id)
        identity = stream.identity(key.id, counter, frame.tag)
        judgement = stream.judge(counter, identity, heard)
        if judgement.verdict > ACCEPTED:
            if judgement.age <= RSSI_SECONDS:
                self._alive(device, hearing, device.serial)
            return _DROPPED[judgement.verdict]
        device.remember(hearing.data, Copy(heard, heard, FOREVER, device.serial + 1))
        return self._accept(device, hearing, model, found, judgement, stream, counter, "authenticated", identity)

    def _claimed(
        self,
        device: Device | None,
        hearing: Hearing,
        model: Model,
        found: Found,
        body: bytes,
        trust: Trust,
        counter: int | None,
    ) -> Outcome:
        """Plain and legacy frames: eight bits of counter or none, and nothing that proves them."""
        self.require_content(found, model)
        device = device or self._admit(hearing)
        device.flush()
        stream = device.claimed(b"U" if counter is None else b"C" if model.constant else b"P")
        place, digest, heard = counter or 0, crc32(body), hearing.heard
        judgement = stream.judge(place, digest, heard)
        new = judgement.verdict <= ACCEPTED
        if stream.ttl:
            copy = Copy(heard, heard, stream.ttl, device.serial + new, stream, place, digest, heard)
            device.remember(hearing.data, copy)
        if not new:
            self._alive(device, hearing)
            return _DROPPED[judgement.verdict]
        if counter is not None and not model.constant and device.rivals.show(counter, heard):
            self.devices.tell("conflict", device, hearing.proxy)
        identity = stream.identity(place, digest)
        return self._accept(device, hearing, model, found, judgement, stream, counter, trust, identity)

    def _accept(
        self,
        device: Device,
        hearing: Hearing,
        model: Model,
        found: Found,
        judgement: Judgement,
        stream: object,
        counter: int | None,
        trust: Trust,
        identity: bytes,
    ) -> Outcome:
        """A frame that nobody delivered before: it moves the device's state and becomes a reading."""
        values, events, _ = found
        late = judgement.verdict is not NEW
        self.devices.name(device, model, hearing.heard, proven=trust == "authenticated")
        device.serial += 1
        device.readings += 1
        device.trust = trust
        if not late:
            device.counter = counter
        self._alive(device, hearing, device.serial)
        stale = NOTHING
        if late:
            stale = device.stale(values, stream, judgement.order)
        elif trust == "claimed":
            stale = device.slopes.leaping(values, hearing.heard)
        device.write(values, stale, hearing.time, stream, judgement.order)
        self._locate(device, hearing.heard)
        room = self.devices.room(device.routes.nearest or hearing.proxy)
        # In the order of its fields, because keywords take as long again as all else in making it.
        reading = Reading(
            hearing.time,
            device.address,
            device.name,
            model.name,
            "advertisement",
            hearing.proxy,
            room,
            hearing.rssi or None,
            counter,
            trust,
            late,
            values,
            events,
            judgement.fires,
            stale,
            identity,
        )
        self._emit(reading)
        return LATE if late else DECODED

    def require_content(self, found: Found, model: Model) -> None:
        """NoReadingError where a frame with objects gave no value and no event. What was skipped is counted."""
        values, events, skipped = found
        if skipped is not NOTHING_SKIPPED:
            self._count_skipped(skipped)
        if values or events:
            return
        if skipped.implausible:
            raise NoReadingError(Outcome.IMPLAUSIBLE)
        if skipped.short:
            raise NoReadingError(Outcome.MALFORMED)
        if not model.known:
            raise NoReadingError(Outcome.UNKNOWN_PRODUCT)
        raise NoReadingError(Outcome.UNKNOWN_OBJECT if skipped.unknown else Outcome.EMPTY)

    def _count_skipped(self, skipped: Skipped) -> None:
        names = [f"unknown object 0x{object_id:04X}" for object_id in skipped.unknown]
        names += [f"implausible {quantity}" for quantity in skipped.implausible]
        if skipped.short:
            names.append("object cut off")
        for name in names:
            if name in self.skipped or len(self.skipped) < SKIPPED:
                self.skipped[name] = self.skipped.get(name, 0) + 1

    def _alive(self, device: Device, hearing: Hearing, serial: int = 0) -> None:
        """A well-formed frame, be it a reading or not, says that the device lives, and where."""
        device.heard = hearing.heard
        device.routes.note(hearing.proxy, hearing.rssi, hearing.heard, serial, hearing.address_type)

    def _locate(self, device: Device, heard: float) -> None:
        nearest = device.routes.nearest
        if device.routes.settle(heard):
            self.devices.moved(device, nearest)

    def _admit(self, hearing: Hearing) -> Device:
        return self.devices.admit(hearing.address, hearing.time, hearing.heard)


_DROPPED = {Verdict.REPEAT: Outcome.REPEAT, Verdict.REPLAY: Outcome.REPLAY, Verdict.HELD: Outcome.HELD}
