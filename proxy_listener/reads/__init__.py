"""Active reads: which device is due, through which proxy it is read, and what follows a failure.

A schedule makes a read due, an advertisement starts it, a ranking chooses the proxy. What reads need comes in as a
:class:`ReadContext`; readings go to its ``record``.
"""

from proxy_listener.gatt.interface import LogReport
from proxy_listener.reads.interface import (
    Attempt,
    OnProgress,
    Progress,
    ReadContext,
    ReadOptions,
    ReadReport,
    ReadTiming,
)
from proxy_listener.reads.queue import ReadQueue
from proxy_listener.reads.ranking import Candidate

__all__ = [
    "Attempt",
    "Candidate",
    "LogReport",
    "OnProgress",
    "Progress",
    "ReadContext",
    "ReadOptions",
    "ReadQueue",
    "ReadReport",
    "ReadTiming",
]
