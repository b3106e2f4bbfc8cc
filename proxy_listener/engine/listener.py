"""The hot path: what becomes of each advertisement.

What comes in: the fields of an advertisement, as proxies deliver them. What goes out: an :class:`Outcome`, which is
counted here, and readings through ``emit``. Of a thousand advertisements a second most come from phones and nearly all
others are copies, so these two leave first, after the fewest operations: :meth:`Listener.hear`. Micro-optimisations
(fields passed one by one, enumeration members bound to names) are confined to this file, ``formats/layout.py``,
``formats/xiaomi/mibeacon.py`` and ``proxies/receive.py``; each was measured.

Only a frame that decoded, and where there is a bindkey verified, moves any state. An address alone never decides that a
device is foreign: a sensor may be heard first through a scan response that holds only its name.
"""

from collections.abc import Callable
from typing import Any, NamedTuple
from zlib import crc32

from proxy_listener.engine.dedup import (
    ACCEPTED,
    FOREVER,
    HEARTBEAT,
    NEW,
    REPLAY_AFTER,
    SAME_MOMENT,
    USUAL_RESTART,
    Judgement,
    Verdict,
    stream_id,
)
from proxy_listener.engine.device import Copy, Device
from proxy_listener.engine.devices import Devices
from proxy_listener.engine.failed_tags import FailedTags
from proxy_listener.engine.finest import Finest
from proxy_listener.engine.newcomers import Sign
from proxy_listener.engine.plausibility import restart_of
from proxy_listener.formats import FORMATS, RARE, find_company, find_ours
from proxy_listener.formats.format import Format, Frame
from proxy_listener.formats.layout import NOTHING_SKIPPED, Found, Skipped, Values
from proxy_listener.model.advertisement import SERVICE_DATA_16, Address, local_name, payloads
from proxy_listener.model.errors import NoReadingError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading, Trust
from proxy_listener.model.status import KeyState

SKIPPED_KINDS = 256
"""Kinds of skipped things that are counted apart: anyone can invent object ids."""

NOT_OURS, DECODED, REPEAT, LATE, REPLAY = (
    Outcome.NOT_OURS,
    Outcome.DECODED,
    Outcome.REPEAT,
    Outcome.LATE,
    Outcome.REPLAY,
)
"""Looking a member up in its enumeration takes a third of the time that a foreign advertisement may cost."""

_READ = (DECODED, LATE)
_LITTLE = (NOT_OURS, Outcome.EMPTY, Outcome.NOT_A_FRAME)
"""Of several frames in one advertisement, the first that is none of these is its outcome, unless one was read."""

_NOT_OURS, _REPEAT = int(NOT_OURS), int(REPEAT)
"""The two indexes that are counted most: a plain number is the quicker index."""

QUANTITIES_LIMIT = 96
"""Quantities of one device, at most, and those of one more frame: where they are numbered, anyone can invent some."""

XIAOMI_ALONE = (b"",)
"""The formats of most devices."""

NO_QUANTITIES: frozenset[str] = frozenset()

ONCE = frozenset({"mass", "mass_non_stabilized", "impedance", "stabilized", "weighing"})
"""Quantities of a weighing, which happens once: a scale that goes on sending it makes no further one."""


class Advert(NamedTuple):
    """One advertisement that holds a payload of ours. ``time``: wall seconds, ``heard``: monotonic seconds."""

    proxy: str
    address: Address
    address_type: int
    rssi: int
    data: bytes
    time: float
    heard: float


