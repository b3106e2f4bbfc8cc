"""What a program that gets bindkeys wrote in, every device in it out. No key is shown.

These forms are read:

- the output of Xiaomi-cloud-tokens-extractor, which is text, in blocks of ``NAME``, ``ID``, ``BLE KEY``, ``MAC``,
  ``TOKEN``, ``MODEL``, or the JSON that it writes with ``-o``;
- JSON lists and trees of objects with a MAC and a key, as ble_monitor keeps them
  (``{"devices": [{"mac": .., "encryption_key": ..}]}``), Home Assistant's ``core.config_entries``
  (``{"domain": "xiaomi_ble", "unique_id": MAC, "data": {"bindkey": ..}}``), and maps ``{MAC: key}``;
- the table of a Yeelight lamp as miiocli prints it (``[{'mac': .., 'evtid': .., 'pid': .., 'beaconkey': ..}]``), whose
  MACs are in the order of the radio, the last byte first
  (docs/protocol/mibeacon-encryption.md#where-keys-come-from).
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from proxy_listener.model.advertisement import Address, parse_mac
from proxy_listener.model.secret import Secret

MAC_NAMES = ("mac", "macaddress", "address", "uniqueid")
KEY_NAMES = ("bindkey", "beaconkey", "blekey", "encryptionkey", "aeskey", "key")
NAME_NAMES = ("name", "title")
"""Names of values, in lower case and without anything but letters. A ``token`` opens connections and is no bindkey."""

DOMAINS = ("bthome", "xiaomi_ble", "ble_monitor")
"""Home Assistant's integrations whose keys are read. Others keep keys of another kind under the same names."""

TABLE = {"evtid", "pid"}
"""What an entry of a lamp's table has, and no other form."""

DEPTH = 12
"""Levels of JSON that are searched. The deepest known form, ble_monitor's in Home Assistant's storage, has seven."""

LITERAL_LIMIT = 1_000_000
"""Characters that are read as a Python literal. A lamp's table has a line of a few hundred."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RULE = re.compile(r"\s*-{3,}\s*")
_FIELD = re.compile(r"\s*(NAME|ID|BLE KEY|MAC|IP|TOKEN|MODEL)\s*:\s*(.*?)\s*", re.IGNORECASE)
_HEX_KEY = re.compile(r"\s*(?:[0-9A-Fa-f]{24}|[0-9A-Fa-f]{32})\s*")


@attrs.frozen
class FoundKey:
    """A device in an extractor's file. ``key`` is None where it has none, ``mac`` where its key has none that can be
    read. ``reversed``: the file has the MAC's bytes in reverse.
    """

    mac: Address | None
    name: str | None
    key: Secret | None
    reversed: bool = False


def read_keys(content: bytes) -> list[FoundKey] | None:
    """The devices of a file in any of the forms; None where it is in none of them."""
    text = content.decode("utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig", "replace")
    blocks = list(_blocks(text))
    if blocks:
        return extracted(blocks)
    try:
        return extracted(json.loads(text))
    except (ValueError, RecursionError):
        table = _literal(text)
        return None if table is None else extracted(table)


def _blocks(text: str) -> Iterator[dict[str, str]]:
    """The blocks of the text form. A rule ends one, and so does a field that the block has already."""
    block: dict[str, str] = {}
    for line in _COLOUR.sub("", text).splitlines():
        field = _FIELD.fullmatch(line)
        word = field[1].upper() if field else None
        if block and (word in block or _RULE.fullmatch(line)):
            yield block
            block = {}
        if field and word:
            block[word] = field[2]
    if block:
        yield block


def _literal(text: str) -> Any:
    """The Python list that miiocli prints, behind a line that says what it runs; None where there is none."""
    start = re.search(r"^\s*[\[{]", text, re.MULTILINE)
    if start is None or len(text) > LITERAL_LIMIT:
        return None
    try:
        return ast.literal_eval(text[start.start() :].strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def extracted(document: Any) -> list[FoundKey]:
    """Every device in the document, in its order, those without a key too. Equal keys of a device are given once."""
    seen: dict[tuple[Address | None, Secret | None], FoundKey] = {}
    for found in _walk(document, DEPTH):
        seen.setdefault((found.mac, found.key), found)
    with_key = {mac for mac, key in seen if key is not None}
    return [found for found in seen.values() if found.key is not None or found.mac not in with_key]


def _walk(node: Any, depth: int, *, of_device: bool = False) -> Iterator[FoundKey]:
    """The devices below ``node``. ``of_device``: it is a part of one, whose key is already taken."""
    if depth == 0:
        return
    if isinstance(node, list):
        for item in node:
            yield from _walk(item, depth - 1)
    if not isinstance(node, dict) or node.get("domain", DOMAINS[0]) not in DOMAINS:
        return
    found = _device(node)
    if found is not None and not (of_device and found.mac is None):
        yield found
    is_map = any(_mac(word) is not None for word in node)
    for word, value in node.items():
        named = _mac(word)
        if named is not None and not isinstance(value, dict | list):
            yield FoundKey(named, None, Secret(value.strip()) if isinstance(value, str) and value.strip() else None)
        elif named is not None and isinstance(value, dict) and _first(value, MAC_NAMES) is None:
            yield FoundKey(named, _first(value, NAME_NAMES), _key(value))
        elif is_map and named is None and isinstance(value, str) and _HEX_KEY.fullmatch(value):
            yield FoundKey(None, word, Secret(value.strip()))
        else:
            yield from _walk(value, depth - 1, of_device=found is not None and found.mac is not None)


def _device(node: Mapping[str, Any]) -> FoundKey | None:
    """The device that an object describes. One whose MAC cannot be read counts where its key looks like one, or where
    text that should be the MAC is beside the key.
    """
    written, key = _first(node, MAC_NAMES), _key(node)
    mac = _mac(written)
    if mac is None:
        own = key is not None and _first(node, KEY_NAMES) is not None
        is_one = own and (written is not None or (key is not None and bool(_HEX_KEY.fullmatch(key.reveal()))))
        return FoundKey(None, _first(node, NAME_NAMES), key) if is_one else None
    backwards = node.keys() >= TABLE and written is not None and len(written.strip()) == 12
    if backwards:
        mac = int.from_bytes(mac.to_bytes(6, "little"), "big")
    return FoundKey(mac, _first(node, NAME_NAMES), key, backwards)


def _first(node: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The text under the first of ``names`` that has any."""
    plain = {re.sub("[^a-z]", "", str(word).lower()): value for word, value in node.items()}
    return next((plain[name] for name in names if isinstance(plain.get(name), str) and plain[name]), None)


def _mac(text: Any) -> Address | None:
    try:
        return parse_mac(text) if isinstance(text, str) and text else None
    except ValueError:
        return None


def _key(node: Mapping[str, Any]) -> Secret | None:
    """The key of a device: beside its MAC, or one table deeper (``BLE_DATA``, ``data``, ``options``)."""
    inner = [value for value in node.values() if isinstance(value, dict) and _first(value, MAC_NAMES) is None]
    text = next((text for each in [node, *inner] if (text := _first(each, KEY_NAMES))), None)
    return Secret(text.strip()) if text and text.strip() else None
