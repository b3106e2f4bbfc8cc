"""Admission: which nodes are connected to, and with which key.

What comes in: a ``[[proxy]]`` entry, ``[discovery]``, what mDNS says of the node, what earlier sessions proved. What
goes out: credentials, or the state that says why not. Invariants: an entry's key is tried on that entry only, and a
node that once proved a key is never spoken to in plaintext again (docs/protocol/threats.md#l2).

What earlier sessions proved is kept in ``proxies.json`` in the state directory::

    {"bound": {"kitchen-proxy": "A0:B1:C2:D3:E4:F5"},       entry's name -> the first MAC that proved the key
     "encrypted": ["A0:B1:C2:D3:E4:F5"],                     completed a Noise handshake: never plaintext again
     "not_proxies": {"11:22:33:44:55:66": "2026.10.0/1a2b"}, asked, and no proxy as long as this firmware runs there
     "running": false}                                       true: a run goes on, or did not end cleanly
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import attrs
import structlog

from proxy_listener.model.advertisement import Address, mac_text, parse_mac
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import DiscoverySettings, ProxySettings
from proxy_listener.model.status import ProxyState
from proxy_listener.proxies.discovery import Sighting
from proxy_listener.proxies.states import STATES, Diagnosis
from proxy_listener.state import write_private

log = structlog.get_logger()
T = TypeVar("T")

FILE = "proxies.json"
LIMIT = 4096
"""Of each kind; the oldest goes first. Only nodes that proved a key enter ``encrypted``."""
_LARGEST = 4 * 1024 * 1024
"""Bytes of the file that are read: ten times what three full tables take."""


@attrs.frozen
class Credentials:
    """How a node is spoken to. ``noise_psk`` None: in plaintext."""

    noise_psk: Secret | None
    password: Secret | None = None


class KnownNodes:
    """Bindings, encrypted nodes and nodes that are no proxies. ``directory`` None keeps them in memory only."""

    def __init__(self, directory: Path | None) -> None:
        self._path = None if directory is None else directory / FILE
        self._bound: dict[str, Address] = {}
        self._encrypted: dict[Address, None] = {}
        self._not_proxies: dict[Address, str] = {}
        self.changed = False
        self.killed = False  # whether the last run did not end cleanly
        self._running = False
        if self._path is not None:
            self._load(self._path)

    def running(self, *, running: bool) -> None:
        """A run begins, or ends cleanly."""
        self.changed |= self._running != running
        self._running = running

    def bound(self, name: str) -> Address | None:
        """The MAC that an entry without ``mac`` is bound to."""
        return self._bound.get(name)

    def bind(self, name: str, mac: Address) -> None:
        """Bind the entry ``name`` to this node, the first that proved the entry's key."""
        if name not in self._bound:
            self._bound[name] = mac
            self._changed(self._bound)

    def encrypted(self, mac: Address) -> bool:
        """Whether this node ever completed a Noise handshake."""
        return mac in self._encrypted

    def add_encrypted(self, mac: Address) -> None:
        """This node completed a Noise handshake."""
        if mac not in self._encrypted:
            self._encrypted[mac] = None
            self._changed(self._encrypted)

    def not_proxy(self, mac: Address, firmware: str) -> bool:
        """Whether this node was asked with this firmware, and is no proxy."""
        return self._not_proxies.get(mac) == firmware

    def set_proxy(self, mac: Address, firmware: str, *, proxy: bool) -> None:
        """This node was asked with this firmware, and is a proxy or not."""
        if proxy:
            self.changed |= self._not_proxies.pop(mac, None) is not None
        elif self._not_proxies.get(mac) != firmware:
            self._not_proxies[mac] = firmware
            self._changed(self._not_proxies)

    def _changed(self, table: dict[Any, Any]) -> None:
        self.changed = True
        while len(table) > LIMIT:
            del table[next(iter(table))]

    def snapshot(self) -> str:
        """The file's text. ``changed`` is False afterwards."""
        self.changed = False
        document = {
            "bound": {name: mac_text(mac) for name, mac in self._bound.items()},
            "encrypted": [mac_text(mac) for mac in self._encrypted],
            "not_proxies": {mac_text(mac): firmware for mac, firmware in self._not_proxies.items()},
            "running": self._running,
        }
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    def write(self, text: str) -> None:
        """Replace the file by a snapshot. Blocks: call it in a thread. OSError."""
        if self._path is not None:
            write_private(self._path, text)

    def _load(self, path: Path) -> None:
        try:
            if path.exists() and not path.is_file():
                # Opening a named pipe would block until somebody writes to it.
                raise ValueError("not a plain file")  # noqa: TRY301  handled like any other damage
            with path.open(encoding="utf-8") as file:
                document = json.loads(file.read(_LARGEST))
            self._bound = {str(name): parse_mac(mac) for name, mac in document["bound"].items()}
            self._encrypted = {parse_mac(mac): None for mac in document["encrypted"]}
            self._not_proxies = {parse_mac(mac): str(fw) for mac, fw in document["not_proxies"].items()}
            self.killed = document.get("running") is True
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            log.warning(
                "proxies.json cannot be read and is ignored: names are bound to MACs again, and nodes without an entry "
                "may be spoken to in plaintext again",
                file=str(path),
                error=type(error).__name__,
            )


