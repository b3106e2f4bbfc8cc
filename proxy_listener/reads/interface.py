"""What reads need of the other rooms, what they report, and the seconds that bound them."""

import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias

import attrs

from proxy_listener.gatt.interface import ClockSet, Gatt, GattReader, LogReport
from proxy_listener.gatt.readers import READERS
from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.reading import Reading, Value
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import DeviceStatus, Heard, ProxyStatus
from proxy_listener.reads.ranking import Candidate
from proxy_listener.reads.schedule import Plan


@attrs.frozen
class ReadTiming:
    """Seconds, and counts, that bound a read. Tests shorten them."""

    tick: float = 2.0
    """Between two checks of which devices are due."""

    live: float = 27.0
    """From the connect request to the live values; with the release of the slot 30 s
    (docs/protocol/threats.md#r15)."""

    log: float = 900.0
    """One connection's share of a download: 1,000 entries take 5 minutes."""

    patience: float = 15.0
    """Waiting for the best proxy while it is busy; a read through it takes 3 to 6 s. A scheduled read waits before it
    begins, one on demand after."""

    poll: float = 0.25
    """Between two checks of whether a busy proxy is free."""

    quick: float = 5.0
    """A connection that is refused within this was too early (Bluedroid's status 133); the device may be in range."""

    hang: float = 10.0
    """A connection that took longer than this and brought nothing hung: a read takes 3 to 6 s, and a proxy gives up a
    connect request after 20."""

    rest: float = 2.0
    """Between two connections of one download."""

    fruitless: int = 3
    """Connections in a row without a new entry, after which a download ends (docs/protocol/miflora.md#order)."""


class Notes(Protocol):
    """Small texts that are kept over restarts; the journal stores them."""

    def noted(self, name: str) -> str | None:
        """The text under ``name``."""
        ...

    def note(self, name: str, value: str | None) -> None:
        """Keep a text under ``name``; None removes it."""
        ...


def _utc_offset(seconds: float) -> int:
    return time.localtime(seconds).tm_gmtoff


@attrs.frozen
class ReadContext:
    """What reads need of the other rooms.

    ``readable``: the devices that have a reader, listed or not. ``device`` and ``proxies``: their status now.
    ``hours``: the hours (time // 3600) since a time in which the journal has a reading of the device; ``logged``: the
    times of its readings from its log. ``valueless``: the device is heard and has never sent a value by itself.
    ``connect`` takes a proxy's name, a MAC and an address type; it raises GattError, also for a proxy that is gone.
    ``wall``: seconds since 1970; ``utc_offset``: that of local time at a time, in seconds.
    """

    entries: Sequence[DeviceSettings]
    readable: Callable[[], Iterable[Address]]
    device: Callable[[Address], DeviceStatus | None]
    proxies: Callable[[], Sequence[ProxyStatus]]
    connect: Callable[[str, Address, int], AbstractAsyncContextManager[Gatt]]
    record: Callable[[Reading], None]
    notes: Notes
    hours: Callable[[Address, float], Awaitable[Collection[int]]]
    logged: Callable[[Address], Awaitable[Sequence[float]]]
    valueless: Callable[[Address], bool]
    readers: Mapping[str, GattReader] = READERS
    wall: Callable[[], float] = time.time
    utc_offset: Callable[[float], int] = _utc_offset
    chance: Callable[[], float] = random.random

    def reader(self, status: DeviceStatus | None) -> GattReader | None:
        """The reader of a device's model. None if the model is unknown or has no reader."""
        product = None if status is None else status.product
        return None if product is None or product.reader is None else self.readers.get(product.reader)

    def heard(self, mac: Address) -> Sequence[Heard]:
        """How each proxy hears a device now."""
        status = self.device(mac)
        return () if status is None else status.heard

    def noted(self, what: str, mac: Address) -> str | None:
        """The text that :meth:`note` kept."""
        return self.notes.noted(f"{what}/{mac_text(mac)}")

    def note(self, what: str, mac: Address, value: str | None) -> None:
        """Keep a text about a device over a restart."""
        self.notes.note(f"{what}/{mac_text(mac)}", value)

    def keep_plan(self, mac: Address, plan: Plan, now: float) -> None:
        """Keep a plan over a restart, with the connections it has counted."""
        self.note("reads", mac, plan.note(now, self.wall()))


@attrs.frozen
class ReadOptions:
    """What is wanted beside the live values: the device's log; its clock set to local time."""

    history: bool = False
    set_clock: bool = False


@attrs.frozen
class Progress:
    """A step of a read. ``done`` of ``total`` are log entries; both 0 if the step has none."""

    step: str
    proxy: str | None = None
    done: int = 0
    total: int = 0


OnProgress: TypeAlias = Callable[[Progress], None]
"""Called with each step of a read."""


@attrs.frozen
class Attempt:
    """The outcome of one connection. ``cause``: that of the GattError, "refused_answer", or "" after success."""

    proxy: str
    ok: bool
    cause: str
    detail: str
    seconds: float


@attrs.frozen
class ReadReport:
    """The outcome of a read.

    ``candidates`` are as they were at the last choice: the proxies that hear the device, or all if none was chosen.
    """

    ok: bool
    detail: str
    attempts: Sequence[Attempt] = ()
    values: Mapping[str, Value] = attrs.field(factory=dict)
    refused: Sequence[str] = ()
    firmware: str | None = None
    log: LogReport | None = None
    clock: ClockSet | None = None
    candidates: Sequence[Candidate] = ()

    def log_fields(self) -> dict[str, Any]:
        """The outcome for one log line: every attempt, and every proxy that hears the device."""
        return {
            "why": self.detail,
            "attempts": [f"{attempt.proxy}: {attempt.detail} ({attempt.seconds:.1f} s)" for attempt in self.attempts],
            "routes": [f"{one.proxy}: {one.reason}" for one in self.candidates if one.heard_age is not None],
        }
