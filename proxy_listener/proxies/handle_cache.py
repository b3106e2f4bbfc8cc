"""Which handle each characteristic of a device has. Kept over restarts, because discovery is half of a connection.

What comes in: a device's services; two callables that keep text under a name. What goes out: UUID -> handle. What was
kept may be wrong, so nothing here raises, and a table that a device contradicts is forgotten.
"""

import json
from collections.abc import Callable, Iterable, Mapping

from aioesphomeapi.model import BluetoothGATTService

from proxy_listener.model.advertisement import Address, mac_text

HANDLES = 256
"""Handles kept of one device, at most: a plant sensor has 20, a clock 50."""

CLIENT_CONFIGURATION = "/2902"
"""Suffix of a characteristic's key in the table; that key has the handle of its client configuration descriptor."""

_CLIENT_CONFIGURATION_UUID = "00002902-0000-1000-8000-00805f9b34fb"


class HandleCache:
    """The handle tables of all devices. ``load`` and ``save`` keep text under a name; saving None removes it."""

    def __init__(self, load: Callable[[str], str | None], save: Callable[[str, str | None], None]) -> None:
        self._load = load
        self._save = save

    def get(self, address: Address) -> Mapping[str, int]:
        """UUID -> handle; empty where none is kept."""
        try:
            table = json.loads(self._load(_name(address)) or "{}")
            return {str(uuid): int(handle) for uuid, handle in table.items()}
        except (ValueError, TypeError, AttributeError):
            return {}

    def put(self, address: Address, table: Mapping[str, int]) -> None:
        """Replace the table of a device."""
        self._save(_name(address), json.dumps(dict(table)))

    def forget(self, address: Address) -> None:
        """Remove the table of a device, which did not know one of its handles."""
        self._save(_name(address), None)


def add_handles(table: dict[str, int], services: Iterable[BluetoothGATTService]) -> None:
    """Add UUID -> handle of what a device says it has; the first where a UUID occurs twice."""
    for characteristic in (each for service in services for each in service.characteristics):
        if len(table) >= HANDLES:
            return
        table.setdefault(characteristic.uuid, characteristic.handle)
        for descriptor in characteristic.descriptors:
            if descriptor.uuid == _CLIENT_CONFIGURATION_UUID:
                table.setdefault(characteristic.uuid + CLIENT_CONFIGURATION, descriptor.handle)


def _name(address: Address) -> str:
    return f"handles/{mac_text(address)}"
