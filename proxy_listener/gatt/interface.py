"""How a device is read over a connection, whatever the device.

What comes in: a connection (:class:`Gatt`), a device (:class:`ReadTarget`), what is wanted of its log
(:class:`LogProgress`). What goes out: an :class:`Answer`, log entries. Invariant: a value is what the device measured;
anything else is refused with a reason.
"""

import json
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.reading import Value

CLOCK_SET_SINCE = 1_600_000_000.0
"""A computer's clock that is before this (September 2020) was never set."""

T = TypeVar("T")


class Notifications(Protocol):
    """The notifications of one characteristic, in order."""

    async def next(self, seconds: float) -> bytes | None:
        """The next value; None if none arrives within ``seconds``. Raises GattError if the link is lost first."""
        ...


class Gatt(Protocol):
    """A connection to a device. Methods raise GattError; ``characteristic`` is a UUID as lower-case text."""

    async def read(self, characteristic: str) -> bytes:
        """The characteristic's value."""
        ...

    async def write(self, characteristic: str, data: bytes, response: bool) -> None:
        """Write ``data``; with ``response``, return when the device confirmed it."""
        ...

    def notifications(self, characteristic: str) -> AbstractAsyncContextManager[Notifications]:
        """Subscribe to the notifications of a characteristic while the block runs."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait while the device works. Raises at once if the link is lost meanwhile."""
        ...

    def distrust(self) -> bool:
        """Forget the cached handles, because an answer made no sense. False if none were cached."""
        ...


class RefusedError(ProxyListenerError):
    """The device answered, and the answer is not a measurement. The text says which answer, and why."""


@attrs.frozen
class LocalTime:
    """Seconds since 1970, and the offset of local time from UTC in seconds."""

    seconds: float
    offset: int


@attrs.frozen
class ReadTarget:
    """The device to read. ``local`` gives the present time."""

    address: Address
    product_id: int
    local: Callable[[], LocalTime]


@attrs.frozen
class Answer:
    """The values of one read, and what was refused."""

    values: Mapping[str, Value]
    refused: tuple[str, ...] = ()

    @property
    def firmware(self) -> str | None:
        """The firmware's version, if the device gave one."""
        version = self.values.get("firmware")
        return version if isinstance(version, str) else None


@attrs.frozen
class ClockSet:
    """A clock that was set: seconds it was ahead of local time ``before`` (None: unknown) and ``after``."""

    before: int | None
    after: int


@attrs.frozen
class LogReport:
    """How the download of a log stands. ``complete``: every wanted entry is stored, known, or skipped."""

    count: int
    stored: int
    known: int
    skipped: int
    complete: bool

    def __str__(self) -> str:
        end = "" if self.complete else ", not complete"
        return f"{self.stored} entries stored, {self.known} known, {self.skipped} skipped of {self.count}{end}"


def _sorted(times: Iterable[float]) -> list[float]:
    return sorted(times)


@attrs.define
class LogProgress:
    """What is wanted of a log, and how much of it has been handled.

    ``since``: seconds since 1970; older entries are not wanted. ``store`` is called with the time and the values of
    each new entry. ``times``: those of the entries that are stored already. ``covered``: what :meth:`Download.covered`
    returned after earlier runs. The download sets the other fields; a ``known`` entry was stored before, a ``skipped``
    one is not a measurement.
    """

    since: float
    store: Callable[[float, Mapping[str, Value]], None]
    times: list[float] = attrs.field(factory=list, converter=_sorted)
    covered: str | None = None
    wanted: int = 0
    stored: int = 0
    known: int = 0
    skipped: int = 0
    complete: bool = False

    @property
    def done(self) -> int:
        """Entries handled so far."""
        return self.stored + self.known + self.skipped

    def add(self, time: float, values: Mapping[str, Value], interval: float) -> None:
        """Store an entry, unless one within half an interval of it is stored: a device's clock drifts.

        So a device that invents entries cannot have more stored than two for each interval.
        """
        at = bisect_left(self.times, time - interval / 2)
        if at < len(self.times) and self.times[at] < time + interval / 2:
            self.known += 1
        else:
            self.stored += 1
            self.times.insert(at, time)
            self.store(time, values)

    def report(self) -> LogReport:
        """How it stands."""
        complete = self.complete and self.done >= self.wanted
        return LogReport(self.wanted, self.stored, self.known, self.skipped, complete)


class Download(Protocol):
    """The download of one log, over several connections if the link is lost."""

    async def log_in(self, gatt: Gatt) -> None:
        """Keep the link open for a download. Called first on each connection."""
        ...

    async def advance(self, gatt: Gatt, notify: Callable[[int, int], None]) -> None:
        """Continue until the log is complete. ``notify`` is called with the handled and the wanted entries.

        Raises GattError if the connection fails; the next call continues there. Raises RefusedError if the log makes no
        sense.
        """
        ...

    def covered(self) -> str | None:
        """Text for the next run: which entries need not be fetched again."""
        ...


@attrs.frozen
class GattReader:
    """How the devices of one kind are read.

    ``download`` fetches the log, ``set_clock`` sets the clock; None if the devices have none. ``outdated``: advice for
    a device whose firmware sends no values in advertisements.
    """

    read: Callable[[Gatt, ReadTarget], Awaitable[Answer]]
    download: Callable[[ReadTarget, LogProgress], Download] | None = None
    set_clock: Callable[[Gatt, ReadTarget], Awaitable[ClockSet]] | None = None
    outdated: str = ""


def covered_text(covered: attrs.AttrsInstance) -> str:
    """A value that says what a download covered, as text."""
    return json.dumps(attrs.asdict(covered))


def covered_from(kind: Callable[..., T], text: str | None) -> T | None:
    """The value that :func:`covered_text` wrote. None if the text is damaged."""
    try:
        return kind(**json.loads(text or ""))
    except (ValueError, TypeError):
        return None
