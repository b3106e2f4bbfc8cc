"""Active reads: which device is due, through which proxy, and what if it fails.

A schedule makes a read due, an advertisement picks the moment, the ranking picks the proxy; an errand goes through the
routes. What reads need comes in as :class:`House`; readings go to its ``record``.
"""

from proxy_listener.reads.contract import Attempt, House, Outlook, Progress, ReadReport, Tell, Timing
from proxy_listener.reads.download import LogReport
from proxy_listener.reads.ranking import Candidate
from proxy_listener.reads.service import Reads

__all__ = ["Attempt", "Candidate", "House", "LogReport", "Outlook", "Progress", "ReadReport", "Reads", "Tell", "Timing"]
