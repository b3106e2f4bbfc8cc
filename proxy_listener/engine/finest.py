"""One measurement in two formats: which of the two values is kept.

What comes in: of a device that sends in several formats, what each frame says. What goes out: the values without those
that another of its formats sends with more digits.

::

    pvvx firmware in turns     0x181A  23.42 °C  45.67 %
                               0xFE95  23.4 °C   45 %       the same measurement with fewer digits: left out

Without this the value goes to and fro between the two roundings. How fine a format is shows in its values: 23.4 may be
23.40, so the most digits that it ever sent count.
"""

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from proxy_listener.model.reading import Trust, Value

KEPT = 600.0
"""Seconds without the finer value after which the coarser one counts again: twice the pause between two measurements
of the slowest setting of pvvx firmware."""

QUANTITIES = 64
"""Quantities that are followed of one device, at most: a frame without a key can hold any."""

_DIGITS_LIMIT = 6

_PROOF: Mapping[Trust, int] = {"claimed": 0, "encrypted": 1, "authenticated": 2}

_Key: TypeAlias = tuple[str, bytes]
"""A quantity, and the mark of a format."""


@attrs.define
class _Sent:
    digits: int
    proof: int
    heard: float


class Finest:
    """The digits of each quantity of one device by the format (its mark) that they came in."""

    __slots__ = ("_sent",)

    def __init__(self, form: bytes, values: Mapping[str, Value], trust: Trust, heard: float) -> None:
        """``values``: the live state, which came in ``form``, the device's only format until ``heard``."""
        self._sent: dict[_Key, _Sent] = {}
        self.kept(values, form, trust, heard)

    def kept(self, values: Mapping[str, Value], form: bytes, trust: Trust, heard: float) -> dict[str, Value]:
        """The values of a new frame without those that come finer in another format, by a frame that proves as much."""
        return {name: value for name, value in values.items() if not self._coarser(name, value, form, trust, heard)}

    def _coarser(self, name: str, value: Value, form: bytes, trust: Trust, heard: float) -> bool:
        if isinstance(value, bool | str):
            return False
        own, proof = self._sent.get((name, form)), _PROOF[trust]
        digits = max(digits_of(value), own.digits if own is not None else 0)
        if own is not None or len(self._sent) < QUANTITIES:
            self._sent[name, form] = _Sent(digits, proof, heard)
        return any(
            sent.digits > digits and sent.proof >= proof and heard - sent.heard <= KEPT
            for (quantity, other), sent in self._sent.items()
            if quantity == name and other != form
        )


def digits_of(value: float) -> int:
    """Digits behind the point that a value needs: 23.4 -> 1."""
    for digits in range(_DIGITS_LIMIT):
        if round(value, digits) == value:
            return digits
    return _DIGITS_LIMIT
