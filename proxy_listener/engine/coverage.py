"""Coverage: what would be lost without a proxy, and which devices no proxy hears.

What comes in: the record of hearing (per proxy and device: frames heard, frames heard by it alone, frames of all), and
which proxies and devices there are. What goes out: a :class:`Coverage`. It counts frames that
were heard: a frame that no proxy heard leaves no trace, so shares are of what all rooms together delivered.
"""

from collections.abc import Iterable, Mapping, Sequence

import attrs

from proxy_listener.model.advertisement import Address
from proxy_listener.model.history import Reception

ADDS_NOTHING = 0.01
"""A proxy without which less than one frame in a hundred would be missing, of every device."""


@attrs.frozen
class DeviceCoverage:
    """How a device is heard. ``shares``: proxy -> share of its frames; ``only``: the one proxy, where it is one."""

    mac: Address
    name: str
    frames: int
    shares: Mapping[str, float]
    only: str | None


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
    """The report over ``hours``."""

    hours: float
    devices: Sequence[DeviceCoverage]
    proxies: Sequence[ProxyCoverage]
    unheard: Sequence[Address]  # listed devices that no proxy heard


def coverage(
    record: Iterable[Reception],
    rooms: Mapping[str, str],
    names: Mapping[Address, str],
    listed: Iterable[Address],
    hours: float,
) -> Coverage:
    """The report from the record. ``rooms``: every proxy that there is, and its room."""
    heard: dict[Address, dict[str, int]] = {}
    alone: dict[Address, dict[str, int]] = {}
    hourly: dict[Address, dict[int, int]] = {}
    for row in record:
        # A proxy's row counts all frames of the hour since it first heard the device; the fullest row counts them all.
        hours_frames = hourly.setdefault(row.mac, {})
        hours_frames[row.hour] = max(row.frames, hours_frames.get(row.hour, 0))
        for counts, count in ((heard, row.heard), (alone, row.alone)):
            by_proxy = counts.setdefault(row.mac, {})
            by_proxy[row.proxy] = by_proxy.get(row.proxy, 0) + count
    heard = {mac: {proxy: count for proxy, count in by_proxy.items() if count > 0} for mac, by_proxy in heard.items()}
    totals = {mac: sum(frames.values()) for mac, frames in hourly.items()}
    devices = [
        DeviceCoverage(
            mac=mac,
            name=names.get(mac, ""),
            frames=totals[mac],
            shares={proxy: min(1.0, count / totals[mac]) for proxy, count in sorted(heard[mac].items())},
            only=next(iter(heard[mac])) if len(heard[mac]) == 1 else None,
        )
        for mac in sorted(heard, key=lambda mac: names.get(mac, ""))
        if totals[mac] and heard[mac]
    ]
    proxies = [_proxy(proxy, room, heard, alone, totals) for proxy, room in sorted(rooms.items())]
    return Coverage(hours, devices, proxies, [mac for mac in listed if not heard.get(mac)])


def _proxy(
    proxy: str,
    room: str,
    heard: Mapping[Address, Mapping[str, int]],
    alone: Mapping[Address, Mapping[str, int]],
    totals: Mapping[Address, int],
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
        adds_nothing=bool(mine) and all(share < ADDS_NOTHING for share in lost.values()),
        hears_nothing=not mine,
    )
