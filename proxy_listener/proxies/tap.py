"""What a session passes on besides advertisements to ``hear``: for whoever serves the proxy to other clients.

Out: the messages of the node as they came, while its stream is ours; in: messages for the node. Advertisements are
passed on before anything of ours is done with them.
"""

from collections.abc import Callable, Collection
from typing import Any, Protocol

from aioesphomeapi import api_pb2
from aioesphomeapi.connection import APIConnection
from google.protobuf.message import Message

from proxy_listener.model.advertisement import Address

_API: Any = api_pb2

ANSWERS = (
    _API.BluetoothDeviceConnectionResponse,
    _API.BluetoothGATTGetServicesResponse,
    _API.BluetoothGATTGetServicesDoneResponse,
    _API.BluetoothGATTReadResponse,
    _API.BluetoothGATTWriteResponse,
    _API.BluetoothGATTNotifyResponse,
    _API.BluetoothGATTNotifyDataResponse,
    _API.BluetoothGATTErrorResponse,
    _API.BluetoothDevicePairingResponse,
    _API.BluetoothDeviceUnpairingResponse,
    _API.BluetoothDeviceClearCacheResponse,
    _API.BluetoothSetConnectionParamsResponse,
    _API.BluetoothConnectionsFreeResponse,
    _API.BluetoothScannerStateResponse,
)
"""Every message of a Bluetooth proxy but its advertisements."""


class Tap(Protocol):
    """Who uses a proxy beside us."""

    def advertisements(self, message: Message) -> None:
        """A message of advertisements."""

    def answer(self, message: Message) -> None:
        """One of :data:`ANSWERS`."""

    @property
    def held(self) -> Collection[Address]:
        """Devices to which it has connections, or opens one."""

    def holds(self, address: Address) -> bool:
        """Whether it is connected to a device, through this proxy or another."""

    @property
    def connecting(self) -> bool:
        """It opens a connection, so the proxy does not scan."""


def tap_connection(connection: APIConnection, tap: Tap) -> Callable[[], None]:
    """Pass the node's answers on, until the connection ends or the returned function is called."""
    return connection.add_message_callback(tap.answer, ANSWERS)
