"""The peripherals that a node's radio can connect to, as protocols.

The owner of a node (the simulator, a relay of other proxies) implements :class:`Air` and :class:`Link`: the node passes
addresses and handles, and does not know what is in reach.
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
"""GATT errors: two of ATT; Bluedroid's GATT_BUSY; ESPHome's code for an operation without a link."""

OPEN_FAILED, OPEN_CANCELLED = 133, 0x100
TIMED_OUT, HUNG_UP_BY_PEER, HUNG_UP_BY_US = 0x08, 0x13, 0x16
"""Why there is no link: Bluedroid's general error 133 and its ESP_GATT_CONN_CONN_CANCEL, and HCI reasons."""


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
    """The link was not made; ``code`` is sent to the client."""

    def __init__(self, code: int) -> None:
        super().__init__(f"open failed with {code}")
        self.code = code


class OperationError(ProxyListenerError):
    """The peripheral refused an operation; ``code`` is ATT's."""

    def __init__(self, code: int) -> None:
        super().__init__(f"operation failed with {code}")
        self.code = code


class Link(Protocol):
    """An open connection to one peripheral. Operations raise OperationError; they may also never return."""

    mtu: int

    async def services(self) -> Sequence[GattService]:
        """The peripheral's services."""

    async def read(self, handle: int) -> bytes:
        """The value of a characteristic or descriptor."""

    async def write(self, handle: int, data: bytes, response: bool) -> None:
        """Write a characteristic or descriptor. ``response``: wait for the acknowledgement."""

    def close(self) -> None:
        """End it. ``lost`` is not called."""


Lost: TypeAlias = Callable[[int], None]
"""Called once, with an HCI reason, when the peripheral or the radio ended a link."""
Notified: TypeAlias = Callable[[int, bytes], None]
"""Called with handle and value."""


class Air(Protocol):
    """All peripherals in reach of a node's radio."""

    async def open(self, address: int, address_type: int, lost: Lost, notified: Notified) -> Link:
        """A link to that peripheral. Raises OpenError; never returns if the peripheral is absent."""


class Vacuum:
    """No peripherals: every open ends by the node's own time limit."""

    async def open(self, address: int, address_type: int, lost: Lost, notified: Notified) -> Link:
        """As :meth:`Air.open`."""
        del address, address_type, lost, notified
        never: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
        return await never
