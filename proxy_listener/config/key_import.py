"""The devices of an extractor's file in; bindkeys in ``devices.toml`` out, with its comments and order kept.

No key is shown, and no key is lost: a new one is written before the old one.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs
import tomlkit
from tomlkit.exceptions import ParseError
from tomlkit.items import AoT, Table
from tomlkit.toml_document import TOMLDocument

from proxy_listener.config.document import LARGEST
from proxy_listener.config.fields import FieldError
from proxy_listener.config.key_file import FoundKey
from proxy_listener.config.secrets import MOST_BINDKEYS, Secrets, bindkey
from proxy_listener.model.advertisement import Address, mac_text, parse_mac
from proxy_listener.model.errors import ConfigError, Problem, ProxyListenerError
from proxy_listener.model.secret import Secret
from proxy_listener.model.text import printable
from proxy_listener.state import read_regular, write_private

PADDING = "ffffffff"
"""What ends a key of the cloud where the device has a 12-byte key, or none
(docs/protocol/mibeacon-encryption.md#keys-that-are-no-keys)."""

Result: TypeAlias = Literal["added", "renewed", "unchanged", "refused"]


@attrs.frozen
class KeyChange:
    """The result of importing one key, and its reason. ``mac`` is None where the file has none that can be read."""

    mac: Address | None
    result: Result
    why: str
    name: str | None = None


def import_keys(found: Iterable[FoundKey], path: Path) -> list[KeyChange]:
    """Add the keys to ``path`` and make it private. Nothing is written where nothing changes."""
    try:
        file = DevicesFile(read_regular(path, LARGEST).decode("utf-8-sig"), Secrets(path.parent))
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
        name = printable(found.name).strip() if found.name else ""
        if found.mac is None:
            return KeyChange(None, "refused", "no MAC beside the key, or one that cannot be read", name)
        if found.key is None:
            return KeyChange(found.mac, "refused", "no key beside it", name)
        try:
            key = Secret(bindkey(found.key).reveal().lower())
        except FieldError as error:
            return KeyChange(found.mac, "refused", str(error), name)
        result, *why = self._enter(found.mac, name, key)
        if found.reversed:
            why.append("the MAC's bytes were reversed, as in a lamp's table")
        if key.reveal().endswith(PADDING):
            why.append("ends in FFFFFFFF: the key of some dimmers; of other devices the cloud gives none this way")
        return KeyChange(found.mac, result, "; ".join(why), name)

    def _enter(self, mac: Address, name: str, key: Secret) -> tuple[Result, str]:
        entries = [entry for part in self._parts for entry in part.get("device", [])]
        entry = next((each for each in entries if _is_of(each, mac)), None)
        if entry is not None:
            return self._renew(entry, key)
        taken = {each.get("name") for each in entries}
        lines = ["", "[[device]]", f"mac = {tomlkit.string(mac_text(mac)).as_string()}"]
        lines += [f"name = {tomlkit.string(name).as_string()}"] if name and name not in taken else []
        lines += [f"bindkey = {tomlkit.string(key.reveal()).as_string()}", ""]
        joint = "" if not self._parts or self.text().endswith("\n") else "\n"
        self._parts.append(tomlkit.parse(joint + "\n".join(lines)))
        return "added", "a new entry"

    def _renew(self, entry: Table, key: Secret) -> tuple[Result, str]:
        present = entry.get("bindkey")
        if present is None:
            _append(entry, "bindkey", key.reveal())
            return "added", "to its entry"
        known = list(present) if isinstance(present, list) else [present]
        if any(self._same(one, key) for one in known):
            return "unchanged", "its entry has this key"
        keys = tomlkit.array()
        for one in [key.reveal(), *known][:MOST_BINDKEYS]:
            keys.append(one)
        entry["bindkey"] = keys
        return "renewed", "before the old one, which may go once the new one is verified"

    def _same(self, present: Any, key: Secret) -> bool:
        """Whether an entry's key (as text, in a file, in a variable) is this one."""
        try:
            plain = present.unwrap() if hasattr(present, "unwrap") else present
            return Secret(self._secrets.secret(plain, None).reveal().lower()) == key
        except FieldError:
            return False


def _is_of(entry: Table, mac: Address) -> bool:
    try:
        return parse_mac(str(entry.get("mac"))) == mac
    except ValueError:
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
