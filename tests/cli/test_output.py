"""Tables and progress on a terminal."""

import io
import os
import subprocess
import sys

import attrs
import pytest
from rich.console import Console
from support.control_service import PROXY, TAKEN

from proxy_listener.cli.output import age, cell, print_table, table_for
from proxy_listener.cli.rows import PROXY_HEAD, proxy_row
from proxy_listener.web.documents import plain

FETCHING = """
from proxy_listener.cli.output import progress
with progress(plain=False) as tell:
    tell({"step": "connecting", "proxy": "kitchen-proxy", "done": 0, "total": 0})
    for done in range(301):
        tell({"step": "fetching the log", "proxy": "kitchen-proxy", "done": done, "total": 300})
"""


def test_counted_steps_are_one_bar_on_a_terminal():
    """Other steps are lines above it."""
    ours, its = os.openpty()
    subprocess.run([sys.executable, "-c", FETCHING], stderr=its, env={**os.environ, "TERM": "xterm"}, check=True)
    os.close(its)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "connecting through kitchen-proxy\r\n" in shown
    assert "300/300" in shown
    assert shown.count("\n") < 20


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_table_fits_its_terminal(width):
    """Columns are left out in a fixed order; the others are complete."""
    text = io.StringIO()
    rows = [proxy_row(plain(one)) for one in (PROXY, attrs.evolve(TAKEN, name="living-room-proxy-a81f0c"))]
    Console(file=text, width=width).print(table_for(PROXY_HEAD, rows, width))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert all(word in text.getvalue() for word in ("kitchen-proxy", "living-room-proxy-a81f0c", "taken", "42.5"))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), ("", "-"), (True, "yes"), (42.5, "42.5"), (42.0, "42"), (0.0123, "0.0123"), ("a\x1b[31m", "a?[31m")],
)
def test_a_cell_is_plain_text(value, text):
    """Without control characters."""
    assert cell(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (4.2, "4 s"), (119.0, "119 s"), (600.0, "10 min"), (93_784.0, "26 h"), (1e6, "12 d")],
)
def test_an_age_has_one_unit(seconds, text):
    """The largest one that shows at least two of it."""
    assert age(seconds) == text


def test_a_table_in_a_pipe_is_aligned(capsys):
    """Numbers to the right, text to the left, no spaces at the ends of lines."""
    print_table(("proxy", "rssi", "reason"), [["kitchen", -61, None], ["a", -7, "[red]x[/red]"]], colored=False)
    assert capsys.readouterr().out.splitlines() == [
        "proxy    rssi  reason",
        "kitchen   -61  -",
        "a          -7  [red]x[/red]",
    ]
