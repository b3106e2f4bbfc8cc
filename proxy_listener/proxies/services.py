"""The services of a device, as a proxy lists them: messages in; a table of handles within fixed limits out.

Invariant: nothing is kept of a message but its handles, so a proxy that lists services without end costs no memory. The
library's own call keeps every message until the last (docs/protocol/threats.md#l7).
"""

from typing import Any

from aioesphomeapi import api_pb2
from aioesphomeapi.connection import APIConnection
from aioesphomeapi.model import BluetoothGATTService

from proxy_listener.model.advertisement import Address
from proxy_listener.model.errors import GattError
from proxy_listener.proxies.handle_cache import add_handles

_API: Any = api_pb2
"""Protobuf's classes carry no types."""

ATTRIBUTES = 1_024
"""Services, characteristics and descriptors of one device: a clock has about 100, and an ESP32 keeps a few hundred
(docs/protocol/esphome-proxy.md#gatt-through-a-proxy)."""

SERVICES_BYTES = 65_536
"""Bytes of all messages about them; one attribute takes about 30."""

_SERVICES, _DONE = _API.BluetoothGATTGetServicesResponse, _API.BluetoothGATTGetServicesDoneResponse
_ERROR, _CONNECTION = _API.BluetoothGATTErrorResponse, _API.BluetoothDeviceConnectionResponse
_MESSAGES = (_SERVICES, _DONE, _ERROR, _CONNECTION)


class ServiceList:
    """What one proxy lists of one device.

    ``lost``: the link ended before the list did. ``error``: the code of a GATT error that came instead. ``excess``: how
    the list went beyond the limits, in words; it is over then, too.
    """

    def __init__(self, address: Address) -> None:
        self.table: dict[str, int] = {}
        self.lost = False
        self.error: int | None = None
        self.excess = ""
        self._address = address
        self._over = False
        self._attributes = 0
        self._bytes = 0

    def over(self, message: Any) -> bool:
        """Take a message in. Whether the list is over."""
        if message.address == self._address and not self._over:
            if type(message) is _SERVICES:
                self._add(message)
            self._over = bool(self.excess) or type(message) is not _SERVICES
            self.lost = type(message) is _CONNECTION
            if type(message) is _ERROR:
                self.error = message.error
        return self._over

    def _add(self, message: Any) -> None:
        self._bytes += message.ByteSize()
        self._attributes += _attributes(message)
        if self._attributes > ATTRIBUTES:
            self.excess = f"the proxy listed more than {ATTRIBUTES} services, characteristics and descriptors"
        elif self._bytes > SERVICES_BYTES:
            self.excess = f"the proxy listed services in more than {SERVICES_BYTES} bytes"
        else:
            add_handles(self.table, map(BluetoothGATTService.from_pb, message.services))


def _attributes(message: Any) -> int:
    """How many a message has; counting stops beyond the limit."""
    count = len(message.services)
    for service in message.services[:ATTRIBUTES]:
        count += len(service.characteristics)
        for characteristic in service.characteristics[:ATTRIBUTES]:
            count += len(characteristic.descriptors)
        if count > ATTRIBUTES:
            break
    return count


async def list_services(connection: APIConnection, address: Address, seconds: float) -> ServiceList:
    """Ask a proxy for the services of a device. Raises GattError beyond the limits, and the library's errors."""
    found = ServiceList(address)
    await connection.send_messages_await_response_complex(
        (_API.BluetoothGATTGetServicesRequest(address=address),), _keep_none, found.over, _MESSAGES, seconds
    )
    if found.excess:
        raise GattError("excess", found.excess)
    return found


def _keep_none(_message: Any) -> bool:
    return False
