"""Connections made and lost in, log lines and the seconds to wait before the next attempt out.

Each cause is logged once until a connection lasts, so that a broker that comes and goes does not fill the log.
"""

import random

import structlog
from aiomqtt import ProtocolVersion

from proxy_listener.sinks.mqtt.client import ENDED, Lost
from proxy_listener.sinks.mqtt.settings import Settings

log = structlog.get_logger()

RETRY = 1.5
"""Seconds before another attempt to connect. With the time of an attempt it stays below five seconds after the broker
is back, so that a person who tries a button meanwhile does not try it twice."""

LONGEST_BACKOFF = 60.0
"""Seconds at most before another attempt where the broker refuses us or floods us; each doubles them."""

STEADY = 60.0
"""Seconds that a connection must last for the same cause to be logged again."""

CAUSES = 8
"""Most causes of an outage that are logged until a connection lasts."""

SHORT = 5.0
_AT_ONCE = "it ended the connection after our first messages; its log says why, mostly its ACL does not let us write"
"""Mosquitto 2.0.11 closes the connection of a client that publishes what its ACL forbids, before it sends the PUBACK
that refuses it."""

_NAMES = {ProtocolVersion.V5: "5", ProtocolVersion.V311: "3.1.1"}


class Outages:
    """Those of one run of the sink."""

    def __init__(self, settings: Settings) -> None:
        self._host, self._port = settings.address
        self._causes: set[str] = set()
        self._told = False
        self._backoff = RETRY

    def connected(self, version: ProtocolVersion, waiting: int) -> None:
        """The broker acknowledged a message on a new connection, and so many rows wait for it."""
        if not self._told:
            name = _NAMES[version]
            log.info("connected to the broker", host=self._host, port=self._port, mqtt=name, waiting=waiting)
        self._told = True

    def lost(self, lost: Lost, lasted: float) -> float:
        """A connection was lost after so many seconds, or not made. Returns the seconds before the next attempt."""
        at_once = str(lost) == ENDED and lasted < SHORT
        cause = _AT_ONCE if at_once else str(lost)
        if lasted >= STEADY:
            self._causes.clear()
        if cause not in self._causes and len(self._causes) < CAUSES:
            text = "no connection to the broker; readings wait in the history"
            log.warning(text, host=self._host, port=self._port, cause=cause)
            self._causes.add(cause)
            self._told = False
        if not (lost.refused or at_once):
            self._backoff = RETRY
        seconds = self._backoff * random.uniform(0.8, 1.2)  # noqa: S311  not for secrets
        self._backoff = min(self._backoff * 2, LONGEST_BACKOFF)
        return seconds
