"""What a simulated model is: how it behaves, and the content of its frames.

The tables of them are :mod:`proxy_listener.simulator.profiles` and :mod:`proxy_listener.simulator.neighbours`.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from random import Random
from typing import TypeAlias

import attrs

from proxy_listener.formats.xiaomi.mibeacon import UUID as MIBEACON
from proxy_listener.model.advertisement import Address
from proxy_listener.model.reading import Event, Value

MINUTE = 60.0

Wrap: TypeAlias = Callable[[bytes, Address, int, bytes | None], bytes]
"""``wrap(content, mac, counter, key)``: the service data of a format in which frames carry more than their content."""


@attrs.frozen
class Content:
    """One frame's content: the objects of a MiBeacon frame, or the whole payload of another format.

    The payload of a scale contains the time of the weighing, so it is a function of that; ``fresh`` starts a new
    weighing, whose frames have one time. ``wait``: seconds until the next frame.
    """

    payload: bytes | Callable[[datetime], bytes]
    values: Mapping[str, Value]
    events: tuple[Event, ...] = ()
    wait: float = MINUTE
    fresh: bool = False


@attrs.frozen
class Profile:
    """How one model behaves. ``copies``: packets of a frame, ``spacing`` seconds apart. ``oui``: the MAC begins so.

    ``uuid`` other than MiBeacon's: the content is the service data, or what ``wrap`` makes the service data of; a
    reading then has ``counter_bits`` of the device's counter. ``local_name`` is sent beside it.
    """

    model: str
    name: str
    product_id: int | None
    oui: int
    encrypted: bool
    contents: Callable[[Random], Iterator[Content]]
    uuid: int = MIBEACON
    copies: int = 8
    spacing: float = 0.15
    version: int = 5
    header_bits: int = 0
    capability: int | None = None
    wrap: Wrap | None = None
    counter_bits: int = 0
    local_name: str | None = None
    gatt_firmware: str | None = None  # of a device that can be read over a connection


def walk(chance: Random, start: int, low: int, high: int, step: int) -> Iterator[int]:
    """Whole numbers that move by a step at most, within limits."""
    value = start
    while True:
        value = min(high, max(low, value + chance.randint(-step, step)))
        yield value
