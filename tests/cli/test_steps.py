"""How a read and what it fetched are told to people."""

import os
import subprocess
import sys

import pytest

from proxy_listener.cli.rows import log_in_words

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


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ({"stored": 300, "known": 0, "skipped": 0, "complete": True}, "log of 300 entries: 300 new, 0 known"),
        (
            {"stored": 20, "known": 99, "skipped": 1, "complete": False},
            "log of 300 entries: 20 new, 99 known, 1 unusable; not complete, the next one goes on from there",
        ),
    ],
)
def test_what_was_fetched_of_a_log_is_told(log, words):
    """Whether it is all, and what is new."""
    assert log_in_words({"count": 300, **log}) == words
