"""What one proxy received once, and the structure of its bytes.

::

    advertising payload:  [length][type][data ...] [length][type][data ...] ...      length counts type and data
    type 0x16:            data = 16-bit UUID, little endian, then the service data
    type 0xFF:            data = company, little endian, then the manufacturer data

A length that points outside the payload ends the walk, and what came before it counts (firmware appends the scan
response directly, and real devices pad with zeros).
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeAlias

import attrs

Address: TypeAlias = int
"""A MAC as an integer, first byte most significant: 0x582D34350521 is 58:2D:34:35:05:21. People see it as text."""

ADDRESS_LIMIT = 1 << 48

PUBLIC, RANDOM = 0, 1
ADDRESS_TYPES = ("public", "random")

SERVICE_DATA_16, MANUFACTURER_DATA = 0x16, 0xFF
"""Bluetooth Assigned Numbers, section 2.3: Service Data, 16-bit UUID; Manufacturer Specific Data."""

COMPANY = MANUFACTURER_DATA << 16
"""Above the number of a company: what tells it from a UUID."""


def prefilter(uuids: Iterable[int]) -> Callable[[bytes], re.Match[bytes] | None]:
    """A search for service data of these UUIDs, wherever it stands in a payload; None where a payload holds none.

    Half of all payloads hold no byte 0x16, and looking for one byte is the cheapest question there is.
    """
    ours = b"|".join(re.escape(uuid.to_bytes(2, "little")) for uuid in uuids)
    return re.compile(b"\\x16(?:%s)" % ours).search


def company_prefilter(companies: Collection[int]) -> Callable[[bytes], re.Match[bytes] | None]:
    """The same for manufacturer data of these companies; the byte to look for first is :func:`rare_byte`."""
    ours = b"|".join(re.escape((company & 0xFFFF).to_bytes(2, "little")) for company in companies)
    return re.compile(b"\\xff(?:%s)" % ours).search


def rare_byte(companies: Collection[int]) -> int:
    """Of one company the lower byte of its number, because the type begins all manufacturer data, and the upper byte is
    a common length. Several have only the type in common, which every second payload holds.
    """
    if len(companies) > 1:
        return MANUFACTURER_DATA
    return next(iter(companies)) & 0xFF


@attrs.frozen
class ForeignFilter:
    """Lets foreign advertisements leave where they arrive.

    ``find`` is None of a payload without service data of ours (:func:`prefilter`), ``find_company`` of one without
    manufacturer data of ours, which has the byte ``rare``; ``count`` takes how many payloads had neither.
    """

    find: Callable[[bytes], object]
    rare: int
    find_company: Callable[[bytes], object]
    count: Callable[[int], object]


@attrs.frozen
class Advertisement:
    """One advertisement, as one proxy received it.

    ``data`` is the whole advertising payload, the scan response directly behind it. ``rssi`` is in dBm; 0 means that
    the proxy did not say. ``time`` is wall-clock seconds since 1970, for display; ``heard`` is monotonic seconds, on
    which every decision is based.
    """

    address: Address
    address_type: int
    data: bytes
    proxy: str
    rssi: int
    time: float
    heard: float


def mac_text(address: Address) -> str:
    """``0x582D34350521`` -> ``58:2D:34:35:05:21``."""
    return address.to_bytes(6, "big").hex(":").upper()


def parse_mac(text: str) -> Address:
    """Twelve hex digits, bare or in pairs joined by ``:`` or ``-``, in either case. ValueError on anything else."""
    digits = text.strip()
    for joint in ":-":
        if digits.count(joint) == 5:
            pairs = digits.split(joint)
            if any(len(pair) != 2 for pair in pairs):
                raise ValueError(f"{text!r} is not a MAC")
            digits = "".join(pairs)
    if len(digits) != 12 or not all(c in "0123456789abcdefABCDEF" for c in digits):
        raise ValueError(f"{text!r} is not a MAC")
    return int(digits, 16)


SHORT_NAME, COMPLETE_NAME = 0x08, 0x09
"""Bluetooth Assigned Numbers, section 2.3: Shortened and Complete Local Name."""


def local_name(payload: bytes) -> str:
    """The name that a device gives itself in an advertising payload; empty where it gives none, or none in UTF-8."""
    at, end = 0, len(payload)
    while at + 1 < end and (after := at + 1 + payload[at]) <= end:
        if payload[at + 1] in {SHORT_NAME, COMPLETE_NAME} and after > at + 2:
            try:
                return payload[at + 2 : after].decode()
            except UnicodeDecodeError:
                return ""
        at = max(after, at + 1)
    return ""


def payloads(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """Each ``(UUID, service data)`` of an advertising payload, and each ``(COMPANY | company, manufacturer data)``, in
    order.
    """
    at, end = 0, len(payload)
    while at + 1 < end:
        length = payload[at]
        after = at + 1 + length
        if length == 0:
            at += 1
            continue
        if after > end:
            return
        if length >= 3:
            kind = payload[at + 1]
            if kind == SERVICE_DATA_16:
                yield payload[at + 2] | payload[at + 3] << 8, payload[at + 4 : after]
            elif kind == MANUFACTURER_DATA:
                yield COMPANY | payload[at + 2] | payload[at + 3] << 8, payload[at + 4 : after]
        at = after
