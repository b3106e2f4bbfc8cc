"""Names from outside (mDNS, nodes, files) -> names that may be shown, logged and written anywhere.

The rule of this file: what passed through :func:`printable` holds no control character, no line break, no escape
sequence, no direction override and nothing that is invisible, and is at most 64 characters long.
"""

import unicodedata

LIMIT = 64

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories: control, format (direction overrides, joiners), surrogate, private, unassigned, separators."""


def printable(text: str, limit: int = LIMIT) -> str:
    """``text`` cut to ``limit`` characters, each unprintable one replaced by ``?``."""
    return "".join("?" if unicodedata.category(c) in _UNSEEN else c for c in text[:limit])
