"""What active reads need of the other rooms, what they tell, and the seconds that bound them.

App fills in a :class:`House` of callables; whoever asks for a read gets progress and a report. The rule of this file:
it is all that other rooms see of reads, and it does nothing.
"""

import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

import attrs

from proxy_listener.gatt.miflora import PLANTS, Gatt, Plant
from proxy_listener.model.advertisement import Address
from proxy_listener.model.reading import Reading, Value
from proxy_listener.model.settings import DeviceSettings
from proxy_listener.model.status import DeviceStatus, ProxyStatus
from proxy_listener.reads.download import LogReport
from proxy_listener.reads.ranking import Candidate


@attrs.frozen
class Timing:
    """Seconds, and counts, that bound a read. Tests shorten them."""

    tick: float = 2.0
    """Between two looks at who is due."""

    live: float = 27.0
    """From asking for the connection to the live values; with the release of the slot 30 s (threats, R15)."""

    log: float = 900.0
    """One connection's share of a download: 1,000 entries take 5 minutes."""

    patience: float = 15.0
    """How long a busy best route is waited for: a read through it takes 3 to 6 s. A read by hand waits under way, a
    scheduled one before it begins."""

    look: float = 0.25
    """Between two looks at whether a busy route has become free."""

    quick: float = 5.0
    """A refusal that came within this is Bluedroid's status 133 "too soon", not a device that is out of range."""

    rest: float = 2.0
    """Between two connections of one download."""

    idle_drops: int = 3
    """Connections in a row without one entry more, after which a download ends (facts: pyflowercare)."""


class Link(Gatt, Protocol):
    """A connection, as :mod:`proxy_listener.proxies.connection` makes it."""

    def distrust(self) -> bool:
        """An answer made no sense. True where kept handles may be why, and the next connection asks for them anew."""
        ...


class Notes(Protocol):
    """Small texts that outlive a restart; the journal keeps them."""

    def noted(self, name: str) -> str | None:
        """What was last noted under ``name``."""
        ...

    def note(self, name: str, value: str | None) -> None:
        """Note a text; None forgets it."""
        ...


@attrs.frozen
class House:
    """What reads need of the other rooms. ``age`` and ``heard`` in what ``device`` gives are as of now.

    ``readable`` gives the devices whose model is read over a connection, listed or not. ``hours`` gives the hours
    (time // 3600) since a wall time in which the journal has a reading of the device, ``logged`` the times of its
    readings with the source "history". ``valueless``: the device is heard, and has never sent a value by itself.
    ``link`` takes a proxy's name, a MAC and an address type; it raises GattError for whatever goes wrong, also for a
    proxy that is no more.
    """

    entries: Sequence[DeviceSettings]
    readable: Callable[[], Iterable[Address]]
    device: Callable[[Address], DeviceStatus | None]
    proxies: Callable[[], Sequence[ProxyStatus]]
    link: Callable[[str, Address, int], AbstractAsyncContextManager[Link]]
    record: Callable[[Reading], None]
    notes: Notes
    hours: Callable[[Address, float], Awaitable[Collection[int]]]
    logged: Callable[[Address], Awaitable[Sequence[float]]]
    valueless: Callable[[Address], bool]
    plants: Mapping[int, Plant] = PLANTS
    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random


@attrs.frozen
class Progress:
    """A step of a read. ``done`` of ``total`` are log entries; both 0 where the step is not countable."""

    step: str
    proxy: str | None = None
    done: int = 0
    total: int = 0


@attrs.frozen
class Attempt:
    """What one connection came to. ``cause`` is GattError's word, "refused_answer", or "" where it went well."""

    proxy: str
    ok: bool
    cause: str
    detail: str
    seconds: float


@attrs.frozen
class ReadReport:
    """How a read ended: why, by which routes, with what.

    ``candidates`` are as they were at the last choice: those that hear the device, or all where none could be chosen.
    """

    ok: bool
    detail: str
    attempts: Sequence[Attempt] = ()
    values: Mapping[str, Value] = attrs.field(factory=dict)
    refused: Sequence[str] = ()
    firmware: str | None = None
    log: LogReport | None = None
    candidates: Sequence[Candidate] = ()


@attrs.frozen
class Outlook:
    """How a device's reads stand. Seconds, of which None: never. ``left``: connections of this day's budget."""

    read_age: float | None
    due_in: float | None
    left: int
    misses: int


Tell: TypeAlias = Callable[[Progress], None]
"""Called with each step of a read."""
