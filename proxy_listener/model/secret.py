"""A key or a password.

``repr``, ``str`` and ``format`` give ``***``, and pickling is refused, so that no log, error, API answer or dump can
hold one by accident.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import NoReturn

SHORTEST_TOKEN = 16
TOO_SHORT = f"expected at least {SHORTEST_TOKEN} beyond loopback; make one with: openssl rand -hex 16"
"""Characters of a token that others on the network may guess at, and what an error says of a shorter one."""


class Secret:
    """Text that must not be shown. ``reveal()`` is the only access to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one call that needs it."""
        return self._text

    def __len__(self) -> int:
        return len(self._text)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
