"""What verbs print: tables (drawn on a terminal, aligned text elsewhere), JSON, progress, and files.

A cell is plain text: no name can carry an escape sequence of the terminal or rich's markup.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import click

from proxy_listener.cli.verb import Options
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.text import printable

if TYPE_CHECKING:
    from rich.table import Table

CELL_LIMIT = 300

GAP, LAST, LAST_ON_ONE_LINE = 2, 30, 60
"""Characters between columns; the least width of the last column where it wraps, and where it does not."""

NUMBERS = ("adv/s", "rssi", "score", "devices", "frames")
"""Columns that are aligned to the right."""

EXPENDABLE = ("mac", "version", "address", "model", "slots", "wifi", "key")
"""Columns that are left out on a narrow terminal, in this order. ``--json`` and pipes have all columns."""

STYLES = {"live": "green", "verified": "green", "ok": "green", "yes": "green", "wrong": "red", "fail": "red"}


def cell(value: Any) -> str:
    """A value as text: ``-`` for nothing, numbers with one decimal."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 0.1 else f"{value:.1f}".removesuffix(".0")
    return printable(str(value), CELL_LIMIT)


def age(seconds: float | None) -> str:
    """``93784`` -> ``26 h``."""
    if seconds is None:
        return "-"
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def table_for(head: Sequence[str], rows: Sequence[Sequence[Any]], width: int, *, wrap: bool = True) -> "Table":
    """The table for a terminal of this width. The last column wraps; expendable columns are left out where it would be
    too narrow. If that is not enough, the first column wraps, too. Without ``wrap`` each row has one line, and what
    does not fit is cut off.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    texts = [list(map(cell, row)) for row in rows]
    widths = [max(map(len, (word, *(row[column] for row in texts)))) + GAP for column, word in enumerate(head)]
    shown = _columns_that_fit(head, widths, width, LAST if wrap else LAST_ON_ONE_LINE)
    overflow: Literal["fold", "ellipsis"] = "fold" if wrap else "ellipsis"
    last_width = None if wrap else max(1, width - sum(widths[column] for column in shown[:-1]) - GAP)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, GAP - 1, 0, 0))
    for column in shown:
        side: Literal["left", "right"] = "right" if head[column] in NUMBERS else "left"
        last = column == len(head) - 1
        most = last_width if last else None
        no_wrap = not wrap or (column > 0 and not last)
        table.add_column(head[column], justify=side, overflow=overflow, no_wrap=no_wrap, max_width=most)
    for row in texts:
        table.add_row(*(Text(row[column], style=STYLES.get(row[column], "")) for column in shown))
    return table


def _columns_that_fit(head: Sequence[str], widths: Sequence[int], width: int, last: int) -> list[int]:
    shown = list(range(len(head)))
    for word in EXPENDABLE:
        if sum(widths[column] for column in shown[:-1]) + min(last, widths[-1]) <= width:
            break
        if word in head[:-1]:
            shown.remove(head.index(word))
    return shown


def print_json(document: Any) -> None:
    """Print a document as one line."""
    click.echo(json.dumps(document, ensure_ascii=False, separators=(",", ":")))


def print_listing(options: Options, document: Any, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print the document as JSON where ``--json`` was given, else the table."""
    if options.json:
        print_json(document)
    else:
        print_table(head, rows, colored=options.colored())


def print_table(head: Sequence[str], rows: Sequence[Sequence[Any]], *, colored: bool) -> None:
    """Print a table: drawn by rich where ``colored``, else with its columns aligned."""
    if colored:
        from rich.console import Console

        console = Console(highlight=False, markup=False, emoji=False)
        console.print(table_for(head, rows, console.width))
        return
    texts = [list(head), *(list(map(cell, row)) for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    for row in texts:
        places = [
            text.rjust(width) if word in NUMBERS else text.ljust(width)
            for word, text, width in zip(head, row, widths, strict=True)
        ]
        click.echo((" " * GAP).join(places).rstrip())


@contextmanager
def open_output(output: str) -> Iterator[TextIO]:
    """The file to write to; ``-`` is standard output."""
    if output == "-":
        yield sys.stdout
        return
    with Path(output).open("w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def open_new(output: str) -> Iterator[TextIO]:
    """A new file, for its owner only, to write to; nothing is overwritten. It goes again where an error comes before
    anything is written. ``-`` is standard output; devices and pipes are written to as they are.
    """
    path = Path(output)
    if output == "-" or path.is_char_device() or path.is_fifo():
        with open_output(output) as file:
            yield file
        return
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ProxyListenerError(f"{output} exists and is not overwritten; name another file, or remove it") from None
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="") as file:
            yield file
    except BaseException:
        if path.stat().st_size == 0:
            path.unlink()
        raise


@contextmanager
def progress(*, plain: bool) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that shows a step of a read on standard error, where that is a terminal: a line, and a bar where the
    step is counted. ``plain``: lines only, and one for all the counts of a step.
    """
    if not sys.stderr.isatty():
        yield lambda _step: None
        return
    if plain:
        yield _StepLines().show
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task("", visible=False)

        def advance(step: Mapping[str, Any]) -> None:
            if not step["total"]:
                bars.console.print(_step_text(step), markup=False, highlight=False)
            else:
                text = _step_text(step)
                bars.update(bar, description=text, total=step["total"], completed=step["done"], visible=True)

        yield advance


class _StepLines:
    def __init__(self) -> None:
        self._shown = ""

    def show(self, step: Mapping[str, Any]) -> None:
        text = _step_text(step)
        if text != self._shown:
            self._shown = text
            click.echo(text, err=True)


def _step_text(step: Mapping[str, Any]) -> str:
    return cell(f"{step['step']} through {step['proxy']}" if step["proxy"] else step["step"])
