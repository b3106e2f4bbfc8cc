"""What a key extractor wrote, as JSON, in; bindkeys in ``devices.toml`` out, with its comments and order kept.

These forms are read: lists and trees of objects with a MAC and a key, as Xiaomi-cloud-tokens-extractor writes them
(``[{"homes": [{"devices": [{"mac": .., "BLE_DATA": {"beaconkey": ..}}]}]}]``) and ble_monitor keeps them
(``{"devices": [{"mac": .., "encryption_key": ..}]}``), Home Assistant's ``core.config_entries``
(``{"domain": "xiaomi_ble", "unique_id": MAC, "data": {"bindkey": ..}}``), and maps ``{MAC: key}``. No key is shown, and
no key is lost: a new one is written before the old one.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs
import tomlkit
from tomlkit.exceptions import ParseError
from tomlkit.items import AoT, Table
from tomlkit.toml_document import TOMLDocument

from proxy_listener.config.fields import FieldError
from proxy_listener.config.secrets import MOST_BINDKEYS, Secrets, bindkey
from proxy_listener.model.advertisement import Address, mac_text, parse_mac
from proxy_listener.model.errors import ConfigError, Problem, ProxyListenerError
from proxy_listener.model.secret import Secret
from proxy_listener.model.text import printable
from proxy_listener.state import write_private

MAC_NAMES = ("mac", "macaddress", "address", "uniqueid")
KEY_NAMES = ("bindkey", "beaconkey", "blekey", "encryptionkey", "aeskey", "key")
NAME_NAMES = ("name", "title")
"""Names of values, in lower case and without anything but letters. A ``token`` opens connections and is no bindkey."""

DOMAINS = ("xiaomi_ble", "ble_monitor")
"""Home Assistant's integrations whose keys are read. Others (bthome) keep keys of another kind under the same names."""

DEPTH = 12
"""Levels of JSON that are searched. The deepest known form, ble_monitor's in Home Assistant's storage, has seven."""

Result: TypeAlias = Literal["added", "renewed", "unchanged", "refused"]


@attrs.frozen
class FoundKey:
    """A device in an extractor's file; ``key`` is None where it has none."""

    mac: Address
    name: str | None
    key: Secret | None


@attrs.frozen
class KeyChange:
    """The result of importing one key, and its reason."""

    mac: Address
    result: Result
    why: str


def extracted(document: Any) -> list[FoundKey]:
    """Every device in the document, in its order, those without a key too. Equal keys of a device are given once."""
    seen: dict[tuple[Address, Secret | None], FoundKey] = {}
    for found in _walk(document, DEPTH):
        seen.setdefault((found.mac, found.key), found)
    with_key = {mac for mac, key in seen if key is not None}
    return [found for found in seen.values() if found.key is not None or found.mac not in with_key]


def _walk(node: Any, depth: int) -> Iterator[FoundKey]:
    if depth == 0:
        return
    if isinstance(node, list):
        for item in node:
            yield from _walk(item, depth - 1)
    if not isinstance(node, dict) or node.get("domain", DOMAINS[0]) not in DOMAINS:
        return
    mac = _mac(_first(node, MAC_NAMES))
    if mac is not None:
        yield FoundKey(mac, _first(node, NAME_NAMES), _key(node))
    for word, value in node.items():
        named = _mac(word)
        if named is not None and isinstance(value, str):
            yield FoundKey(named, None, Secret(value))
        elif named is not None and isinstance(value, dict) and _first(value, MAC_NAMES) is None:
            yield FoundKey(named, _first(value, NAME_NAMES), _key(value))
        else:
            yield from _walk(value, depth - 1)


