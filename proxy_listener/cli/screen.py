"""The live table of a terminal: a service's devices, and the newest lines of the log below.

Documents of ``/devices`` and log lines come in; what goes out is never higher than the terminal. Each device has one
line. Where there are more devices than lines, those that were heard last are shown, in the order of all.
"""

import asyncio
import io
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from proxy_listener.cli.client import ServiceClient, connected
from proxy_listener.cli.output import table_for
from proxy_listener.cli.rows import DEVICE_HEAD, device_row
from proxy_listener.cli.verb import NotRunningError, Options

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

REDRAW = 1.0
"""Seconds between two requests of the devices."""

LOG_KEPT = 500
"""Log lines that are written out when the table ends."""

LOG_SHOWN = 3
"""Log lines for which there is always place."""

HEAD_LINES = 2
"""Lines of a table's head: the words, and the rule below them."""

_TIME = re.compile(r"^\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)Z ")


class LogLines(io.StringIO):
    """The newest lines of the log. It is the stream of the log's handler."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=LOG_KEPT)

    def write(self, text: str) -> int:
        """Keep what one call of the handler writes."""
        self.lines.extend(text.splitlines())
        return len(text)

    def write_out(self) -> None:
        """Write all that is kept to standard error."""
        for line in self.lines:
            click.echo(line, err=True)


@attrs.define
class Screen:
    """What is on the terminal: ``head``, the devices, ``notes``, the log. Without ``log`` there is no place for one."""

    live: "Live"
    log: LogLines | None = None
    head: Sequence[str] = ()
    notes: Sequence[str] = ()
    devices: Sequence[Mapping[str, Any]] = ()
    begun: bool = False  # it was drawn before

    def draw(self) -> None:
        """Draw it as it is now."""
        self.begun = True
        self.live.update(self.drawn(self.live.console.width, self.live.console.height), refresh=True)

    def drawn(self, width: int, height: int) -> "Group":
        """At most ``height - 1`` lines: the cursor has the last one."""
        from rich.console import Group
        from rich.text import Text

        place = height - 1 - len(self.head) - len(self.notes) - HEAD_LINES
        log = [] if self.log is None else list(self.log.lines)
        most = max(1, place - min(LOG_SHOWN, len(log)))
        shown, left_out = fitting(self.devices, most)
        below = [f"and {left_out} more devices"] * (left_out > 0)
        room = place - len(shown) - len(below)
        lines = [_TIME.sub(r"\1 ", line) for line in log[len(log) - max(0, min(room, len(log))) :]]
        return Group(
            *(_line(text) for text in self.head),
            table_for(DEVICE_HEAD, [device_row(device, short=True) for device in shown], width, wrap=False),
            *(_line(text) for text in (*below, *self.notes)),
            *(Text(text, style="dim", no_wrap=True, overflow="ellipsis") for text in lines),
        )


def fitting(devices: Sequence[Mapping[str, Any]], lines: int) -> tuple[list[Mapping[str, Any]], int]:
    """The devices for so many lines, and how many are left out, which takes a line, too."""
    if len(devices) <= lines:
        return list(devices), 0
    newest = sorted(devices, key=lambda device: (device["heard_age"] is None, device["heard_age"]))
    chosen = {device["mac"] for device in newest[: max(0, lines - 1)]}
    return [device for device in devices if device["mac"] in chosen], len(devices) - len(chosen)


def _line(text: str) -> Any:
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ellipsis")


@contextmanager
def live_screen(options: Options, log: LogLines | None = None) -> Iterator[Screen]:
    """A screen that stays when the block ends, then without the log. ``log`` gets the log meanwhile."""
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(no_color=not options.colored()), auto_refresh=False) as live:
        screen = Screen(live, log)
        if log is not None:
            options.start_logs(log)
        try:
            yield screen
        finally:
            screen.log = None
            if screen.begun:
                screen.draw()
            if log is not None:
                options.start_logs()


async def follow(service: ServiceClient, screen: Screen) -> None:
    """Show a service's devices until it stops."""
    while True:
        screen.devices = await service.get("/devices")
        screen.draw()
        await asyncio.sleep(REDRAW)


async def follow_own(state: Path, screen: Screen) -> None:
    """Show the devices of a service that runs in this process, also before its control socket is there."""
    while True:
        try:
            async with connected(state) as service:
                await follow(service, screen)
        except NotRunningError:
            screen.draw()
            await asyncio.sleep(REDRAW)
