"""All devices that have a state here: the listed ones, and the unlisted ones that were admitted.

What comes in: the ``[[device]]`` entries, and the address of an unlisted device that sent a well-formed frame. What
goes out: its :class:`Device`, as the history remembers it, or why it gets none. Who is admitted is decided in
:mod:`proxy_listener.engine.newcomers`, or by a person.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Literal, NamedTuple, TypeAlias

from proxy_listener.engine.dedup import ANY, Authenticated
from proxy_listener.engine.device import ESTABLISHED, Device
from proxy_listener.engine.memory import Memory
from proxy_listener.engine.newcomers import Newcomers, Sign
from proxy_listener.model.advertisement import Address
from proxy_listener.model.errors import NoReadingError, ProxyListenerError
from proxy_listener.model.models import Model
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.reading import Reading
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import Admissions, DeviceStatus, Newcomer
from proxy_listener.model.timing import NEVER

IN_MEMORY = 4096
"""Devices in memory, at most: beyond it the unlisted ones longest unheard are dropped, and restored from the history
when they are heard again. Two weeks of the largest admission, and the listed devices."""

NEWCOMERS_NAMED = 100
"""Newcomers that are listed, at most: those heard for longest."""

NAMED = 3600.0
"""Seconds for which a device keeps its model: anyone can send a frame of another product in its name
(docs/protocol/threats.md#r8), and the hardware behind a MAC does not change within an hour."""

NoticeKind: TypeAlias = Literal[
    "admitted",
    "full",
    "key_verified",
    "key_wrong",
    "key_missing",
    "guessing",
    "conflict",
    "format",
    "room",
    "old_firmware",
]


class Notice(NamedTuple):
    """Something about a device changed that a person wants to know."""

    kind: NoticeKind
    mac: Address
    name: str
    detail: str


class Devices:
    """Devices by address. ``started`` and ``started_time``: monotonic and wall time at which listening begins.

    ``admissions``: wall times of those of the last day. ``at_once``: admit devices by their first frame.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        room: Callable[[str], str],
        notify: Callable[[Notice], None],
        started: float,
        started_time: float,
        admissions: Iterable[float] = (),
        at_once: bool = False,
    ) -> None:
        self.by_address: dict[Address, Device] = {}
        self.readable: set[Address] = set()
        """Those whose model is read over a connection."""
        self.memory = memory
        self.room = room
        self._notify = notify
        self._started = started
        self._started_time = started_time
        earlier = [started - max(0.0, started_time - at) for at in admissions]
        self.newcomers = Newcomers(started, earlier, at_once=at_once)
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
            # A device that had an entry is known, and is not tried as a newcomer.
            self.memory.admit(address, time - ESTABLISHED)
            if self._ignore_unlisted:
                self._drop(address)
            else:
                device.configure(None)
        for entry in entries:
            if entry.mac in self.by_address:
                self.by_address[entry.mac].configure(entry)
            else:
                self._restore(entry.mac, entry, time, heard)

    def meet(self, address: Address, sign: Sign, time: float, heard: float) -> Device:
        """The state of an unlisted device that sent a well-formed frame. NoReadingError where it gets none."""
        if self._ignore_unlisted:
            raise NoReadingError(Outcome.IGNORED)
        if self.memory.admitted(address) is None:
            if not self.newcomers.admits(address, sign, heard):
                if self.newcomers.tell(heard):
                    self._notify(Notice("full", address, sign.model.name, f"{len(self.newcomers)} wait"))
                raise NoReadingError(Outcome.NOT_ADMITTED)
            self.memory.admit(address, time)
        return self._restore_unlisted(address, time, heard)

    def admit(self, address: Address, time: float, heard: float) -> Device:
        """A person admits this device, heard or not. ProxyListenerError where unlisted devices are ignored."""
        if address in self.by_address:
            return self.by_address[address]
        if self._ignore_unlisted:
            raise ProxyListenerError('[devices] unlisted = "ignore": only devices with a [[device]] entry are admitted')
        trial = self.newcomers.admitted_by_hand(address)
        # What a person knows is established, so it is announced with its next frame.
        self.memory.admit(address, time - ESTABLISHED)
        device = self._restore_unlisted(address, time, heard)
        if trial is not None:
            device.heard = max(device.heard, trial.last)
            self.name(device, trial.model, trial.last)
        return device

    def admissions(self, now: float) -> Admissions:
        """How the admission of unlisted devices stands."""
        return Admissions(len(self.newcomers), self.newcomers.left(now), self.newcomers.full(now))

    def waiting(self, now: float) -> list[Newcomer]:
        """The newcomers that were heard for longest."""
        return [
            Newcomer(
                mac=address,
                model=trial.model.name,
                encrypted=trial.encrypted,
                proxy=trial.proxy,
                room=self.room(trial.proxy),
                rssi=trial.rssi or None,
                moments=trial.moments,
                heard_for=trial.counted - trial.first,
                heard_age=now - trial.last,
                waits="too many new devices" if trial.rank else "heard too briefly so far",
            )
            for address, trial in islice(self.newcomers, NEWCOMERS_NAMED)
        ]

    def name(self, device: Device, model: Model, heard: float, *, proven: bool = False) -> None:
        """Note what a frame says the device is. An unproven frame changes nothing that was said within the hour."""
        if model is device.model:
            device.named = heard
        elif model.generic and device.model is not None:
            return
        elif device.model is not None and device.model.generic:
            device.named = heard
            self._take_model(device, model)
            device.rename()
        elif proven or device.model is None or heard - device.named >= NAMED:
            device.named = heard
            first = device.model is None
            self._take_model(device, model)
            device.rename()
            if first and device.entry is None:
                self.notify("admitted", device, model.name)

    def moved(self, device: Device, before: str | None) -> None:
        """Another proxy is nearest now."""
        nearest = device.routes.nearest
        if nearest is not None and (before is None or self.room(before) != self.room(nearest)):
            was = f", before in {self.room(before)}" if before else ""
            self.notify("room", device, f"in {self.room(nearest)}{was}")

    def notify(self, kind: NoticeKind, device: Device, detail: str = "") -> None:
        """Pass a change on."""
        self._notify(Notice(kind, device.address, device.name, detail))

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
        return device is not None and device.heard != NEVER and not device.advertised and not device.readings

    def record_read(self, reading: Reading) -> None:
        """What a read over a connection brought. Entries of a device's own log are history, and change nothing here."""
        device = self.by_address.get(reading.mac)
        if device is not None and reading.source == "read":
            device.write_read(reading.values, reading.time)

    def _restore_unlisted(self, address: Address, time: float, heard: float) -> Device:
        if len(self.by_address) >= IN_MEMORY:
            self._make_room()
        device = self._restore(address, None, time, heard)
        admitted = self.memory.admitted(address)
        device.admitted = heard - max(0.0, time - (time if admitted is None else admitted))
        return device

    def _restore(self, address: Address, entry: DeviceSettings | None, time: float, heard: float) -> Device:
        """As the history remembers it; ``time`` and ``heard``: wall and monotonic seconds now."""
        device = self.by_address[address] = Device(address, entry, partial(self._begin, address), self._started)
        for row in self.memory.newest(address):
            then = heard - max(0.0, time - row.time)
            device.restore(row.identity, then, row.late, max(then, self._started))
            device.heard = max(device.heard, then)
            device.advertised = True
        device.values.update(self.memory.latest(address))
        if (model := self.memory.model(address)) is not None:
            self._take_model(device, model)
        device.named = heard
        device.configure(entry)
        return device

    def _begin(self, address: Address, key_id: bytes) -> Authenticated:
        highest = self.memory.highest(address, key_id)
        return Authenticated(partial(self.memory.known, address), self._started, ANY if highest is None else highest)

    def _make_room(self) -> None:
        """Drop a quarter of the unlisted devices, longest unheard first."""
        unlisted = [device for device in self.by_address.values() if device.entry is None]
        unlisted.sort(key=lambda device: device.heard)
        for device in unlisted[: max(1, len(unlisted) // 4)]:
            self._drop(device.address)

    def _drop(self, address: Address) -> None:
        del self.by_address[address]
        self.readable.discard(address)

    def _take_model(self, device: Device, model: Model) -> None:
        device.model, device.product_id = model, model.product_id
        (self.readable.discard if model.reader is None else self.readable.add)(device.address)
