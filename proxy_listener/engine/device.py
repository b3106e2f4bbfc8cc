"""What is known of one device: its entry, its bindkeys, the frames it sent, where it is heard, its live state.

What comes in: what the listener found out. What goes out: judgements, and the device's status. Of a device that has a
bindkey, nothing here moves but by a frame that verified.
"""

from collections.abc import Callable, Mapping

import attrs

from proxy_listener.engine.beacon import Beacon
from proxy_listener.engine.dedup import FOREVER, Authenticated, Claimed, Streams, mark_of, stream_id
from proxy_listener.engine.failed_tags import FailedTags
from proxy_listener.engine.finest import Finest
from proxy_listener.engine.plausibility import JumpFilter, SentTwice, TwoSenders
from proxy_listener.engine.routing import Routes
from proxy_listener.formats.bindkey import Bindkey, Scheme, bindkeys
from proxy_listener.formats.format import Frame
from proxy_listener.formats.layout import Events
from proxy_listener.model.advertisement import Address
from proxy_listener.model.models import Model
from proxy_listener.model.reading import Trust, Value
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import DeviceStatus, Heard, KeyState
from proxy_listener.model.timing import DAY, NEVER

ESTABLISHED = 600.0
"""Seconds after its admission in which an unlisted device has to be heard again before Home Assistant is told of it:
what is announced there stays in its registries until a person removes it."""

COPIES = 5
"""Frames whose exact bytes are kept for the fast repeat test: several objects alternate within one batch of rooms. A
device may take 10 kB, and each of these takes 230 bytes."""

VERIFIED = KeyState.VERIFIED
"""Looking a member up in its enumeration takes longer than all else that is asked of a key that verified again."""

WRONG_FAILURES, WRONG_SECONDS = 20, 600.0
"""A key is wrong after so many failures in a row over so long. Two failures raise false alarms in Home Assistant
(core#113833), because bit errors do get through (docs/protocol/mibeacon-encryption.md#when-a-key-is-wrong)."""

DOUBT_INTERVALS = 2
"""A key that has verified is wrong after so many of its model's intervals without a good frame; of a sleepy model after
a day. Until then the failures may be forged: docs/protocol/threats.md#r9."""

KEY_RETIRES = DAY
"""Seconds after the newest bindkey first verified in which the older ones are still tried."""


@attrs.define(slots=True)
class Copy:
    """The exact bytes of a frame that decoded: when first and last heard, which stream knows it and as what.

    ``noted``: the last time that its stream knows. Not frozen, because each repeat of the frame moves ``last``.
    """

    first: float
    last: float
    ttl: float
    serial: int
    stream: Claimed | None = None  # None: authenticated, known by its tag
    counter: int = 0
    digest: int = 0
    noted: float = NEVER
    also: "Copy | None" = None  # another frame in the same bytes

    def flush(self) -> None:
        """Tell the stream when the frame was last heard: the fast repeat test notes that only here."""
        if self.stream is not None and self.last > self.noted:
            self.noted = self.last
            self.stream.touch(self.counter, self.digest, self.last, unbroken=True)
        if self.also is not None:
            self.also.last = max(self.also.last, self.last)
            self.also.flush()


