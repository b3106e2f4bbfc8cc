"""A capture: what proxies sent, as JSON Lines, one advertisement a line, in order of arrival.

::

    {"time":1732300000.123,"proxy":"kitchen-proxy","mac":"A4:C1:38:02:83:F4","address_type":"public","rssi":-61,"data":"0201..."}

Lines come in and advertisements go out, and the other way round for ``record``. A line is taken as a whole or not at
all; a bad line is counted and named by its place, and never fatal.

``time`` must be there, as must ``proxy``, ``mac``, ``rssi`` and ``data``. ``address_type`` is ``public`` where it is
missing: every Xiaomi sensor has a public address, and captures of other programs often do not say. Keys beyond these
are ignored for the same reason. Ranges of RSSI and lengths are checked by the replay, as they are for a live proxy.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import attrs

from proxy_listener.model.advertisement import ADDRESS_TYPES, Advertisement, mac_text, parse_mac
from proxy_listener.model.errors import Problem, ProxyListenerError
from proxy_listener.model.text import printable

LINE_LIMIT = 16_384
"""Bytes of a line. An advertisement of 255 bytes needs about 700."""

PROBLEMS_KEPT = 20
"""Bad lines that are kept in words; the rest is counted."""

END_OF_TIME = 253_402_300_799
"""The last second of the year 9999, beyond which a time cannot be shown."""

_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")
_MISSING = object()


class LineError(ProxyListenerError):
    """A line that is no advertisement. The text says which field is wrong."""


@attrs.define
class Capture:
    """Reads captures, one after the other, as one stream: ``heard`` goes on from file to file.

    ``bad`` counts the lines that are no advertisement, ``problems`` says what was wrong with the first of them.
    """

    bad: int = 0
    lines: int = 0
    problems: list[Problem] = attrs.field(factory=list)
    heard: float = attrs.field(default=0.0, init=False)
    _time: float | None = attrs.field(default=None, init=False)

    def read(self, file: BinaryIO, name: str) -> Iterator[Advertisement]:
        """The advertisements of one file; ``name`` is what a problem calls it."""
        for number, line in enumerate(_lines(file), 1):
            if not line.strip():
                continue
            self.lines += 1
            try:
                yield self._advertisement(line)
            except LineError as error:
                self.bad += 1
                if len(self.problems) < PROBLEMS_KEPT:
                    self.problems.append(Problem(f"{name}:{number}", printable(str(error), 200)))

    def _advertisement(self, line: bytes) -> Advertisement:
        """The line's advertisement. ``heard`` is the sum of the forward steps of ``time``; a step back counts 0."""
        advertisement = parse(line)
        if self._time is not None and advertisement.time > self._time:
            self.heard += advertisement.time - self._time
        self._time = advertisement.time
        return attrs.evolve(advertisement, heard=self.heard)


def parse(line: bytes | str) -> Advertisement:
    """One line of a capture, its ``heard`` 0. LineError says what is wrong with it."""
    if len(line) > LINE_LIMIT:
        raise LineError(f"longer than {LINE_LIMIT} bytes")
    try:
        found = json.loads(line)
    except UnicodeDecodeError:
        raise LineError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise LineError(f"not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise LineError(f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise LineError("not a JSON object")
    return Advertisement(
        address=_mac(found),
        address_type=_address_type(found.get("address_type", "public")),
        data=_data(found),
        proxy=_proxy(found),
        rssi=_rssi(found),
        time=_time(found),
        heard=0.0,
    )


def line_of(advertisement: Advertisement) -> str:
    """The advertisement as a line of a capture, without the line's end."""
    document = {
        "time": round(advertisement.time, 3),
        "proxy": advertisement.proxy,
        "mac": mac_text(advertisement.address),
        "address_type": ADDRESS_TYPES[advertisement.address_type],
        "rssi": advertisement.rssi,
        "data": advertisement.data.hex(),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The file's lines; of one beyond the limit only its beginning, so that no file fills the memory."""
    whole = True
    while chunk := file.readline(LINE_LIMIT + 2):
        if whole:
            yield chunk.rstrip(b"\r\n")
        whole = chunk.endswith(b"\n")


def _field(found: dict[str, Any], name: str) -> Any:
    value = found.get(name, _MISSING)
    if value is _MISSING:
        raise LineError(f"{name}: missing")
    return value


def _mac(found: dict[str, Any]) -> int:
    mac = _field(found, "mac")
    if not isinstance(mac, str):
        raise LineError("mac: expected text such as A4:C1:38:02:83:F4")
    try:
        return parse_mac(mac)
    except ValueError as error:
        raise LineError(f"mac: {error}") from None


def _address_type(value: Any) -> int:
    if not isinstance(value, str) or value not in ADDRESS_TYPES:
        raise LineError("address_type: expected public or random")
    return ADDRESS_TYPES.index(value)


def _data(found: dict[str, Any]) -> bytes:
    data = _field(found, "data")
    if not isinstance(data, str) or not _HEX.fullmatch(data):
        raise LineError("data: expected an even number of hex digits")
    return bytes.fromhex(data)


def _proxy(found: dict[str, Any]) -> str:
    proxy = _field(found, "proxy")
    if not isinstance(proxy, str) or not proxy:
        raise LineError("proxy: expected a name")
    return printable(proxy)


def _rssi(found: dict[str, Any]) -> int:
    rssi = _field(found, "rssi")
    if not isinstance(rssi, int) or isinstance(rssi, bool):
        raise LineError("rssi: expected a whole number of dBm")
    return rssi


def _time(found: dict[str, Any]) -> float:
    time = _field(found, "time")
    if not isinstance(time, int | float) or isinstance(time, bool):
        raise LineError("time: expected seconds since 1970")
    if not 0 <= time <= END_OF_TIME:
        raise LineError("time: expected seconds between the years 1970 and 9999")
    return float(time)
