"""Metrics for Prometheus: on the page's ``/metrics``, and at a port of their own where the configuration says so."""

import asyncio

from proxy_listener.history import Journal
from proxy_listener.model.status import View
from proxy_listener.sinks.prometheus.metrics import Metrics, exposition
from proxy_listener.sinks.prometheus.serving import serve
from proxy_listener.sinks.prometheus.settings import Settings

__all__ = ["Metrics", "Settings", "exposition", "run"]


async def run(settings: Settings, journal: Journal, view: View) -> None:
    """Serves ``listen`` until cancelled; without it there is nothing to do here, as the page asks by itself."""
    if settings.listen is not None:
        await serve(settings, Metrics(view, journal, settings))
    await asyncio.Event().wait()
