"""What is around a node's radio: peripherals that can be connected to. The node's side of that is written here.

The rule of this file: the node says which peripheral and which handle; who is in reach, and what it answers, is the
air's business. Whoever serves a node (a simulator, a relay of other proxies) implements :class:`Air`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import attrs

from proxy_listener.model.errors import ProxyListenerError

READ, WRITE_WITHOUT_RESPONSE, WRITE, NOTIFY = 0x02, 0x04, 0x08, 0x10
"""Characteristic properties: Bluetooth Core, volume 3, part G, 3.3.1.1."""

CLIENT_CONFIGURATION = 0x2902
"""UUID of the descriptor that a client writes to get notifications."""

INVALID_HANDLE, INSUFFICIENT_RESOURCES, BUSY, NOT_CONNECTED = 1, 17, 132, -1
"""Codes of GATT errors: ATT's own; Bluedroid's GATT_BUSY; ESPHome's for an operation without a link."""

OPEN_FAILED, OPEN_CANCELLED = 133, 0x100
TIMED_OUT, HUNG_UP_BY_PEER, HUNG_UP_BY_US = 0x08, 0x13, 0x16
"""Why there is no link: Bluedroid's catch-all 133 and its ESP_GATT_CONN_CONN_CANCEL, and HCI reasons."""


@attrs.frozen
class Descriptor:
    """UUID (16 bits, or 128 where it is not of the SIG's base) and handle."""

    uuid: int
    handle: int


@attrs.frozen
class Characteristic:
    """UUID, handle of its value, properties."""

    uuid: int
    handle: int
    properties: int
    descriptors: Sequence[Descriptor] = ()


@attrs.frozen
class GattService:
    """UUID, handle, characteristics."""

    uuid: int
    handle: int
    characteristics: Sequence[Characteristic] = ()


class OpenError(ProxyListenerError):
    """The link was not made; ``code`` is what the client is told."""

    def __init__(self, code: int) -> None:
        super().__init__(f"open failed with {code}")
        self.code = code


class OperationError(ProxyListenerError):
    """The peripheral refused an operation; ``code`` is ATT's."""

    def __init__(self, code: int) -> None:
        super().__init__(f"operation failed with {code}")
        self.code = code


class Link(Protocol):
    """An open connection to one peripheral. Operations raise OperationError, or never answer."""

    mtu: int

    async def services(self) -> Sequence[GattService]:
        """What the peripheral has."""

    async def read(self, handle: int) -> bytes:
        """The value of a characteristic or descriptor."""

    async def write(self, handle: int, data: bytes, response: bool) -> None:
        """Write a characteristic or descriptor, waiting for its answer or not."""

    def close(self) -> None:
        """End it. Tells nobody: the one who closes knows."""


Lost: TypeAlias = Callable[[int], None]
"""Called once, with an HCI reason, when the peripheral or the distance ended a link."""
Notified: TypeAlias = Callable[[int, bytes], None]
"""Called with handle and value."""


class Air(Protocol):
    """All peripherals that might be in reach of a node's radio."""

    async def open(self, address: int, address_type: int, lost: Lost, notified: Notified) -> Link:
        """A link to that peripheral. Raises OpenError; waits for ever for one that is not there."""


class Vacuum:
    """An air without peripherals: every open runs into the node's own limit."""

    async def open(self, address: int, address_type: int, lost: Lost, notified: Notified) -> Link:
        """Never."""
        del address, address_type, lost, notified
        never: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
        return await never
