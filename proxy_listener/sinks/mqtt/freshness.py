"""How long a value counts as known after it came.

A quantity and the intervals of the ways in which it comes go in; seconds go out. A value that comes by advertisement is
due once in its model's interval, one that comes only by reads once between two reads. A value that is not periodic (a
battery, a door) stays until the next one.
"""

from collections.abc import Iterable

from proxy_listener.model.quantities import Quantity
from proxy_listener.model.status import DeviceStatus

INTERVALS = 3
"""Intervals of silence after which a periodic value is not known any more. With fewer, entities flap."""


def lifetime(quantity: Quantity, intervals: Iterable[float | None]) -> int | None:
    """Seconds after which a value is not known any more; None where it stays. ``intervals``: seconds between two
    values, one for each way in which they come; None where a way has no interval.
    """
    known = [interval for interval in intervals if interval is not None]
    return int(INTERVALS * min(known)) if quantity.periodic and known else None


def intervals_of(device: DeviceStatus) -> tuple[float | None, float | None]:
    """Of advertisements and of reads. A plant sensor with old firmware advertises nothing of what its model is known
    for, and its values come by reads only.
    """
    by_air = None if device.sleepy or (device.readable and not device.advertises) else device.interval
    return by_air or None, device.read_interval  # the interval of an unknown model is 0
