"""Children that are killed (kill -9) in the middle of their work on a history."""

import os
import signal
import subprocess
import sys
from pathlib import Path


def killed(path, first, until, *size):
    """The numbers that a child which appends readings was told of. It is killed once these are ``until`` or more;
    ``size``: as appender.py takes it.
    """
    return [int(line) for line in _killed("appender.py", until, path, first, *size)]


def killed_half_way(path):
    """A child that migrates the history, killed between two statements of a step."""
    assert _killed("migrating.py", 1, path) == [b"half way"]


def _killed(script, until, *arguments):
    command = [sys.executable, Path(__file__).with_name(script), *map(str, arguments)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, env=environment
    )
    told = b""
    while told.count(b"\n") < until:
        more = os.read(child.stdout.fileno(), 65_536)
        assert more, "the child ended by itself"
        told += more
    child.send_signal(signal.SIGKILL)
    told += child.stdout.read()
    child.stdout.close()
    child.wait()
    return told.split(b"\n")[:-1]
