"""What the broker has retained of us, as a note in the journal.

Acknowledged discovery goes in, as digests, with what devices were heard to send; text that a later run can read goes
out. A note that cannot be read is none.
"""

import hashlib
import json
from typing import Any

import attrs


@attrs.define
class Record:
    """A device or proxy. ``announced`` is the digest of its discovery; ``events`` are those it sent, kind -> types.
    ``area`` is the room that a device was first in, empty where it was in none, and None before that is known.
    ``version`` is the firmware that a proxy last had. ``read``: it has a topic for when it is read.
    """

    announced: str | None = None
    events: dict[str, list[str]] = attrs.field(factory=dict)
    area: str | None = None
    version: str | None = None
    read: bool = False


@attrs.define
class Records:
    """Devices and proxies that have retained topics below ``base`` and ``prefix``, by their ids.

    ``rooms``: what the room of a device may be, as their discovery says it.
    """

    base: str
    prefix: str
    devices: dict[str, Record] = attrs.field(factory=dict)
    proxies: dict[str, Record] = attrs.field(factory=dict)
    service: Record = attrs.field(factory=Record)
    rooms: list[str] = attrs.field(factory=list)

    def text(self) -> str:
        """The note."""
        return json.dumps(attrs.asdict(self), separators=(",", ":"))


def digest(payload: str) -> str:
    """What stands for a payload in the note."""
    return hashlib.sha256(payload.encode()).hexdigest()[:16]


def read(text: str | None) -> Records | None:
    """The note's records; None where there is no note, or none that can be read."""
    if text is None:
        return None
    try:
        found = json.loads(text)
        return Records(
            str(found["base"]),
            str(found["prefix"]),
            _entries(found["devices"]),
            _entries(found["proxies"]),
            _record(found.get("service", {"announced": None, "events": {}})),
            [str(room) for room in found.get("rooms", [])],
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _entries(found: dict[str, Any]) -> dict[str, Record]:
    return {id_: _record(entry) for id_, entry in found.items() if len(id_) == 12 and int(id_, 16) >= 0}


def _record(entry: dict[str, Any]) -> Record:
    return Record(
        entry["announced"],
        {kind: list(types) for kind, types in entry["events"].items()},
        entry.get("area"),
        entry.get("version"),
        bool(entry.get("read")),
    )
