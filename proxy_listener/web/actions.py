"""What the API can ask of the rest of the house, as callables that app hands in, and the values they answer with.

The rule of this file: it is the only door from web to reads, routing and proxies, and it imports none of them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from proxy_listener.advertisement import Address


@attrs.frozen
class Candidate:
    """One proxy that might read a device: what speaks for and against it, and the sentence why it won or lost."""

    proxy: str
    room: str
    eligible: bool
    chosen: bool
    score: float | None
    rssi: float | None  # smoothed, dBm; None where it never heard the device
    heard_age: float | None
    slots_free: int | None
    slots_limit: int | None
    failures: float  # recent ones of this proxy with this device, fading
    reason: str


@attrs.frozen
class Progress:
    """A step of an active read. ``done`` of ``total`` are log entries; both 0 where the step is not countable."""

    step: str
    proxy: str | None = None
    done: int = 0
    total: int = 0


@attrs.frozen
class Attempt:
    """What one route said."""

    proxy: str
    ok: bool
    detail: str


@attrs.frozen
class ReadResult:
    """How an active read ended: by which routes, with what values, how many log entries, and whether that was all."""

    ok: bool
    detail: str
    attempts: Sequence[Attempt] = ()
    values: Mapping[str, Any] = attrs.field(factory=dict)
    entries: int = 0
    complete: bool = True


Tell: TypeAlias = Callable[[Progress], None]


@attrs.frozen
class Storage:
    """How the journal is. ``failing`` says since how many seconds nothing could be committed; None while it can."""

    failing: float | None = None
    cause: str = ""
    pending: int = 0


def _no_candidates(_mac: Address) -> Sequence[Candidate]:
    return ()


async def _no_coverage() -> Mapping[str, Any]:
    return {}


@attrs.frozen
class Actions:
    """The callables. One that is None is a route of the API that answers 501.

    ``read`` takes a MAC, whether the log is wanted too, and whom to tell of progress; cancelling it ends the read
    cleanly. ``stream`` gives capture lines (without the line's end) from its call on; it is bounded on app's side.
    ``metrics`` gives a content type and a body. ``ready`` is what stands in the way of readings, empty when nothing.
    """

    route: Callable[[Address], Sequence[Candidate]] = _no_candidates
    read: Callable[[Address, bool, Tell], Awaitable[ReadResult]] | None = None
    coverage: Callable[[], Awaitable[Mapping[str, Any]]] = _no_coverage
    stream: Callable[[], AsyncIterator[str]] | None = None
    metrics: Callable[[], tuple[str, bytes]] | None = None
    storage: Callable[[], Storage] = Storage
