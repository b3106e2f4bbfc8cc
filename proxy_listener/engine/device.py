"""What is known of one device: its entry, its bindkeys, the frames it sent, where it is heard, its live state.

What comes in: what the listener found out. What goes out: judgements, and the device's status. The rule of this file:
of a device that has a bindkey, nothing here moves but by a frame that verified.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

from proxy_listener.engine.budget import Budgets
from proxy_listener.engine.dedup import CLAIMED, FOREVER, Authenticated, Claimed
from proxy_listener.engine.rivals import Rivals
from proxy_listener.engine.routing import Routes
from proxy_listener.engine.slope import Slopes
from proxy_listener.formats.xiaomi.mibeacon import Bindkey, Scheme
from proxy_listener.model.advertisement import Address
from proxy_listener.model.models import Model
from proxy_listener.model.reading import Value
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import DeviceStatus, Heard, KeyState
from proxy_listener.model.timing import DAY, NEVER

COPIES = 8
"""Frames whose exact bytes are kept for the fast repeat test: several objects take turns within one batch of rooms."""

LASTING_KEPT = 32
"""More than any device takes turns with; what somebody says in its name besides is not noted."""

VERIFIED = KeyState.VERIFIED
"""Looking a member up in its enum takes longer than all else that is asked of a key that verified again."""

WRONG_FAILURES, WRONG_SECONDS = 20, 600.0
"""Two failures in a row raise false alarms in Home Assistant (core#113833); bit errors do come through."""

KEY_RETIRES = DAY
AUTHENTICATED_BYTES = 12
CLAIMED_BYTES: Mapping[bytes, int] = {b"P": 6, b"U": 5, b"C": 5}
"""Lengths of identities."""

Stream: TypeAlias = Callable[[Address, bytes], Authenticated]
"""What the history knows of a device's frames under the bindkey of this name."""


@attrs.define(slots=True)
class Copy:
    """The exact bytes of a frame that decoded: when first and last heard, which stream knows it and as what.

    ``told``: up to when its stream knows that it was heard.

    Not frozen: the repeats of a frame move ``last``.
    """

    first: float
    last: float
    ttl: float
    serial: int
    stream: Claimed | None = None  # None: authenticated, known by its tag for ever
    counter: int = 0
    digest: int = 0
    told: float = NEVER

    def flush(self) -> None:
        """Tell the stream when the frame was last heard, which the fast repeat test notes only here."""
        if self.stream is not None and self.last > self.told:
            self.told = self.last
            self.stream.touch(self.counter, self.digest, self.last, unbroken=True)


class Device:
    """One device, listed or admitted."""

    __slots__ = (
        "_authenticated",
        "_claimed",
        "_failed_since",
        "_failures",
        "_key_since",
        "_started",
        "_stream",
        "address",
        "budgets",
        "copies",
        "counter",
        "entry",
        "heard",
        "key",
        "keys",
        "model",
        "name",
        "named",
        "old_firmware",
        "product_id",
        "readings",
        "rivals",
        "routes",
        "serial",
        "slopes",
        "trust",
        "values",
        "written",
    )

    def __init__(self, address: Address, entry: DeviceSettings | None, stream: Stream, started: float) -> None:
        self.address = address
        self._stream = stream
        self._started = started
        self.entry = entry
        self.keys: tuple[Bindkey, ...] = ()
        self.model: Model | None = None
        self.name = ""
        self.named = NEVER
        self.product_id: int | None = None
        self.counter: int | None = None
        self.trust: str | None = None
        self.key = KeyState.NOT_NEEDED
        self.heard = NEVER
        self.readings = 0
        self.serial = 0
        self.old_firmware = False
        self.copies: dict[bytes, Copy] = {}
        self.routes = Routes()
        self.budgets = Budgets()
        self.rivals = Rivals()
        self.slopes = Slopes()
        self.values: dict[str, tuple[Value, float]] = {}
        self.written: dict[str, tuple[object, int]] = {}
        self._authenticated: dict[bytes, Authenticated] = {}
        self._claimed: dict[bytes, Claimed] = {}
        self._failures = 0
        self._failed_since = NEVER
        self._key_since: dict[bytes, float] = {}
        self.configure(entry)

    def configure(self, entry: DeviceSettings | None) -> None:
        """Take a new entry; what is known of the device stays."""
        self.entry = entry
        before = [key.id for key in self.keys]
        self.keys = tuple(Bindkey(secret) for secret in entry.bindkey) if entry else ()
        if [key.id for key in self.keys] != before:
            # Bytes that were believed without this key, or under another, stand for nothing now.
            self.flush()
            self.copies.clear()
        if not self.keys:
            self.key = KeyState.MISSING if self.key in {KeyState.MISSING, KeyState.WRONG} else KeyState.NOT_NEEDED
        elif not any(key.id in self._key_since for key in self.keys):
            self.key = KeyState.WAITING
        self._failures = 0
        self.rename()

    def rename(self) -> None:
        """A device without a name is called after its model and the end of its MAC."""
        model = self.model.name if self.model else "device"
        self.name = (self.entry and self.entry.name) or f"{model} {self.address & 0xFFFF:04X}"

    def believes_plain(self) -> bool:
        """Whether plain values in its name are believed."""
        return not self.keys or (self.entry is not None and self.entry.allow_plaintext)

    def contradicts(self, model: Model) -> bool:
        """Whether a frame that proves nothing names another product than the one that the device's key verified."""
        if self.model is None or model.product_id == self.product_id:
            return False
        return any(key.id in self._key_since for key in self.keys)

    def authenticated(self, key_id: bytes) -> Authenticated:
        """The v4/v5 frames under one bindkey."""
        stream = self._authenticated.get(key_id)
        if stream is None:
            stream = self._authenticated[key_id] = self._stream(self.address, key_id)
        return stream

    def claimed(self, kind: bytes) -> Claimed:
        """The frames that prove nothing, by the first byte of their identities."""
        stream = self._claimed.get(kind)
        if stream is None:
            stream = self._claimed[kind] = CLAIMED[kind]()
        return stream

    def keys_in_force(self, scheme: Scheme, heard: float) -> tuple[Bindkey, ...]:
        """The bindkeys of this scheme to try: the older ones retire a day after the newest first verified."""
        keys = self.keys
        if len(keys) == 1:
            return keys if keys[0].scheme == scheme else ()
        if keys and heard - self._key_since.get(keys[0].id, FOREVER) >= KEY_RETIRES:
            keys = keys[:1]
        return tuple(key for key in keys if key.scheme == scheme)

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
        if heard - self._failed_since < WRONG_SECONDS:
            return False
        self.key = KeyState.WRONG
        return True

    def restore(self, identity: bytes, counter: int | None, heard: float, late: bool, lasting: bool) -> None:
        """A row of the history, oldest first; ``lasting``: the device went on with it, and ``heard`` is when it was
        heard last. Identities of reads and log entries are empty and passed over.
        """
        if len(identity) == AUTHENTICATED_BYTES and counter is not None:
            self.authenticated(identity[:4]).restore(identity, counter, heard, late)
            self._key_since.setdefault(identity[:4], heard)
        elif len(identity) == CLAIMED_BYTES.get(identity[:1]):
            self.claimed(identity[:1]).restore(identity, heard, late, lasting)

    def lasting(self, now: float) -> list[tuple[bytes, float]]:
        """``(identity, last heard)`` of the frames that it goes on with, newest first and at most
        :data:`LASTING_KEPT`: when these lapse, no row says.
        """
        self.flush()
        found = [frame for stream in self._claimed.values() for frame in stream.lasting(now)]
        return sorted(found, key=lambda frame: frame[1], reverse=True)[:LASTING_KEPT]

    def remember(self, data: bytes, copy: Copy) -> None:
        """Keep the exact bytes of a frame that decoded."""
        self.copies[data] = copy
        if len(self.copies) > COPIES:
            self.copies.pop(next(iter(self.copies))).flush()

    def flush(self) -> None:
        """Tell the streams when the kept copies were last heard."""
        for copy in self.copies.values():
            if copy.last > copy.told:
                copy.flush()

    def stale(self, values: Mapping[str, Value], stream: object, order: int) -> frozenset[str]:
        """The quantities that a newer frame of the same stream already wrote."""
        return frozenset(
            name for name in values if (last := self.written.get(name)) and last[0] is stream and last[1] > order
        )

    def write(
        self, values: Mapping[str, Value], stale: frozenset[str], time: float, stream: object, order: int
    ) -> None:
        """Move the live state."""
        for name, value in values.items():
            if name not in stale:
                self.values[name] = (value, time)
                self.written[name] = (stream, order)

    def available(self, now: float) -> bool:
        """Heard by any proxy within its model's expected interval; sleepy models stay available once heard.

        While we were not listening it may have spoken: from a start on, it has its interval anew.
        """
        if self.model is None or self.heard == NEVER:
            return False
        return self.model.sleepy or now - max(self.heard, self._started) <= self.model.interval

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
                )
                for proxy, route in routes
            ],
            readings=self.readings,
            sleepy=model.sleepy if model else False,
            interval=model.interval if model else 0.0,
            product_id=self.product_id,
            counter=self.counter,
            readable=model is not None and model.reader is not None,
            product=model,
        )
