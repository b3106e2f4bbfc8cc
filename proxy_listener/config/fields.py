"""Values of ``devices.toml``: what TOML gave in, the value that the program uses (seconds, bytes, addresses) out.

Each function takes a value and the wanted type, as cattrs calls it, and raises :class:`FieldError`. A message says what
was expected and the type or the length of what was found. It never repeats the value: a key on the wrong line is still
a key.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, TypeAlias, TypeVar, get_args

from cattrs import IterableValidationError, IterableValidationNote

from proxy_listener.model.advertisement import Address, parse_mac
from proxy_listener.model.text import LIMIT, printable, split_endpoint

Hook: TypeAlias = Callable[[Any, Any], Any]

T = TypeVar("T")

UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
LONGEST = 36_500 * UNITS["d"]
DURATION = 'expected a duration such as "50ms", "10s", "5min", "24h" or "400d"'

SIZES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
SIZE = 'expected a size such as "500MB", "4GB" or "1.5TB"'

KEYLIKE = re.compile(r"[0-9A-Fa-f]{24,}|[A-Za-z0-9+/]{43}=")
"""What a bindkey and a Noise key look like. Such text is masked in messages."""


class FieldError(ValueError):
    """A value that is not as expected. The text says what was expected."""


def shown(text: str) -> str:
    """``text`` of the user, made safe for a message: printable, with everything that looks like a key masked."""
    return KEYLIKE.sub("***", printable(text, 200))


def kind(value: object) -> str:
    """What TOML calls the value's type."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or time")


def quoted(words: tuple[str, ...]) -> str:
    """``("a", "b", "c")`` -> ``"a", "b" or "c"``."""
    marked = [f'"{word}"' for word in words]
    return " or ".join([", ".join(marked[:-1]), marked[-1]]) if len(marked) > 1 else "".join(marked)


def text(value: Any, _: Any) -> str:
    """Text. A zero character is refused, because no path can hold one."""
    if not isinstance(value, str):
        raise FieldError(f"expected text in quotes, found {kind(value)}")
    if "\0" in value:
        raise FieldError("expected text without a zero character (\\u0000)")
    return value


def whole(value: Any, _: Any) -> int:
    """A whole number. ``true`` is an int in Python, and is refused."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(f"expected a whole number, found {kind(value)}")
    return value


def flag(value: Any, _: Any) -> bool:
    """``true`` or ``false``. ``"false"`` is text, which Python would take for true."""
    if not isinstance(value, bool):
        raise FieldError(f"expected true or false, found {kind(value)}")
    return value


def choice(value: Any, wanted: Any) -> Any:
    """One of a ``Literal``'s words."""
    words = get_args(wanted)
    if isinstance(value, bool) or value not in words:
        raise FieldError(f"expected {quoted(words)}")
    return value


def duration(value: Any, _: Any) -> float:
    """``"50ms"`` -> 0.05 seconds. The unit is required, except for 0."""
    if value == 0 and not isinstance(value, bool):
        return 0.0
    if not isinstance(value, str):
        raise FieldError(f"{DURATION}, found {kind(value)}")
    parts = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([a-z]*)", value.strip())
    if parts is None or (parts[2] not in UNITS and float(parts[1]) != 0):
        raise FieldError(DURATION)
    seconds = float(parts[1]) * UNITS.get(parts[2], 0.0)
    if seconds > LONGEST:
        raise FieldError(f"{DURATION}; this one is longer than a hundred years")
    return seconds


def duration_or_off(value: Any, wanted: Any) -> float | None:
    """A duration, or None for ``"off"``."""
    if value == "off":
        return None
    try:
        return duration(value, wanted)
    except FieldError:
        raise FieldError(f'{DURATION}, or "off"') from None


def size(value: Any, _: Any) -> int:
    """``"4GB"`` -> 4,000,000,000 bytes (decimal units, as on the labels of disks). The unit is required."""
    if not isinstance(value, str):
        raise FieldError(f"{SIZE}, found {kind(value)}")
    parts = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)\s*([MGT]B)", value.strip())
    if parts is None:
        raise FieldError(SIZE)
    return round(float(parts[1]) * SIZES[parts[2]])


def within(hook: Callable[[Any, Any], T], low: float, high: float, expected: str) -> Callable[[Any, Any], T]:
    """``hook``, then a check that the value is from ``low`` to ``high``. None passes."""

    def ranged(value: Any, wanted: Any) -> T:
        found: Any = hook(value, wanted)
        if found is not None and not low <= found <= high:
            raise FieldError(expected)
        return found  # type: ignore[no-any-return]

    return ranged


def label(value: Any, wanted: Any) -> str:
    """A name that can be shown: 1 to 64 printable characters."""
    name = text(value, wanted)
    if not name.strip() or printable(name) != name:
        raise FieldError(f"expected 1 to {LIMIT} printable characters")
    return name


def mac(value: Any, wanted: Any) -> Address:
    """A MAC as text. All zeros and all ones belong to no device."""
    try:
        address = parse_mac(text(value, wanted))
    except FieldError:
        raise
    except ValueError:
        raise FieldError('expected a MAC such as "A4:C1:38:02:83:F4"') from None
    if address in {0, (1 << 48) - 1}:
        raise FieldError("expected the MAC of a device: this one belongs to none")
    return address


def ip_address(value: Any, wanted: Any) -> str:
    """An address of this machine, as text."""
    try:
        return str(ipaddress.ip_address(text(value, wanted)))
    except FieldError:
        raise
    except ValueError:
        raise FieldError('expected an IP address of this machine, such as "192.0.2.5"') from None


def listen(value: Any, wanted: Any) -> str:
    """``host:port``, an IPv6 address in brackets."""
    address = text(value, wanted)
    if split_endpoint(address) is None:
        raise FieldError('expected "host:port", such as "127.0.0.1:8099" or "[::1]:8099"')
    return address


def listed(value: Any, item: Callable[[Any], T]) -> tuple[T, ...]:
    """A list's items, each through ``item``. The error holds every item that is wrong, with its index from 1."""
    if not isinstance(value, list):
        raise FieldError(f"expected a list, found {kind(value)}")
    found: list[T] = []
    errors: list[Exception] = []
    for index, one in enumerate(value, 1):
        try:
            found.append(item(one))
        except FieldError as error:
            error.add_note(IterableValidationNote("", index, None))
            errors.append(error)
    if errors:
        raise IterableValidationError("", errors, tuple)
    return tuple(found)


def unknown(word: str, known: Iterable[str], what: str = "key") -> str:
    """What is wrong with a word that is none of ``known``: ``unknown key``, and what was meant or expected."""
    return f"unknown {what}" + (meant(word, known) or f", expected one of: {', '.join(sorted(known))}")


def meant(word: str, known: Iterable[str]) -> str:
    """The one of ``known`` that ``word`` is a misspelling of, as the end of a sentence; empty where none is close."""
    close = get_close_matches(word.lower(), known, 1)
    return f', did you mean "{close[0]}"?' if close else ""
