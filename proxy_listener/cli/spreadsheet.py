"""Readings as JSON in; CSV, JSON Lines or Parquet out, one reading a row, a column for each quantity.

The rule of this file: a row of any length of history costs no memory: what needs all columns first waits in a temporary
file. A cell that a spreadsheet would take for a formula gets an apostrophe before it, because names come from outside.
"""

import csv
import json
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, TextIO

from proxy_listener.cli.run import opened
from proxy_listener.model.errors import ProxyListenerError

FIXED = ("time", "mac", "name", "model", "source", "proxy", "room", "rssi", "counter", "trust", "late")

WHOLE = ("rssi", "counter")

PARQUET_ROWS = 10_000


def row(reading: dict[str, Any]) -> dict[str, Any]:
    """A reading as one flat row; events as text, ``button press``."""
    events = "; ".join(f"{event['event']} {event['type']}" for event in reading["events"])
    flat: dict[str, Any] = {name: reading[name] for name in FIXED} | reading["values"]
    return flat | {"events": events} if events else flat


def columns(readings: Iterable[dict[str, Any]]) -> dict[str, type]:
    """Every column and its type: that of its values, ``float`` for quantities that are numbers, else ``str``."""
    found: dict[str, type] = {}
    for reading in readings:
        for name, value in row(reading).items():
            if value is None:
                continue
            kind = (
                float if isinstance(value, int) and name not in WHOLE and not isinstance(value, bool) else type(value)
            )
            if found.setdefault(name, kind) is not kind:
                found[name] = str
    quantities = sorted(name for name in found if name not in FIXED and name != "events")
    order = [*FIXED, *quantities, *(["events"] if "events" in found else [])]
    return {name: found.get(name, str) for name in order}


def write_csv(readings: Iterable[dict[str, Any]], file: TextIO) -> None:
    """CSV with a head; ``readings`` is gone through twice."""
    writer = csv.DictWriter(file, list(columns(readings)), restval="", lineterminator="\n")
    writer.writeheader()
    for reading in readings:
        writer.writerow({name: _cell(value) for name, value in row(reading).items()})


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "'" + value if isinstance(value, str) and value[:1] in "=+-@" and value else value


class Spool:
    """Lines in a temporary file, to be gone through more than once."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def add(self, line: str) -> None:
        """Keep one more."""
        self._file.write(line + "\n")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self._file.seek(0)
        return map(json.loads, self._file)


async def exported(lines: AsyncIterator[str], form: str, output: str) -> None:
    """Write the lines in the form that is asked for, to a file or (``-``) to standard output."""
    if form == "parquet" and output == "-":
        raise ProxyListenerError("Parquet is not for a terminal: name a file with -o")
    if form == "parquet" and find_spec("pyarrow") is None:
        raise ProxyListenerError("Parquet needs: pip install pyarrow")
    if form == "jsonl":
        with opened(output) as file:
            async for line in lines:
                file.write(line + "\n")
        return
    with tempfile.TemporaryFile("w+", encoding="utf-8") as held:
        spool = Spool(held)
        async for line in lines:
            spool.add(line)
        if form == "parquet":
            write_parquet(spool, Path(output))
            return
        with opened(output) as file:
            write_csv(spool, file)


def write_parquet(readings: Iterable[dict[str, Any]], path: Path) -> None:
    """Parquet, its times as text as everywhere else; ``readings`` is gone through twice."""
    import pyarrow as pa  # type: ignore[import-not-found, unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-not-found, unused-ignore]

    kinds = {float: pa.float64(), int: pa.int64(), bool: pa.bool_(), str: pa.string()}
    wanted = columns(readings)
    schema = pa.schema([(name, kinds[kind]) for name, kind in wanted.items()])
    with pq.ParquetWriter(path, schema) as writer:
        waiting: list[dict[str, Any]] = []
        for reading in readings:
            waiting.append({name: _typed(value, wanted[name]) for name, value in row(reading).items()})
            if len(waiting) >= PARQUET_ROWS:
                writer.write_table(pa.Table.from_pylist(waiting, schema))
                waiting.clear()
        writer.write_table(pa.Table.from_pylist(waiting, schema))


def _typed(value: Any, kind: type) -> Any:
    return value if value is None or isinstance(value, kind) else kind(value)
