"""A child that appends readings, killed in the middle of its work: what it had told of by then comes out."""

import os
import signal
import subprocess
import sys
from pathlib import Path


def killed(path, first, until, *size):
    """The numbers it told of. It is killed once these are ``until`` or more; ``size``: as appender.py takes it."""
    command = [sys.executable, Path(__file__).with_name("appender.py"), path, str(first), *map(str, size)]
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
        assert more, "the child came to its end by itself"
        told += more
    child.send_signal(signal.SIGKILL)
    told += child.stdout.read()
    child.stdout.close()
    child.wait()
    return [int(line) for line in told.split(b"\n")[:-1]]
