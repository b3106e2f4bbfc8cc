"""Coverage: what would be lost without a proxy, and which devices no proxy hears.

What comes in: the record of hearing (per proxy and device: frames heard, frames heard by it alone, frames of all), and
which proxies and devices there are. What goes out: a :class:`Coverage`. It counts frames that
were heard: a frame that no proxy heard leaves no trace, so shares are of what all rooms together delivered.

Counts are given from the first frame on. A verdict (adds nothing, hears nothing, one proxy only, heard by nobody) needs
a day of listening, and a hundred frames of each device that it is about.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.history import Reception

ADDS_NOTHING = 0.01
"""A proxy without which less than one frame in a hundred would be missing, of every device."""

LEAST_HOURS, LEAST_FRAMES = 24.0, 100
"""Below them nothing is judged: doors are closed and people are away for much of a day, and one frame in a hundred
cannot be seen in fewer than a hundred."""


@attrs.frozen
class DeviceCoverage:
    """How a device is heard. ``shares``: proxy -> share of its frames; ``only``: the one proxy, where it is one;
    ``judged``: there are enough frames of it for a verdict.
    """

    mac: Address
    name: str
    frames: int
    shares: Mapping[str, float]
    only: str | None
    judged: bool


@attrs.frozen
class ProxyCoverage:
    """What a proxy contributes. ``lost_without``: device -> share of its frames that no other proxy heard."""

    proxy: str
    room: str
    frames: int
    alone: int
    devices: int
    lost_without: Mapping[Address, float]
    adds_nothing: bool
    hears_nothing: bool


@attrs.frozen
class Coverage:
    """The report over ``hours`` of listening and ``frames`` frames. ``judged``: that is enough for verdicts."""

    hours: float
    frames: int
    judged: bool
    devices: Sequence[DeviceCoverage]
    proxies: Sequence[ProxyCoverage]
    unheard: Sequence[Address]  # listed devices that no proxy heard


def hours_listened(record: Iterable[Reception], now: float, started: float) -> float:
    """For how many hours the record has frames. The current hour counts up to ``now``, and from ``started`` on where
    the service started in it; both are wall seconds.
    """
    hours = {row.hour for row in record}
    this = int(now // 3600)
    running = (now - max(started, this * 3600.0)) / 3600 if this in hours else 0.0
    return len(hours - {this}) + max(0.0, running)


def coverage(
    record: Iterable[Reception],
    rooms: Mapping[str, str],
    names: Mapping[Address, str],
    listed: Iterable[Address],
    hours: float,
) -> Coverage:
    """The report from the record. ``rooms``: every proxy that there is, and its room; ``names``: every device."""
    heard: dict[Address, dict[str, int]] = {}
    alone: dict[Address, dict[str, int]] = {}
    hourly: dict[Address, dict[int, int]] = {}
    for row in record:
        if row.mac not in names:
            continue
        # A proxy's row counts all frames of the hour since it first heard the device; the fullest row counts them all.
        hours_frames = hourly.setdefault(row.mac, {})
        hours_frames[row.hour] = max(row.frames, hours_frames.get(row.hour, 0))
        for counts, count in ((heard, row.heard), (alone, row.alone)):
            by_proxy = counts.setdefault(row.mac, {})
            by_proxy[row.proxy] = by_proxy.get(row.proxy, 0) + count
    heard = {mac: {proxy: count for proxy, count in by_proxy.items() if count > 0} for mac, by_proxy in heard.items()}
    totals = {mac: sum(frames.values()) for mac, frames in hourly.items()}
    enough = hours >= LEAST_HOURS
    judged = {mac for mac, frames in totals.items() if enough and frames >= LEAST_FRAMES}
    devices = [
        DeviceCoverage(
            mac=mac,
            name=name,
            frames=totals.get(mac, 0),
            shares={proxy: min(1.0, count / totals[mac]) for proxy, count in sorted(heard.get(mac, {}).items())},
            only=next(iter(heard[mac])) if mac in judged and len(heard[mac]) == 1 else None,
            judged=mac in judged,
        )
        for mac, name in sorted(names.items(), key=lambda item: item[1])
    ]
    proxies = [_proxy(proxy, room, heard, alone, totals, judged) for proxy, room in sorted(rooms.items())]
    if not enough:
        proxies = [attrs.evolve(proxy, adds_nothing=False, hears_nothing=False) for proxy in proxies]
    unheard = [mac for mac in listed if enough and not heard.get(mac)]
    return Coverage(hours, sum(totals.values()), enough, devices, proxies, unheard)


def _proxy(
    proxy: str,
    room: str,
    heard: Mapping[Address, Mapping[str, int]],
    alone: Mapping[Address, Mapping[str, int]],
    totals: Mapping[Address, int],
    judged: Collection[Address],
) -> ProxyCoverage:
    mine = {mac: by_proxy[proxy] for mac, by_proxy in heard.items() if by_proxy.get(proxy)}
    lost = {mac: max(0, alone[mac][proxy]) / totals[mac] for mac in mine if alone[mac][proxy] > 0}
    return ProxyCoverage(
        proxy=proxy,
        room=room,
        frames=sum(mine.values()),
        alone=sum(max(0, alone[mac][proxy]) for mac in mine),
        devices=len(mine),
        lost_without=lost,
        # One frame of a device of which there are few is enough to doubt it.
        adds_nothing=any(mac in judged for mac in mine)
        and all(mac in judged and share < ADDS_NOTHING for mac, share in lost.items()),
        hears_nothing=not mine,
    )
