"""The verbs that give stored readings, ``history`` and ``export``: readings of the API in, a table, CSV or JSON out.

CSV has one reading a row and a column for each quantity. The columns are known only after the last reading, so the
readings wait in a temporary file: an export of any length needs no memory. A cell that a spreadsheet would take for a
formula gets an apostrophe, because names come from outside.
"""

import csv
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TextIO

import click

from proxy_listener.cli.client import ServiceClient, ask
from proxy_listener.cli.output import open_output, print_listing
from proxy_listener.cli.rows import HISTORY_HEAD, history_row, no_readings_in_words
from proxy_listener.cli.verb import Listing, Options, Verb
from proxy_listener.config.fields import FieldError, duration

HISTORY_LIMIT = 100

COLUMNS = ("time", "mac", "name", "model", "source", "proxy", "room", "rssi", "counter", "trust", "late")
"""Columns that every CSV has. Those of quantities follow by name."""


def parse_time(_context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A time as people write it: ISO 8601 (without a zone: local time), or how long ago (``24h``)."""
    if value is None:
        return None
    try:
        return time.time() - duration(value, None)
    except FieldError:
        pass
    try:
        return datetime.fromisoformat(value).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            'a time such as 2026-11-22T18:00, or how long ago, such as "24h"', param=parameter
        ) from None


def check_range(since: float | None, until: float | None) -> None:
    """Wrong usage where nothing can be in a range."""
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since is not before --until, so no reading is between them; exchange the two")


SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}


def form_of(output: str) -> str:
    """The format that the name of a file asks for; JSON Lines for standard output and for names without a suffix."""
    suffix = Path(output).suffix.lower()
    if suffix and not output.startswith("/dev/") and suffix not in SUFFIXES:
        raise click.BadParameter(
            f"{suffix} names no format of an export; add --format csv or --format jsonl", param_hint="-o"
        )
    return SUFFIXES.get(suffix, "jsonl")


def time_range(since: float | None, until: float | None) -> dict[str, float]:
    """A range as the API's query."""
    return {name: at for name, at in (("since", since), ("until", until)) if at is not None}


@click.command(cls=Listing)
@click.argument("device")
@click.option("--since", callback=parse_time, metavar="WHEN", help='From then on: a time, or how long ago ("24h").')
@click.option("--until", callback=parse_time, metavar="WHEN", help="Before then.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=HISTORY_LIMIT, help="The newest so many.", show_default=True
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.pass_obj
def history(options: Options, device: str, since: float | None, until: float | None, limit: int, as_csv: bool) -> None:
    """The readings of DEVICE, oldest first."""
    check_range(since, until)

    async def question(service: ServiceClient) -> tuple[Any, Any]:
        found = await service.device(device)
        path = f"/devices/{found['mac']}/readings"
        return found, await service.get(path, limit=limit, **time_range(since, until))

    found, readings = ask(options.state_directory(), question)
    if not readings:
        click.echo(no_readings_in_words(found), err=True)
    if as_csv and not options.json:
        write_csv(readings, sys.stdout)
    else:
        print_listing(options, readings, HISTORY_HEAD, list(map(history_row, readings)))


@click.command(cls=Verb)
@click.argument("device", required=False)
@click.option("--since", callback=parse_time, metavar="WHEN", help='From then on: a time, or how long ago ("24h").')
@click.option("--until", callback=parse_time, metavar="WHEN", help="Before then.")
@click.option(
    "--format", "form", type=click.Choice(["csv", "jsonl"]), help="Otherwise by the end of FILE's name; else jsonl."
)
@click.option("-o", "--output", default="-", metavar="FILE", help="Standard output where not given.")
@click.pass_obj
def export(
    options: Options, device: str | None, since: float | None, until: float | None, form: str | None, output: str
) -> None:
    """Every reading, or those of DEVICE, as CSV or JSON Lines."""
    wanted = form or form_of(output)
    check_range(since, until)

    async def question(service: ServiceClient) -> None:
        query: dict[str, Any] = dict(time_range(since, until))
        if device is not None:
            query["mac"] = (await service.device(device))["mac"]
        lines = service.lines("GET", "/readings", **query)
        await (_export_csv if wanted == "csv" else _export_lines)(lines, output)

    ask(options.state_directory(), question)


async def _export_lines(lines: AsyncIterator[str], output: str) -> None:
    with open_output(output) as file:
        async for line in lines:
            file.write(line + "\n")


async def _export_csv(lines: AsyncIterator[str], output: str) -> None:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        async for line in lines:
            file.write(line + "\n")
        with open_output(output) as out:
            write_csv(_StoredReadings(file), out)


class _StoredReadings:
    """The readings in a file of JSON Lines, from the first one each time they are iterated."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self._file.seek(0)
        return map(json.loads, self._file)


def write_csv(readings: Iterable[dict[str, Any]], file: TextIO) -> None:
    """Write CSV with a head. ``readings`` is iterated twice."""
    found = {name for reading in readings for name, value in _row(reading).items() if value is not None}
    quantities = sorted(found - {*COLUMNS, "events"})
    columns = [*COLUMNS, *quantities, *(["events"] if "events" in found else [])]
    writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for reading in readings:
        writer.writerow({name: _csv_cell(value) for name, value in _row(reading).items()})


def _row(reading: dict[str, Any]) -> dict[str, Any]:
    events = "; ".join(f"{event['event']} {event['type']}" for event in reading["events"])
    return {**{name: reading[name] for name in COLUMNS}, **reading["values"], "events": events or None}


def _csv_cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "'" + value if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
