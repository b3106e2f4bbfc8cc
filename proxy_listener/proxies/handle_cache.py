"""Which handle each characteristic of a device has: kept over restarts, because it saves half of every connection.

What comes in: two callables that keep text under a name. What goes out: UUID -> handle. The rule of this file: what
was kept may be wrong, so nothing here raises, and a table that a device contradicts is forgotten.
"""

import json
from collections.abc import Callable, Mapping

from proxy_listener.model.advertisement import Address, mac_text


class HandleCache:
    """The handle tables of all devices. ``load`` and ``save`` keep text under a name; saving None forgets it."""

    def __init__(self, load: Callable[[str], str | None], save: Callable[[str, str | None], None]) -> None:
        self._load = load
        self._save = save

    def get(self, address: Address) -> Mapping[str, int]:
        """UUID -> handle; empty where none is kept."""
        try:
            table = json.loads(self._load(_note(address)) or "{}")
            return {str(uuid): int(handle) for uuid, handle in table.items()}
        except (ValueError, TypeError, AttributeError):
            return {}

    def put(self, address: Address, table: Mapping[str, int]) -> None:
        """Keep the table of a device."""
        self._save(_note(address), json.dumps(dict(table)))

    def forget(self, address: Address) -> None:
        """Drop it: the device did not know a handle of it."""
        self._save(_note(address), None)


def _note(address: Address) -> str:
    return f"handles/{mac_text(address)}"
