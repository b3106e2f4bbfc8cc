"""Tables and progress on a terminal."""

import io
import os
import subprocess
import sys

import attrs
import pytest
from rich.console import Console
from support.control_service import PROXY, TAKEN

from proxy_listener.cli.output import table_for
from proxy_listener.cli.rows import PROXY_HEAD, proxy_row
from proxy_listener.web.documents import proxy_document

FETCHING = """
from proxy_listener.cli.output import progress
with progress(plain=False) as tell:
    tell({"step": "connecting", "proxy": "kitchen-proxy", "done": 0, "total": 0})
    for done in range(301):
        tell({"step": "fetching the log", "proxy": "kitchen-proxy", "done": done, "total": 300})
"""


def test_on_a_terminal_what_is_counted_is_one_bar():
    """The steps before it stand above; three hundred entries are not three hundred lines."""
    ours, its = os.openpty()
    subprocess.run([sys.executable, "-c", FETCHING], stderr=its, env={**os.environ, "TERM": "xterm"}, check=True)
    os.close(its)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "connecting through kitchen-proxy\r\n" in shown
    assert "300/300" in shown
    assert shown.count("\n") < 20


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_table_fits_its_terminal_and_cuts_nothing(width):
    """Columns go in a fixed order; what stays is whole."""
    text = io.StringIO()
    rows = [proxy_row(proxy_document(one)) for one in (PROXY, attrs.evolve(TAKEN, name="living-room-proxy-a81f0c"))]
    Console(file=text, width=width).print(table_for(PROXY_HEAD, rows, width))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert all(word in text.getvalue() for word in ("kitchen-proxy", "living-room-proxy-a81f0c", "taken", "42.5"))
