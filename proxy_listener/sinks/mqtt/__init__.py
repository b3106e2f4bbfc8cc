"""Readings to an MQTT broker, and to Home Assistant through it.

The journal's rows come in by a cursor; states, events, availability and discovery go out, on the topics that
:mod:`proxy_listener.sinks.mqtt.topics` draws. ``states``, ``retained`` and ``discovery`` compute what to publish and do
not wait; only ``publisher``, ``broker`` and ``client`` use the network.
"""

from proxy_listener.history import Journal
from proxy_listener.model.status import View
from proxy_listener.sinks.mqtt.publisher import Publisher
from proxy_listener.sinks.mqtt.settings import Settings

__all__ = ["Settings", "run"]


async def run(settings: Settings, journal: Journal, view: View) -> None:
    """Publish until cancelled. While there is no connection to the broker, readings wait in the journal."""
    await Publisher(settings, journal, view).run()
