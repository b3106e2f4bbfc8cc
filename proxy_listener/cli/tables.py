"""Rows in, a table on standard output out: drawn on a terminal, aligned words elsewhere.

The rule of this file: a cell is text and nothing else. No name can carry a terminal's escape sequence or rich's markup.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from proxy_listener.model.text import printable

if TYPE_CHECKING:
    from rich.table import Table

CELL_LIMIT = 300

GAP, LAST = 2, 30
"""Characters between columns, and that the last column wants."""

NUMBERS = ("adv/s", "rssi", "score", "devices", "frames")
"""Columns of which the digits stand below each other."""

EXPENDABLE = ("mac", "version", "address", "model", "slots", "wifi", "key")
"""Columns that a narrow terminal does without, in this order; ``--json`` and a pipe have them all."""

STYLES = {"live": "green", "verified": "green", "ok": "green", "yes": "green", "wrong": "red", "fail": "red"}


def cell(value: Any) -> str:
    """A value as people read it: ``-`` for nothing, ages and the like with one digit."""
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


def drawn(head: Sequence[str], rows: Sequence[Sequence[Any]], width: int) -> "Table":
    """The table for a terminal of this width: the last column wraps, and where it would be a sliver others give way.

    What is too wide even then wraps in its first column.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    texts = [list(map(cell, row)) for row in rows]
    shown = fitting(head, texts, width)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, GAP - 1, 0, 0))
    for column in shown:
        side: Literal["left", "right"] = "right" if head[column] in NUMBERS else "left"
        table.add_column(head[column], justify=side, overflow="fold", no_wrap=0 < column < len(head) - 1)
    for row in texts:
        table.add_row(*(Text(row[column], style=STYLES.get(row[column], "")) for column in shown))
    return table


def fitting(head: Sequence[str], texts: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns that are shown: all, or without the expendable ones that leave the last column too little."""
    widths = [max(map(len, (word, *(row[column] for row in texts)))) + GAP for column, word in enumerate(head)]
    shown = list(range(len(head)))
    for word in EXPENDABLE:
        if sum(widths[column] for column in shown[:-1]) + min(LAST, widths[-1]) <= width:
            break
        if word in head[:-1]:
            shown.remove(head.index(word))
    return shown


def print_json(document: Any) -> None:
    """A document as one line."""
    click.echo(json.dumps(document, ensure_ascii=False, separators=(",", ":")))


def show(head: Sequence[str], rows: Sequence[Sequence[Any]], *, colored: bool) -> None:
    """Print the table."""
    if colored:
        from rich.console import Console

        console = Console(highlight=False, markup=False, emoji=False)
        console.print(drawn(head, rows, console.width))
        return
    texts = [list(head), *(list(map(cell, row)) for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    for row in texts:
        places = [
            text.rjust(width) if word in NUMBERS else text.ljust(width)
            for word, text, width in zip(head, row, widths, strict=True)
        ]
        click.echo((" " * GAP).join(places).rstrip())
