"""What the broker was told to keep, as a note in the journal: so that it can be taken back after a restart.

The rule of this file: the note says what was acknowledged. A note that cannot be read is as good as none: everything is
announced again, and nothing is taken back.
"""

import hashlib
import json
from typing import Any

import attrs

NOTE = "mqtt"
CLIENT_NOTE = "mqtt client"


def digest(payload: str) -> str:
    """What stands for a payload in the note."""
    return hashlib.sha256(payload.encode()).hexdigest()[:16]


@attrs.define
class Record:
    """A device or proxy. ``announced`` is the digest of its discovery; ``events`` are those it sent, kind -> types."""

    announced: str | None = None
    events: dict[str, list[str]] = attrs.field(factory=dict)


@attrs.define
class Records:
    """Devices and proxies that have retained topics below ``base`` and ``prefix``, by their ids."""

    base: str
    prefix: str
    devices: dict[str, Record] = attrs.field(factory=dict)
    proxies: dict[str, Record] = attrs.field(factory=dict)

    def text(self) -> str:
        """The note."""
        return json.dumps(attrs.asdict(self), separators=(",", ":"))


def read(text: str | None) -> Records | None:
    """The note's records; None where there are none."""
    if text is None:
        return None
    try:
        found = json.loads(text)
        return Records(str(found["base"]), str(found["prefix"]), _entries(found["devices"]), _entries(found["proxies"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _entries(found: dict[str, Any]) -> dict[str, Record]:
    return {
        id_: Record(entry["announced"], {kind: list(types) for kind, types in entry["events"].items()})
        for id_, entry in found.items()
        if len(id_) == 12 and int(id_, 16) >= 0
    }
