"""One value of ``devices.toml`` in, the value that the program uses out: durations, sizes, MACs, secrets, names,
addresses.

Each function takes what TOML gave and the wanted type (as cattrs calls it) and raises :class:`FieldError`. The rule of
this file: a message says what was expected and how long or of which type the value was, never the value itself. A key
pasted on the wrong line is still a key.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, get_args

from proxy_listener.model.advertisement import Address, parse_mac
from proxy_listener.model.text import LIMIT, printable, split_endpoint

Fault: TypeAlias = tuple[str, str]
"""Where inside the value (``.file``, ``[2]``, or nothing), and what was expected there."""

Hook: TypeAlias = Callable[[Any, Any], Any]

T = TypeVar("T")

UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
LONGEST = 36_500 * UNITS["d"]
DURATION = 'expected a duration such as "50ms", "10s", "5min", "24h" or "400d"'

SIZES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
SIZE = 'expected a size such as "500MB", "4GB" or "1.5TB"'

KEYLIKE = re.compile(r"[0-9A-Fa-f]{24,}|[A-Za-z0-9+/]{43}=")
"""What a bindkey and a Noise key look like: such text is masked wherever a message would repeat the user's words."""


class FieldError(ValueError):
    """A value that is not as expected: one fault or several, each with its place inside the value."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(text for _, text in faults))
        self.faults = faults


def wrong(text: str) -> FieldError:
    """A single fault of the value itself."""
    return FieldError(("", text))


def shown(text: str) -> str:
    """The user's own words, fit for a message: printable, and without anything that looks like a key."""
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
    """Text, and nothing that only looks like it. No path and no name of the system may hold a zero."""
    if not isinstance(value, str):
        raise wrong(f"expected text in quotes, found {kind(value)}")
    if "\0" in value:
        raise wrong("expected text without a zero character (\\u0000)")
    return value


def whole(value: Any, _: Any) -> int:
    """A whole number; ``true`` is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(f"expected a whole number, found {kind(value)}")
    return value


def flag(value: Any, _: Any) -> bool:
    """``true`` or ``false``; ``"false"`` is text, and would count as true."""
    if not isinstance(value, bool):
        raise wrong(f"expected true or false, found {kind(value)}")
    return value


def choice(value: Any, wanted: Any) -> Any:
    """One of a ``Literal``'s words."""
    words = get_args(wanted)
    if isinstance(value, bool) or value not in words:
        raise wrong(f"expected {quoted(words)}")
    return value


def duration(value: Any, _: Any) -> float:
    """``"50ms"`` -> 0.05 seconds. Only zero needs no unit."""
    if value == 0 and not isinstance(value, bool):
        return 0.0
    if not isinstance(value, str):
        raise wrong(f"{DURATION}, found {kind(value)}")
    parts = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([a-z]*)", value.strip())
    if parts is None or (parts[2] not in UNITS and float(parts[1]) != 0):
        raise wrong(DURATION)
    seconds = float(parts[1]) * UNITS.get(parts[2], 0.0)
    if seconds > LONGEST:
        raise wrong(f"{DURATION}; this one is longer than a hundred years")
    return seconds


def duration_or_off(value: Any, wanted: Any) -> float | None:
    """A duration, or None for ``"off"``."""
    if value == "off":
        return None
    try:
        return duration(value, wanted)
    except FieldError:
        raise wrong(f'{DURATION}, or "off"') from None


def size(value: Any, _: Any) -> int:
    """``"4GB"`` -> 4,000,000,000 bytes, as makers of disks count them. No number goes without its unit."""
    if not isinstance(value, str):
        raise wrong(f"{SIZE}, found {kind(value)}")
    parts = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)\s*([MGT]B)", value.strip())
    if parts is None:
        raise wrong(SIZE)
    return round(float(parts[1]) * SIZES[parts[2]])


def within(hook: Callable[[Any, Any], T], low: float, high: float, expected: str) -> Callable[[Any, Any], T]:
    """``hook``, and then a range, its ends included; None passes."""

    def ranged(value: Any, wanted: Any) -> T:
        found: Any = hook(value, wanted)
        if found is not None and not low <= found <= high:
            raise wrong(expected)
        return found  # type: ignore[no-any-return]

    return ranged


def label(value: Any, wanted: Any) -> str:
    """A name as people see it: not empty, at most 64 characters, nothing invisible in it."""
    name = text(value, wanted)
    if not name.strip() or printable(name) != name:
        raise wrong(f"expected 1 to {LIMIT} printable characters")
    return name


def mac(value: Any, wanted: Any) -> Address:
    """A MAC as text; all zeros and all ones are nobody's."""
    try:
        address = parse_mac(text(value, wanted))
    except FieldError:
        raise
    except ValueError:
        raise wrong('expected a MAC such as "A4:C1:38:02:83:F4"') from None
    if address in {0, (1 << 48) - 1}:
        raise wrong("expected the MAC of a device: this one is nobody's")
    return address


def ip_address(value: Any, wanted: Any) -> str:
    """An address of this machine, as text."""
    try:
        return str(ipaddress.ip_address(text(value, wanted)))
    except FieldError:
        raise
    except ValueError:
        raise wrong('expected an IP address of this machine, such as "192.0.2.5"') from None


def listen(value: Any, wanted: Any) -> str:
    """``host:port``, an IPv6 address in brackets."""
    address = text(value, wanted)
    if split_endpoint(address) is None:
        raise wrong('expected "host:port", such as "127.0.0.1:8099" or "[::1]:8099"')
    return address


def listed(value: Any, item: Callable[[Any], T]) -> tuple[T, ...]:
    """A list's items, each through ``item``; all that are wrong at once, with their index from 1."""
    if not isinstance(value, list):
        raise wrong(f"expected a list, found {kind(value)}")
    found: list[T] = []
    faults: list[Fault] = []
    for index, one in enumerate(value, 1):
        try:
            found.append(item(one))
        except FieldError as error:
            faults.extend((f"[{index}]{place}", fault) for place, fault in error.faults)
    if faults:
        raise FieldError(*faults)
    return tuple(found)