def _first(node: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The text under the first of ``names`` that has any."""
    plain = {re.sub("[^a-z]", "", word.lower()): value for word, value in node.items()}
    return next((plain[name] for name in names if isinstance(plain.get(name), str) and plain[name]), None)


def _mac(text: str | None) -> Address | None:
    try:
        return parse_mac(text) if text else None
    except ValueError:
        return None


def _key(node: Mapping[str, Any]) -> Secret | None:
    """The key of a device: beside its MAC, or one table deeper (``BLE_DATA``, ``data``, ``options``)."""
    inner = [value for value in node.values() if isinstance(value, dict) and _first(value, MAC_NAMES) is None]
    text = next((text for each in [node, *inner] if (text := _first(each, KEY_NAMES))), None)
    return Secret(text.strip()) if text else None


def checked(key: Secret) -> Secret:
    """The key in lower case. FieldError where it is no bindkey."""
    good = bindkey(key)
    if good.reveal().upper().endswith("FFFFFFFF"):
        raise FieldError("ends in FFFFFFFF: the cloud's way to say that it does not give this key away")
    return Secret(good.reveal().lower())


def import_keys(found: Iterable[FoundKey], path: Path) -> list[KeyChange]:
    """Add the keys to ``path`` and make it private. Nothing is written where nothing changes."""
    try:
        file = DevicesFile(path.read_bytes().decode("utf-8-sig"), Secrets(path.parent))
    except OSError as error:
        raise ConfigError([Problem(str(path), f"cannot be read: {error.strerror}")]) from None
    except ValueError:
        raise ConfigError([Problem(path.name, "is not TOML; check says where")]) from None
    changes = [file.add(one) for one in found]
    if any(change.result in {"added", "renewed"} for change in changes):
        target = path.resolve()
        try:
            write_private(target, file.text(), like=target.stat())
        except OSError as error:
            raise ProxyListenerError(f"cannot write {path}: {error.strerror}") from None
    return changes


class DevicesFile:
    """The text of a ``devices.toml``, in parts of one table each.

    tomlkit moves all ``[[device]]`` entries to the place of the first one when it writes a whole file.
    """

    def __init__(self, text: str, secrets: Secrets) -> None:
        self._secrets = secrets
        self._parts: list[TOMLDocument] = list(_parts(text))
        if not all(isinstance(part.get("device"), AoT | None) for part in self._parts):
            raise ConfigError([Problem("device", "expected entries, each below a line [[device]]")])

    def text(self) -> str:
        """The whole file."""
        return "".join(part.as_string() for part in self._parts)

    def add(self, found: FoundKey) -> KeyChange:
        """Add a key to its device's entry, or in a new entry at the end of the file."""
        if found.key is None:
            return KeyChange(found.mac, "refused", "no key beside it")
        try:
            key = checked(found.key)
        except FieldError as error:
            return KeyChange(found.mac, "refused", str(error))
        entries = [entry for part in self._parts for entry in part.get("device", [])]
        entry = next((each for each in entries if _mac(str(each.get("mac"))) == found.mac), None)
        if entry is not None:
            return self._renew(entry, found.mac, key)
        taken = {each.get("name") for each in entries}
        name = printable(found.name).strip() if found.name else ""
        lines = ["", "[[device]]", f"mac = {tomlkit.string(mac_text(found.mac)).as_string()}"]
        lines += [f"name = {tomlkit.string(name).as_string()}"] if name and name not in taken else []
        lines += [f"bindkey = {tomlkit.string(key.reveal()).as_string()}", ""]
        joint = "" if not self._parts or self.text().endswith("\n") else "\n"
        self._parts.append(tomlkit.parse(joint + "\n".join(lines)))
        return KeyChange(found.mac, "added", "a new entry")

    def _renew(self, entry: Table, mac: Address, key: Secret) -> KeyChange:
        present = entry.get("bindkey")
        if present is None:
            _append(entry, "bindkey", key.reveal())
            return KeyChange(mac, "added", "to its entry")
        known = list(present) if isinstance(present, list) else [present]
        if any(self._same(one, key) for one in known):
            return KeyChange(mac, "unchanged", "its entry has this key")
        keys = tomlkit.array()
        for one in [key.reveal(), *known][:MOST_BINDKEYS]:
            keys.append(one)
        entry["bindkey"] = keys
        return KeyChange(mac, "renewed", "before the old one, which may go once the new one is verified")

    def _same(self, present: Any, key: Secret) -> bool:
        """Whether an entry's key (as text, in a file, in a variable) is this one."""
        try:
            plain = present.unwrap() if hasattr(present, "unwrap") else present
            return Secret(self._secrets.secret(plain, None).reveal().lower()) == key
        except FieldError:
            return False


def _parts(text: str) -> Iterator[TOMLDocument]:
    """The text, cut before each line that begins with a bracket if the text before it is valid TOML by itself."""
    held = ""
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("[") and held:
            try:
                yield tomlkit.parse(held)
                held = ""
            except ParseError:
                pass
        held += line
    if held:
        yield tomlkit.parse(held)


def _append(entry: Table, word: str, value: str) -> None:
    """Add a key at the end of an entry, before the comments and empty lines that belong to the next entry."""
    body = entry.value.body
    trailing: list[Any] = []
    while body and body[-1][0] is None:
        trailing.append(body.pop())
    entry[word] = value
    body.extend(reversed(trailing))
