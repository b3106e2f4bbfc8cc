"""What a product is known to be and to send, whatever its format. The products themselves stand in ``formats/``."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

from proxy_listener.model.events import BUTTON, EventKind, control_of
from proxy_listener.model.quantities import Quantity

Encryption: TypeAlias = Literal["none", "legacy", "v4/v5", "unknown"]
"""What has been seen. Any v4/v5 device may also send plain header-only frames, and custom firmware plain objects."""

QUARTER = 900.0
HOUR = 3600.0
"""Seconds of silence that are normal. Plain sensors send at least once a minute; encrypted ones send a burst every 10
to 20 minutes, which may be missed (docs/protocol/xiaomi-devices.md)."""

PRESSES: Mapping[int, str] = {0: "press", 1: "double_press", 2: "long_press"}
"""The number of a press on air -> the type of its event."""


@attrs.frozen
class Buttons:
    """A model's buttons: the number on air -> the kinds of events that it fires.

    ``classic``: presses come in object 0x1001, whose last byte says which press (``presses``); otherwise as MIoT
    events, whose id says it. ``power``: numbers that also say that something is on or off. ``whatever``: one button,
    whatever the number says. ``numbered``: not known how many or which way; the number goes with the event.
    """

    events: Mapping[int, tuple[str, ...]] = attrs.field(factory=dict)
    classic: bool = False
    presses: Mapping[int, str] = attrs.field(factory=lambda: PRESSES)
    power: Mapping[int, bool] = attrs.field(factory=dict)
    whatever: bool = False
    numbered: bool = False

    @property
    def kinds(self) -> tuple[EventKind, ...]:
        """The kinds of events that are known beforehand."""
        if self.numbered:
            return ()
        if self.whatever:
            return (BUTTON,)
        return tuple(
            control_of(name) for name in dict.fromkeys(name for fired in self.events.values() for name in fired)
        )


@attrs.frozen
class Model:
    """One product. ``known``: it has a row; of others the standard objects are decoded.

    ``quantities`` and ``events`` are what its advertisements are known to hold: a device may send more, or, where both
    are empty, nothing is known beforehand. ``read_quantities`` are those that come only by reading it over a
    connection, and ``reader`` names how. ``sleepy``: silent for hours and still available. ``interval``: seconds of
    silence after which one that is not sleepy is gone. ``constant``: its frame counter never moves. ``unsure``: names
    of quantities in whose place its MiBeacon frames also hold something else, so that a value counts when it is sent
    twice.
    ``generic``: any device of its format may be meant, so it never takes the place of a product. ``wraps``: some of
    these devices count their encrypted frames in 16 bits. ``variant_of``: the product that another format calls it by.
    """

    name: str
    kind: str
    product_id: int | None = None
    maker: str = ""
    quantities: tuple[Quantity, ...] = ()
    read_quantities: tuple[Quantity, ...] = ()
    events: tuple[EventKind, ...] = ()
    encryption: Encryption = "unknown"
    sleepy: bool = False
    interval: float = QUARTER
    constant: bool = False
    unsure: frozenset[str] = frozenset()
    reader: str | None = None
    buttons: Buttons | None = attrs.field(default=None, eq=False)
    known: bool = True
    generic: bool = False
    wraps: bool = False
    variant_of: str = ""

    @property
    def hardware(self) -> str:
        """The same for every product that is one device under several names."""
        return self.variant_of or self.name

    @property
    def legacy(self) -> bool:
        """It uses MiBeacon v2/v3 encryption, so such a frame of it is believed."""
        return self.encryption == "legacy"
