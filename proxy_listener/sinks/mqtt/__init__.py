"""Readings to an MQTT broker, and to Home Assistant through it.

The journal's rows come in by a cursor; states, events, availability and discovery go out, each topic as
:mod:`proxy_listener.sinks.mqtt.topics` draws it. The rule of this room: what to publish is computed by parts that wait
for nothing (``states``, ``retained``), and only ``sink`` and ``broker`` know that there is a network.
"""

from proxy_listener.history import Journal
from proxy_listener.model.status import View
from proxy_listener.sinks.mqtt.settings import Settings
from proxy_listener.sinks.mqtt.sink import Sink

__all__ = ["Settings", "run"]


async def run(settings: Settings, journal: Journal, view: View) -> None:
    """Publishes until cancelled. A broker that is away is waited for; nothing is lost meanwhile."""
    await Sink(settings, journal, view).run()