class Judged(NamedTuple):
    """A frame that decoded, and what the duplicate rule says of it. ``stream``: the rule's state that judged it."""

    form: Format[Any]
    model: Model
    found: Found
    trust: Trust
    counter: int | None
    identity: bytes
    judgement: Judgement
    stream: object


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

    def hear(
        self, proxy: str, address: Address, address_type: int, rssi: int, data: bytes, time: float, heard: float
    ) -> Outcome:
        """What became of one advertisement. ``time`` is wall, ``heard`` monotonic seconds; ``rssi`` 0 is unknown."""
        device = self._by_address.get(address)
        if device is not None:
            copy = device.copies.get(data)
            if copy is not None and heard - copy.last <= copy.ttl:
                copy.last = heard
                if heard - copy.first <= SAME_MOMENT or (copy.stream is not None and heard - copy.first < HEARTBEAT):
                    device.heard = heard
                    device.routes.note(proxy, rssi, heard, copy.serial, address_type)
                    self.outcomes[_REPEAT] += 1
                    return REPEAT
                if copy.stream is None:
                    outcome = REPLAY if heard - copy.first > REPLAY_AFTER else REPEAT
                    self.outcomes[outcome] += 1
                    return outcome
        if (SERVICE_DATA_16 not in data or find_ours(data) is None) and (
            RARE not in data or find_company(data) is None
        ):
            self.outcomes[_NOT_OURS] += 1
            return NOT_OURS
        outcome, before = NOT_OURS, None
        advert = _new(Advert, (proxy, address, address_type, rssi, data, time, heard))
        for uuid, payload in payloads(data):
            form = FORMATS.get(uuid)
            # The frame of the service data may come as manufacturer data too.
            if form is not None and payload != before:
                before = payload
                try:
                    became = self._read(form, self._by_address.get(address), advert, uuid, payload)
                except NoReadingError as error:
                    became = error.outcome
                if outcome in _LITTLE or became in _READ:
                    outcome = became
        self.outcomes[outcome] += 1
        return outcome

    def count_foreign(self, count: int) -> None:
        """So many advertisements held no payload of ours: they are only counted."""
        self.outcomes[_NOT_OURS] += count

    def _read(self, form: Format[Any], device: Device | None, advert: Advert, uuid: int, payload: bytes) -> Outcome:
        frame = form.parse(payload, advert.address)
        if form.mark:
            device, advert = self._neighbour(form, device, advert, frame)
        if not frame.body:
            return self._sign_of_life(device, advert, frame)
        if frame.scheme != "plain":
            return self._encrypted(form, device or self._admit(advert, frame), advert, frame, uuid, payload)
        model = frame.model
        if device is not None:
            if not device.believes_plain():
                self._note_format(device, form)
                return Outcome.DOWNGRADED
            if device.contradicts(model):
                return Outcome.CONFLICT
        found = form.read(frame.body, model, False)
        return self._claimed(form, device, advert, frame, found, frame.body, "claimed")

    def _neighbour(
        self, form: Format[Any], device: Device | None, advert: Advert, frame: Frame
    ) -> tuple[Device | None, Advert]:
        """The sender of a frame of a format that is not Xiaomi's: its address, and what product it is."""
        if form.relayed and frame.mac is not None and frame.mac != advert.address:
            advert = advert._replace(address=frame.mac)
            device = self._by_address.get(frame.mac)
        if frame.model.generic:
            named = form.named(local_name(advert.data)) if form.named is not None else None
            if named is not None:
                frame.model = named
            if frame.model.generic and device is not None and device.model is not None and not device.model.generic:
                frame.model = device.model
        return device, advert

    def _note_format(self, device: Device, form: Format[Any]) -> None:
        before = device.formats
        if device.note_format(form.mark):
            names = ", ".join(_NAMES[mark] for mark in before if mark in _NAMES)
            self.devices.notify("format", device, f"{form.name}, before {names}")

    def _sign_of_life(self, device: Device | None, advert: Advert, frame: Frame) -> Outcome:
        """A frame without measurements may share its counter with one that has some: it never counts as known
        (docs/protocol/mibeacon.md#header-only-frames).
        """
        if device is None and frame.silent:
            # All that a plant sensor with old firmware ever sends: its owner should learn that it is there.
            device = self._admit(advert, frame)
        if device is not None and not device.keys:
            if device.model is None:
                self.devices.name(device, frame.model, advert.heard)
            self._alive(device, advert)
            self._locate(device, advert.heard)
            # Of a listed device the read over a connection tells, with its firmware's version.
            if frame.silent and device.entry is None and not device.old_firmware:
                device.old_firmware = True
                self.devices.notify("old_firmware", device)
        return Outcome.EMPTY

    def _encrypted(
        self, form: Format[Any], device: Device, advert: Advert, frame: Frame, uuid: int, payload: bytes
    ) -> Outcome:
        if not device.keys:
            return self._keep(device, advert, frame.model, uuid, payload)
        proxy, address, _, _, _, _, heard = advert
        keys = device.keys_in_force(frame.scheme, heard, padded=frame.model.legacy)
        if not keys or form.open is None:
            return Outcome.DOWNGRADED
        if device.failed_tags is not None:
            expected = device.expects(frame, keys, form.mark)
            untried = self._untried(device, device.failed_tags, expected, advert, payload)
            if untried is not None:
                return untried
        for key in keys:
            body = form.open(frame, payload, address, key)
            if body is not None:
                break
        else:
            device.failed_tags = device.failed_tags or FailedTags(heard)
            expected = device.expects(frame, keys, form.mark)
            device.failed_tags.count(proxy, heard, payload, len(keys), expected=expected)
            return self._wrong(device, heard)
        if device.key_verified(key.id, heard):
            self.devices.notify("key_verified", device)
        found = form.read(body, frame.model, True)
        if frame.scheme == "legacy" or not form.fresh:
            return self._claimed(form, device, advert, frame, found, body, "encrypted")
        return self._authenticated(form, device, advert, frame, found, stream_id(key.id, form.mark))

    def _untried(
        self,
        device: Device,
        tags: FailedTags,
        expected: bool,
        advert: Advert,
        payload: bytes,
    ) -> Outcome | None:
        """Why a frame is not tried, where tags failed before."""
        proxy, _, _, _, _, _, heard = advert
        if tags.failed(payload, heard):
            return self._wrong(device, heard)
        if not tags.exhausted(proxy, heard, payload, expected=expected):
            return None
        device.tags_guessed()
        if tags.report_due(heard):
            self.devices.notify("guessing", device, proxy)
        return Outcome.GUESSING

    def _wrong(self, device: Device, heard: float) -> Outcome:
        if device.key_failed(heard):
            self.devices.notify("key_wrong", device)
        return Outcome.WRONG_BINDKEY

    def _keep(self, device: Device, advert: Advert, model: Model, uuid: int, payload: bytes) -> Outcome:
        """An encrypted frame of a device without a bindkey is kept until there is one."""
        if device.model is None:
            self.devices.name(device, model, advert.heard)
        proxy, address, address_type, rssi, _, time, _ = advert
        device.serial += self.devices.memory.keep(address, time, proxy, rssi, address_type, uuid, payload)
        self._alive(device, advert, device.serial)
        self._locate(device, advert.heard)
        if device.key is not KeyState.MISSING:
            device.key = KeyState.MISSING
            self.devices.notify("key_missing", device)
        return Outcome.NO_BINDKEY

    def _authenticated(
        self, form: Format[Any], device: Device, advert: Advert, frame: Frame, found: Found, key_id: bytes
    ) -> Outcome:
        silent = not found[0] and not found[1] and found[2] is NOTHING_SKIPPED
        if not (silent and form.mark):
            self.require_content(found, frame.model)
        heard, counter, stream = advert.heard, frame.counter or 0, device.streams.authenticated(key_id)
        identity = stream.identity(key_id, counter, frame.tag)
        restart = USUAL_RESTART if counter > stream.hi else restart_of(frame.model, found)
        judgement = stream.judge(counter, identity, heard, restart)
        if judgement.verdict > ACCEPTED:
            if judgement.age <= SAME_MOMENT:
                self._alive(device, advert, device.serial)
            return _DROPPED[judgement.verdict]
        if silent:
            self._alive(device, advert)
            return Outcome.EMPTY
        device.remember(advert.data, Copy(heard, heard, FOREVER, device.serial + 1))
        judged = _new(Judged, (form, frame.model, found, "authenticated", counter, identity, judgement, stream))
        return self._accept(device, advert, judged)

    def _claimed(
        self,
        form: Format[Any],
        device: Device | None,
        advert: Advert,
        frame: Frame,
        found: Found,
        body: bytes,
        trust: Trust,
    ) -> Outcome:
        """Plain and legacy frames: a counter of eight bits or none, and nothing that proves them."""
        model, counter, heard = frame.model, frame.counter, advert.heard
        self.require_content(found, model)
        device = device or self._admit(advert, frame)
        device.flush()
        stream = device.streams.claimed(form.mark, counted=counter is not None, constant=model.constant)
        place, digest = counter or 0, crc32(body)
        values, events, _ = found
        judgement = stream.judge(place, digest, heard, not events and ONCE.isdisjoint(values))
        new = judgement.verdict <= ACCEPTED
        if stream.ttl:
            copy = Copy(heard, heard, stream.ttl, device.serial + new, stream, place, digest, heard)
            device.remember(advert.data, copy)
        if not new:
            self._alive(device, advert)
            return _DROPPED[judgement.verdict]
        if counter is not None and not form.mark and not model.constant and device.two_senders.detected(counter, heard):
            self.devices.notify("conflict", device, advert.proxy)
        identity = stream.identity(place, digest)
        judged = _new(Judged, (form, model, found, trust, counter, identity, judgement, stream))
        return self._accept(device, advert, judged)

    def _accept(self, device: Device, advert: Advert, judged: Judged) -> Outcome:
        """A frame that was not known: it moves the device's state and becomes a reading."""
        form, model, (values, events, _), trust, counter, identity, judgement, stream = judged
        proxy, address, _, rssi, _, time, heard = advert
        late = judgement.verdict is not NEW
        self.devices.name(device, model, heard, proven=trust == "authenticated")
        device.serial += 1
        device.trust = trust
        if not late:
            device.counter = counter
        self._alive(device, advert, device.serial)
        if model.unsure and not form.mark:
            values = device.sent_twice(values, model.unsure)
            if not values and not events:
                return Outcome.HELD
        if form.mark or device.formats != XIAOMI_ALONE:
            values = self._kept(form, device, values, trust, heard)
            if not values and not events:
                return REPEAT
            if events and not late and device.repeats_events(values, events, heard):
                late, judgement = True, judgement._replace(fires=False)
        device.readings += 1
        stale = NO_QUANTITIES
        if late:
            stale = device.stale(values, stream, judgement.order)
        if trust == "claimed":
            stale |= device.jumps.jumped(values, heard)
        device.write(values, stale, time, stream, judgement.order)
        self._locate(device, heard)
        room = self.devices.room(device.routes.nearest or proxy)
        # In the order of its fields, because keywords take as long again as all else in making it.
        reading = Reading(
            time,
            address,
            device.name,
            model.name,
            "advertisement",
            proxy,
            room,
            rssi or None,
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

    def _kept(self, form: Format[Any], device: Device, values: Values, trust: Trust, heard: float) -> Values:
        """The values of a device that sends, or may send, in several formats: the finer ones, and not too many."""
        self._note_format(device, form)
        if len(device.formats) > 1:
            if device.finest is None:
                live = {name: value for name, (value, _) in device.values.items()}
                device.finest = Finest(device.formats[0], live, "claimed", heard)
            values = device.finest.kept(values, form.mark, trust, heard)
        if form.mark and len(device.values) >= QUANTITIES_LIMIT:
            return {name: value for name, value in values.items() if name in device.values}
        return values

    def require_content(self, found: Found, model: Model) -> None:
        """NoReadingError where a frame with a body gave no value and no event. What was skipped is counted."""
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
            if name in self.skipped or len(self.skipped) < SKIPPED_KINDS:
                self.skipped[name] = self.skipped.get(name, 0) + 1

    def _alive(self, device: Device, advert: Advert, serial: int = 0) -> None:
        """A well-formed frame says that the device lives, and where; also one that is no reading."""
        device.heard = advert.heard
        device.routes.note(advert.proxy, advert.rssi, advert.heard, serial, advert.address_type)

    def _locate(self, device: Device, heard: float) -> None:
        nearest = device.routes.nearest
        if device.routes.settle(heard):
            self.devices.moved(device, nearest)

    def _admit(self, advert: Advert, frame: Frame) -> Device:
        sign = Sign(frame.model, frame.scheme != "plain", advert.proxy, advert.rssi)
        return self.devices.meet(advert.address, sign, advert.time, advert.heard)


_NAMES = {form.mark: form.name for form in reversed(tuple(FORMATS.values()))}
"""Mark -> the name of the first format that has it."""

_DROPPED = {Verdict.REPEAT: Outcome.REPEAT, Verdict.REPLAY: Outcome.REPLAY, Verdict.HELD: Outcome.HELD}
