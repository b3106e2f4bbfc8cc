"""The steps of a read in, a line for each on standard error out; what is counted is a bar where that is a terminal."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from proxy_listener.cli.tables import cell


@contextmanager
def told(*, plain: bool) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that tells a step; ``plain``: never with a bar."""
    if plain or not sys.stderr.isatty():
        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task("", visible=False)

        def advance(step: Mapping[str, Any]) -> None:
            if not step["total"]:
                bars.console.print(words(step), markup=False, highlight=False)
            else:
                bars.update(bar, description=words(step), total=step["total"], completed=step["done"], visible=True)

        yield advance


def tell(step: Mapping[str, Any]) -> None:
    """A step as a line."""
    counted = f" {step['done']} of {step['total']}" if step["total"] else ""
    click.echo(cell(words(step) + counted), err=True)


def words(step: Mapping[str, Any]) -> str:
    """What is done, and through which proxy."""
    return cell(f"{step['step']} through {step['proxy']}" if step["proxy"] else step["step"])