class NodeIndex(Generic[T]):
    """Finds the proxy or entry that a sighting is of. ``mac_of``: its MAC, where that is known."""

    def __init__(self, mac_of: Callable[[T], Address | None]) -> None:
        self._mac_of = mac_of
        self.by_mac: dict[Address, T] = {}
        self._by_name: dict[str, T] = {}  # an entry's name, and its host:port

    def add(self, item: T, entry: ProxySettings | None, mac: Address | None) -> None:
        """``item`` is found by this entry's name, host and port, and by this MAC."""
        if mac is not None:
            self.by_mac[mac] = item
        if entry is not None:
            self._by_name[entry.name.lower()] = item
            if entry.host is not None:
                self._by_name[f"{entry.host}:{entry.port}"] = item

    def remove(self, item: T) -> None:
        """``item`` is not found any more."""
        self.by_mac = {key: value for key, value in self.by_mac.items() if value is not item}
        self._by_name = {key: value for key, value in self._by_name.items() if value is not item}

    def find(self, sighting: Sighting) -> T | None:
        """By MAC, then by an entry's name, unless the MACs contradict, then by an entry's host and port."""
        if sighting.mac is not None and sighting.mac in self.by_mac:
            return self.by_mac[sighting.mac]
        named = self._by_name.get(sighting.name.lower())
        if named is not None and (sighting.mac is None or self._mac_of(named) is None):
            return named
        places = (f"{address}:{sighting.port}" for address in sighting.addresses)
        return next((self._by_name[place] for place in places if place in self._by_name), None)


def admit(
    entry: ProxySettings | None,
    discovery: DiscoverySettings,
    known: KnownNodes,
    *,
    mac: Address | None,
    encrypts: bool | None,
) -> Credentials | Diagnosis:
    """How to speak to a node, or why not.

    ``mac``: as far as known, perhaps only claimed. ``encrypts``: whether the node seems to want Noise; None where it
    did not say. Only ``accept = "all"``, which takes plaintext nodes as well, relies on that.
    """
    ever_encrypted = mac is not None and known.encrypted(mac)
    plain_allowed = discovery.accept == "all"
    if entry is not None:
        key, password = _entry_key(entry, discovery, plain_allowed=plain_allowed, encrypts=encrypts), entry.password
        if key is None and ever_encrypted:
            key = discovery.noise_psk
    elif discovery.accept == "listed" or (discovery.noise_psk is None and not plain_allowed):
        return STATES[ProxyState.NOT_ACCEPTED]
    elif encrypts is False and not ever_encrypted and not plain_allowed:
        return STATES[ProxyState.NOT_ACCEPTED].because("it speaks plaintext, and has no entry")
    else:
        wants_key = ever_encrypted or encrypts is not False or not plain_allowed
        key, password = (discovery.noise_psk if wants_key else None), None
    if key is not None:
        return Credentials(key, password)
    if ever_encrypted:
        return STATES[ProxyState.NEEDS_KEY]
    return Credentials(None, password)


def _entry_key(
    entry: ProxySettings, discovery: DiscoverySettings, *, plain_allowed: bool, encrypts: bool | None
) -> Secret | None:
    """The entry's own key; else the shared one, unless it has a password, which only firmware without Noise needs."""
    if entry.noise_psk is not None:
        return entry.noise_psk
    if entry.password is not None or (plain_allowed and encrypts is False):
        return None
    return discovery.noise_psk


def identify(mac: Address | None, expected: Address | None, known: KnownNodes, *, encrypted: bool) -> Diagnosis | None:
    """Why the node that answered is refused; None where it may be the expected one."""
    if expected is not None and mac != expected:
        return STATES[ProxyState.WRONG_NODE]
    if mac is not None and not encrypted and known.encrypted(mac):
        return STATES[ProxyState.NEEDS_KEY].because("it spoke encrypted before, and is plaintext now")
    return None
