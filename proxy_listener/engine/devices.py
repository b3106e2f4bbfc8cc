"""All devices that have a state here: the listed ones, and the unlisted ones that were admitted.

What comes in: the ``[[device]]`` entries, and the address of an unlisted device that sent a well-formed frame. What
goes out: its :class:`Device`, as the history remembers it, or why it gets none. The rule of this file: strangers cost
nothing. At most 256 are admitted a day, first come and at once; one that is not gets no state whatever it sends.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple, Protocol, TypeAlias

from proxy_listener.engine.dedup import ANY, Authenticated
from proxy_listener.engine.device import Device
from proxy_listener.model.advertisement import Address
from proxy_listener.model.errors import NoReadingError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Value
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import DeviceStatus
from proxy_listener.model.timing import DAY, NEVER

ADMITTED_A_DAY = 256
IN_MEMORY = 4096
"""Listed devices and ten days of the most hostile radio; beyond it the unlisted ones longest unheard go, and come
back from the history when they are heard again."""

NAMED = 3600.0
"""Seconds for which a device stays what it was: anybody can send a frame of another product in its name (facts,
threats-and-faults R8), and hardware behind a MAC does not change in an hour."""

NoticeKind: TypeAlias = Literal[
    "admitted", "key_verified", "key_wrong", "key_missing", "guessing", "conflict", "room", "old_firmware"
]


class Notice(NamedTuple):
    """Something about a device changed that a person wants to know."""

    kind: NoticeKind
    mac: Address
    name: str
    detail: str


class Known(Protocol):
    """A row of the history, as far as the duplicate rule needs it."""

    @property
    def identity(self) -> bytes:
        """What the frame is known by."""

    @property
    def counter(self) -> int | None:
        """Its counter."""

    @property
    def time(self) -> float:
        """Wall seconds, when it was last heard."""

    @property
    def late(self) -> bool:
        """A newer frame was known when it came."""

    @property
    def lasting(self) -> bool:
        """Its device went on with it: the time is that of the last copy."""


class Memory(Protocol):
    """What the listener asks of the history, and leaves with it."""

    def known(self, mac: Address, identity: bytes) -> bool:
        """Was this authenticated frame ever accepted?"""

    def highest(self, mac: Address, key_id: bytes) -> int | None:
        """The highest counter of a device's authenticated frames under this bindkey that were ever accepted: -1 where
        there is none, None where the history cannot be read.
        """

    def newest(self, mac: Address) -> Iterable[Known]:
        """The newest 64 identities of a device, and all that may not have lapsed, oldest first."""

    def latest(self, mac: Address) -> Mapping[str, tuple[Value, float]]:
        """The live state of a device when the service last ran: quantity -> (value, time)."""

    def product(self, mac: Address) -> Model | None:
        """The model that a device was last known as."""

    def admitted(self, mac: Address) -> bool:
        """Was this unlisted device admitted on an earlier day?"""

    def admit(self, mac: Address, time: float) -> None:
        """An unlisted device is admitted."""

    def seal(self, mac: Address, time: float, proxy: str, rssi: int, address_type: int, payload: bytes) -> None:
        """Keep an encrypted frame for when its bindkey arrives."""


class Devices:
    """Devices by address. ``started`` and ``started_time``: monotonic and wall time at which listening begins."""

    def __init__(
        self,
        memory: Memory,
        *,
        room: Callable[[str], str],
        tell: Callable[[Notice], None],
        started: float,
        started_time: float,
        admitted_today: int = 0,
    ) -> None:
        self.by_address: dict[Address, Device] = {}
        self.readable: set[Address] = set()
        """Those whose model is read over a connection."""
        self.memory = memory
        self._stream = self._begin  # one for all devices: a bound method is made anew each time that it is asked for
        self.room = room
        self._tell = tell
        self._started = started
        self._started_time = started_time
        self._admitted = admitted_today
        self._admitted_since = started
        self._ignore_unlisted = False

    def configure(
        self,
        entries: Sequence[DeviceSettings],
        unlisted: Literal["emit", "ignore"],
        now: tuple[float, float] | None = None,
    ) -> None:
        """Take new entries. What is known of a device stays, with or without an entry. ``now``: wall and monotonic time
        where it is not the start.
        """
        time, heard = now or (self._started_time, self._started)
        self._ignore_unlisted = unlisted == "ignore"
        listed = {entry.mac for entry in entries}
        for address, device in list(self.by_address.items()):
            if address in listed or device.entry is None:
                continue
            if self._ignore_unlisted:
                self._drop(address)
            else:
                device.configure(None)
        for entry in entries:
            if entry.mac in self.by_address:
                self.by_address[entry.mac].configure(entry)
            else:
                self._restore(entry.mac, entry, time, heard)

    def admit(self, address: Address, time: float, heard: float) -> Device:
        """A state for an unlisted device that sent a well-formed frame. NoReadingError where it gets none."""
        if self._ignore_unlisted:
            raise NoReadingError(Outcome.IGNORED)
        if not self.memory.admitted(address):
            if heard - self._admitted_since >= DAY:
                self._admitted, self._admitted_since = 0, heard
            if self._admitted >= ADMITTED_A_DAY:
                raise NoReadingError(Outcome.NOT_ADMITTED)
            self._admitted += 1
            self.memory.admit(address, time)
        if len(self.by_address) >= IN_MEMORY:
            self._make_room()
        return self._restore(address, None, time, heard)

    def name(self, device: Device, model: Model, heard: float, *, proven: bool = False) -> None:
        """What a frame says the device is. One that proves nothing changes nothing that was said lately."""
        if model is device.model:
            device.named = heard
        elif proven or device.model is None or heard - device.named >= NAMED:
            device.named = heard
            first = device.model is None
            self._take_model(device, model)
            device.rename()
            if first and device.entry is None:
                self.tell("admitted", device, model.name)

    def moved(self, device: Device, before: str | None) -> None:
        """Another proxy is nearest now."""
        nearest = device.routes.nearest
        if nearest is not None and (before is None or self.room(before) != self.room(nearest)):
            was = f", before in {self.room(before)}" if before else ""
            self.tell("room", device, f"in {self.room(nearest)}{was}")

    def tell(self, kind: NoticeKind, device: Device, detail: str = "") -> None:
        """Pass a change on."""
        self._tell(Notice(kind, device.address, device.name, detail))

    def statuses(self, now: float) -> list[DeviceStatus]:
        """Every device as it is, listed ones first, then by name."""
        devices = sorted(self.by_address.values(), key=lambda device: (device.entry is None, device.name.casefold()))
        return [device.status(now, self.room) for device in devices]

    def available(self, now: float) -> int:
        """How many devices are heard as often as their models promise."""
        return sum(device.available(now) for device in self.by_address.values())

    def status(self, address: Address, now: float) -> DeviceStatus | None:
        """One device as it is; None where it has no state."""
        device = self.by_address.get(address)
        return device.status(now, self.room) if device else None

    def valueless(self, address: Address) -> bool:
        """The device is heard, and never sent a value by itself."""
        device = self.by_address.get(address)
        return device is not None and device.heard != NEVER and not device.values and not device.readings

    def lasting(self, now: float) -> Iterator[tuple[Address, bytes, float]]:
        """``(mac, identity, last heard)`` of the frames that devices go on with."""
        for address, device in self.by_address.items():
            for identity, heard in device.lasting(now):
                yield address, identity, heard

    def _restore(self, address: Address, entry: DeviceSettings | None, time: float, heard: float) -> Device:
        """As the history remembers it; ``time`` and ``heard``: wall and monotonic seconds now."""
        device = self.by_address[address] = Device(address, entry, self._stream, self._started)
        for row in self.memory.newest(address):
            then = heard - max(0.0, time - row.time)
            device.restore(row.identity, row.counter, then, row.late, row.lasting)
            device.heard = max(device.heard, then)
        device.values.update(self.memory.latest(address))
        if (model := self.memory.product(address)) is not None:
            self._take_model(device, model)
        device.named = heard
        device.configure(entry)
        return device

    def _begin(self, address: Address, key_id: bytes) -> Authenticated:
        highest = self.memory.highest(address, key_id)
        return Authenticated(partial(self.memory.known, address), self._started, ANY if highest is None else highest)

    def _make_room(self) -> None:
        """Strangers go, longest unheard first; what is listed stays."""
        strangers = [device for device in self.by_address.values() if device.entry is None]
        strangers.sort(key=lambda device: device.heard)
        for device in strangers[: max(1, len(strangers) // 4)]:
            self._drop(device.address)

    def _drop(self, address: Address) -> None:
        del self.by_address[address]
        self.readable.discard(address)

    def _take_model(self, device: Device, model: Model) -> None:
        device.model, device.product_id = model, model.product_id
        (self.readable.discard if model.reader is None else self.readable.add)(device.address)
