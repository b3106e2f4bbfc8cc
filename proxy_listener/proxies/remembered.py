"""What is known of nodes from earlier runs: a small JSON file in the state directory.

::

    {"bound": {"kitchen-proxy": "A0:B1:C2:D3:E4:F5"},       entry's name -> the first MAC that proved the key
     "encrypted": ["A0:B1:C2:D3:E4:F5"],                     spoken to with Noise once: never again in plaintext
     "not_proxies": {"11:22:33:44:55:66": "2026.10.0/1a2b"}} asked, and no proxy as long as this firmware runs there

The rule of this file: it is bounded, written whole and atomically, and a damaged one costs only what it held.
"""

import json
import os
from pathlib import Path
from typing import Any

import structlog

from proxy_listener.model.advertisement import Address, mac_text, parse_mac

log = structlog.get_logger()

FILE = "proxies.json"
LIMIT = 4096
"""Of each kind; the oldest goes first. Only nodes that proved a key enter ``encrypted``."""
_LARGEST = 4 * 1024 * 1024


class Remembered:
    """Bindings, encrypted nodes and nodes that are no proxies. ``path`` None keeps them in memory only."""

    def __init__(self, directory: Path | None) -> None:
        self._path = None if directory is None else directory / FILE
        self._bound: dict[str, Address] = {}
        self._encrypted: dict[Address, None] = {}
        self._not_proxies: dict[Address, str] = {}
        self.changed = False
        if self._path is not None:
            self._load(self._path)

    def bound(self, name: str) -> Address | None:
        """The MAC that an entry without ``mac`` is bound to."""
        return self._bound.get(name)

    def bind(self, name: str, mac: Address) -> None:
        """The node with this MAC was the first to prove the key of the entry ``name``."""
        if name not in self._bound:
            self._bound[name] = mac
            self._settle(self._bound)

    def encrypted(self, mac: Address) -> bool:
        """Whether this node ever completed Noise with us."""
        return mac in self._encrypted

    def note_encrypted(self, mac: Address) -> None:
        """This node completed Noise."""
        if mac not in self._encrypted:
            self._encrypted[mac] = None
            self._settle(self._encrypted)

    def not_proxy(self, mac: Address, firmware: str) -> bool:
        """Whether this node, with this firmware, was asked and is no proxy."""
        return self._not_proxies.get(mac) == firmware

    def note_not_proxy(self, mac: Address, firmware: str) -> None:
        """This node was asked and is no proxy."""
        if self._not_proxies.get(mac) != firmware:
            self._not_proxies[mac] = firmware
            self._settle(self._not_proxies)

    def note_proxy(self, mac: Address) -> None:
        """This node is a proxy now."""
        if self._not_proxies.pop(mac, None) is not None:
            self.changed = True

    def _settle(self, table: dict[Any, Any]) -> None:
        self.changed = True
        while len(table) > LIMIT:
            del table[next(iter(table))]

    def snapshot(self) -> str:
        """The file's text, and the end of ``changed``."""
        self.changed = False
        document = {
            "bound": {name: mac_text(mac) for name, mac in self._bound.items()},
            "encrypted": [mac_text(mac) for mac in self._encrypted],
            "not_proxies": {mac_text(mac): firmware for mac, firmware in self._not_proxies.items()},
        }
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    def write(self, text: str) -> None:
        """Put a snapshot in the file's place. Blocks: call it in a thread."""
        if self._path is None:
            return
        beside = self._path.with_suffix(".new")
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)

    def _load(self, path: Path) -> None:
        try:
            if path.exists() and not path.is_file():
                # A pipe without a writer would be waited for.
                raise ValueError("not a plain file")  # noqa: TRY301  read like any other damage
            with path.open(encoding="utf-8") as file:
                document = json.loads(file.read(_LARGEST))
            self._bound = {str(name): parse_mac(mac) for name, mac in document["bound"].items()}
            self._encrypted = {parse_mac(mac): None for mac in document["encrypted"]}
            self._not_proxies = {parse_mac(mac): str(fw) for mac, fw in document["not_proxies"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning(
                "what was known of proxies cannot be read, starting without it: names are bound anew, and nodes "
                "without an entry may be spoken to in plaintext again",
                file=str(path),
                error=type(error).__name__,
            )