class Device:
    """One device, listed or admitted."""

    __slots__ = (
        "_failed_since",
        "_failures",
        "_key_since",
        "_sent_twice",
        "_started",
        "address",
        "admitted",
        "advertised",
        "beacon",
        "copies",
        "counter",
        "entry",
        "failed_tags",
        "finest",
        "formats",
        "heard",
        "jumps",
        "key",
        "keys",
        "model",
        "name",
        "named",
        "old_firmware",
        "product_id",
        "readings",
        "reads",
        "routes",
        "serial",
        "streams",
        "trust",
        "two_senders",
        "values",
        "written",
    )

    def __init__(
        self,
        address: Address,
        entry: DeviceSettings | None,
        begin: Callable[[bytes], Authenticated],
        started: float,
    ) -> None:
        self.address = address
        self._started = started
        self.entry = entry
        self.keys: tuple[Bindkey, ...] = ()
        self.model: Model | None = None
        self.name = ""
        self.named = NEVER
        self.product_id: int | None = None
        self.counter: int | None = None
        self.trust: Trust | None = None
        self.key = KeyState.NOT_NEEDED
        self.heard = NEVER
        self.admitted = NEVER
        self.readings = 0
        self.reads = 0
        self.advertised = False
        self.serial = 0
        self.old_firmware = False
        self.copies: dict[bytes, Copy] = {}
        self.formats: tuple[bytes, ...] = ()
        self.finest: Finest | None = None
        self.beacon: Beacon | None = None
        self.routes = Routes()
        self.failed_tags: FailedTags | None = None
        self.two_senders = TwoSenders()
        self.jumps = JumpFilter()
        self._sent_twice: SentTwice | None = None
        self.streams = Streams(begin)
        self.values: dict[str, tuple[Value, float]] = {}
        self.written: dict[str, tuple[object, int]] = {}
        self._failures = 0
        self._failed_since = NEVER
        self._key_since: dict[bytes, float] = {}
        self.configure(entry)

    def configure(self, entry: DeviceSettings | None) -> None:
        """Take a new entry; what is known of the device stays."""
        self.entry = entry
        before = [key.id for key in self.keys]
        self.keys = bindkeys(entry.bindkey) if entry else ()
        if [key.id for key in self.keys] != before:
            # Bytes that were believed without this key, or under another, prove nothing now.
            self.flush()
            self.copies.clear()
            self.failed_tags = None
        if not self.keys:
            self.key = KeyState.MISSING if self.key in {KeyState.MISSING, KeyState.WRONG} else KeyState.NOT_NEEDED
        elif not any(key.id in self._key_since for key in self.keys):
            self.key = KeyState.WAITING
        self._failures = 0
        self.rename()

    def rename(self) -> None:
        """A device without a configured name is named after its model and the end of its MAC."""
        model = self.model.name if self.model else "device"
        self.name = (self.entry and self.entry.name) or f"{model} {self.address & 0xFFFF:04X}"

    def believes_plain(self) -> bool:
        """Whether plain values in its name are believed."""
        return not self.keys or (self.entry is not None and self.entry.allow_plaintext)

    def contradicts(self, model: Model) -> bool:
        """Whether a frame that proves nothing names another product than the one that the device's key verified."""
        if self.model is None or model.generic or self.model.generic or model.product_id == self.product_id:
            return False
        if model.hardware == self.model.hardware:
            return False
        return any(key.id in self._key_since for key in self.keys)

    def keys_in_force(self, scheme: Scheme, heard: float, *, padded: bool = False) -> tuple[Bindkey, ...]:
        """The bindkeys of this scheme to try: the older ones retire a day after the newest first verified.

        ``padded``: the product has 12-byte keys, so padded ones are tried too.
        """
        keys = self.keys
        if len(keys) == 1:
            return keys if keys[0].scheme == scheme else ()
        if keys and heard - self._key_since.get(keys[0].id, FOREVER) >= KEY_RETIRES:
            keys = keys[:1]
        return tuple(key for key in keys if key.scheme == scheme and (padded or not key.padded))

    def expects(self, frame: Frame, keys: tuple[Bindkey, ...], mark: bytes) -> bool:
        """Whether its counter is one of the next few. A legacy frame has no tag that could be guessed."""
        counter = frame.counter or 0
        return frame.scheme != "ccm" or any(
            self.streams.authenticated(stream_id(key.id, mark)).expects(counter) for key in keys
        )

    def key_verified(self, key_id: bytes, heard: float) -> bool:
        """A frame verified under this bindkey. True if the key's state changed by it."""
        self._key_since.setdefault(key_id, heard)
        self._failures = 0
        changed, self.key = self.key is not VERIFIED, VERIFIED
        return changed

    def key_failed(self, heard: float) -> bool:
        """A frame verified under none of its bindkeys. True if that makes the key wrong."""
        if self._failures == 0:
            self._failed_since = heard
        self._failures += 1
        if self.key is KeyState.WRONG or self._failures < WRONG_FAILURES:
            return False
        if heard - self._failed_since < self._doubted_after():
            return False
        self.key = KeyState.WRONG
        return True

    def tags_guessed(self) -> None:
        """Forged frames came in a flood: failures prove nothing about the key."""
        self._failures = 0

    def _doubted_after(self) -> float:
        if self.model is None or not any(key.id in self._key_since for key in self.keys):
            return WRONG_SECONDS
        return DAY if self.model.sleepy else max(WRONG_SECONDS, DOUBT_INTERVALS * self.model.interval)

    def restore(self, identity: bytes, heard: float, late: bool, last: float) -> None:
        """A row of the history, oldest first. ``heard``: monotonic seconds of its first copy; ``last``: until when it
        counts as heard.
        """
        found = self.streams.restore(identity, heard, late, last)
        if found is not None:
            # All but the last byte are the same for every format.
            key_id = next((key.id for key in self.keys if key.id[:3] == found[:3]), found)
            self._key_since.setdefault(key_id, heard)
            if key_id is not found:
                self.note_format(mark_of(found, key_id))
        elif identity:
            for mark in self.streams.marks:
                self.note_format(mark)

    def note_format(self, mark: bytes) -> bool:
        """It sends in the format with this mark. True if it is known to send in others, and not in this one."""
        if mark in self.formats:
            return False
        self.formats += (mark,)
        return len(self.formats) > 1

    def remember(self, data: bytes, copy: Copy) -> None:
        """Keep the exact bytes of a frame that decoded. Two frames in the same bytes are kept together; the first of
        them that proves nothing stands for both, because the fast repeat test tells its stream.
        """
        before = self.copies.get(data)
        if before is not None and before.first == copy.first and before.stream is not copy.stream:
            if before.stream is not None:
                before.also, copy = copy, before
            else:
                copy.also = before
        self.copies[data] = copy
        if len(self.copies) > COPIES:
            self.copies.pop(next(iter(self.copies))).flush()

    def flush(self) -> None:
        """Tell the streams when the kept copies were last heard."""
        for copy in self.copies.values():
            if copy.last > copy.noted:
                copy.flush()

    def stale(self, values: Mapping[str, Value], stream: object, order: int) -> frozenset[str]:
        """The quantities of a late frame that a newer frame of the same stream already wrote. What the history or a
        read brought counts as newer.
        """
        nothing = (stream, order + 1)
        return frozenset(
            name
            for name in values
            if name in self.values and (last := self.written.get(name, nothing))[0] is stream and last[1] > order
        )

    def sent_twice(self, values: Mapping[str, Value], unsure: frozenset[str]) -> dict[str, Value]:
        """The values without those that wait for a second frame."""
        self._sent_twice = self._sent_twice or SentTwice()
        return self._sent_twice.believed(values, unsure, self.values)

    def repeats_events(self, values: Mapping[str, Value], events: Events, heard: float) -> bool:
        """Whether the events of a new frame are its beacon's, and nobody's."""
        self.beacon = self.beacon or Beacon()
        return not self.beacon.fires(dict(values), events, heard)

    def write(
        self, values: Mapping[str, Value], stale: frozenset[str], time: float, stream: object, order: int
    ) -> None:
        """Move the live state."""
        for name, value in values.items():
            if name not in stale:
                self.values[name] = (value, time)
                self.written[name] = (stream, order)

    def write_read(self, values: Mapping[str, Value], time: float) -> None:
        """Move the live state by what a read over a connection brought; ``time``: wall seconds."""
        self.reads += 1
        for name, value in values.items():
            if time >= self.values.get(name, (value, NEVER))[1]:
                self.values[name] = (value, time)
                self.written.pop(name, None)

    def available(self, now: float) -> bool:
        """Heard by any proxy within its model's expected interval; sleepy models stay available once heard.

        At the start of the service the interval begins again, because the device may have been heard meanwhile. A model
        is known only of a device that was heard, in this run or an earlier one.
        """
        if self.model is None:
            return False
        return self.model.sleepy or now - max(self.heard, self._started) <= self.model.interval

    @property
    def established(self) -> bool:
        """It has an entry, or it was still heard ten minutes after its admission."""
        return self.entry is not None or self.heard - self.admitted >= ESTABLISHED

    def status(self, now: float, room: Callable[[str], str]) -> DeviceStatus:
        """The device as it is at ``now`` (monotonic)."""
        routes, model = self.routes, self.model
        return DeviceStatus(
            mac=self.address,
            name=self.name,
            model=model.name if model else "",
            kind=model.kind if model else "",
            listed=self.entry is not None,
            room=room(routes.nearest) if routes.nearest else None,
            available=self.available(now),
            heard_age=None if self.heard == NEVER else now - self.heard,
            key=self.key,
            trust=self.trust,
            values=dict(self.values),
            heard=[
                Heard(
                    proxy,
                    room(proxy),
                    route.rssi,
                    now - route.heard,
                    route.frames / max(1, routes.frames),
                    route.address_type,
                    routes.missed(route),
                )
                for proxy, route in routes
            ],
            readings=self.readings + self.reads,
            sleepy=model.sleepy if model else False,
            interval=model.interval if model else 0.0,
            product_id=self.product_id,
            counter=self.counter,
            readable=model is not None and model.reader is not None,
            advertises=self.advertised or self.readings > 0,
            read_interval=self.entry.read if self.entry and model and model.reader else None,
            established=self.established,
            product=model,
        )
