"""What the listener asks of the history, and leaves with it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from proxy_listener.model.advertisement import Address
from proxy_listener.model.history import KnownFrame
from proxy_listener.model.models import Model
from proxy_listener.model.reading import Value


class KeptFrame(NamedTuple):
    """An encrypted frame without a bindkey. ``time``: wall seconds; ``rssi``: dBm, 0 is unknown; ``data``: the service
    data of ``uuid``; ``id``: for forgetting it.
    """

    id: int
    mac: Address
    time: float
    proxy: str
    rssi: int
    address_type: int
    uuid: int
    data: bytes


class Memory(Protocol):
    """The journal, or in tests a set."""

    def known(self, mac: Address, identity: bytes) -> bool:
        """Was this authenticated frame ever accepted?"""

    def highest(self, mac: Address, key_id: bytes) -> int | None:
        """The highest counter of a device's authenticated frames under this bindkey that were ever accepted: -1 where
        there is none, None where the history cannot be read.
        """

    def newest(self, mac: Address) -> Iterable[KnownFrame]:
        """The newest identities of a device, oldest first: 64, and further ones that may still be repeated."""

    def latest(self, mac: Address) -> Mapping[str, tuple[Value, float]]:
        """The live state of a device when the service last ran: quantity -> (value, time)."""

    def model(self, mac: Address) -> Model | None:
        """The model that a device was last known as."""

    def admitted(self, mac: Address) -> float | None:
        """When this unlisted device was admitted, in wall seconds; None where it was not."""

    def admit(self, mac: Address, time: float) -> None:
        """An unlisted device is admitted."""

    def keep(
        self, mac: Address, time: float, proxy: str, rssi: int, address_type: int, uuid: int, payload: bytes
    ) -> bool:
        """Keep an encrypted frame for when its bindkey arrives; whether it is not a copy of one that is kept."""
