"""Which handle each characteristic of a device has. Kept over restarts, because discovery is half of a connection.

What comes in: two callables that keep text under a name. What goes out: UUID -> handle. What was kept may be wrong, so
nothing here raises, and a table that a device contradicts is forgotten.
"""

import json
from collections.abc import Callable, Mapping

from proxy_listener.model.advertisement import Address, mac_text


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


def _name(address: Address) -> str:
    return f"handles/{mac_text(address)}"
