"""A child process that is in the middle of a migration when it is killed: ``migrating.py FILE``.

It says so on standard output, and waits.
"""

import os
import signal
import sys
from pathlib import Path

import structlog

from proxy_listener.history.file import open_store
from proxy_listener.history.migration import MIGRATIONS, VERSION, Migration


def half_way(connection):
    connection.execute("ALTER TABLE reading ADD COLUMN made_up TEXT")
    connection.execute("UPDATE reading SET name = 'changed', \"values\" = '{}'")
    connection.execute("PRAGMA cache_size = 5")
    connection.execute("INSERT INTO note VALUES ('long', hex(zeroblob(1000000)))")
    os.write(1, b"half way\n")
    signal.pause()


structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
open_store(Path(sys.argv[1]), migrations=(*MIGRATIONS, Migration(VERSION + 1, half_way, rewrites=True)))
