"""Metrics for Prometheus: on the page's ``/metrics``, and at a port of their own where the configuration says so.

::

    xiaomi_ble_<quantity>_<unit>{mac, name}     values, in base units; flags are 0 or 1
    xiaomi_ble_device_info{mac, name, model, room}
    proxy_listener_...                          proxies, outcomes, reads, sinks, storage

What is not known any more is absent, so no value stays after its device has gone. Labels come from the configuration,
admitted devices and accepted proxies only. There are at most 5,000 series; those beyond are counted.
"""

import asyncio
import hmac
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import attrs
import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from proxy_listener import __version__
from proxy_listener.history import Journal
from proxy_listener.model.advertisement import mac_text
from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.outcome import Outcome
from proxy_listener.model.quantities import quantity_of
from proxy_listener.model.rate import GuessLimit
from proxy_listener.model.secret import SHORTEST_TOKEN, TOO_SHORT, Secret
from proxy_listener.model.status import NOT_EXPECTED, DeviceStatus, ProxyState, ProxyStatus, View
from proxy_listener.model.text import host_name, loopback, split_endpoint
from proxy_listener.model.timing import NEVER

log = structlog.get_logger()

SERIES = 5_000
"""Most series of one scrape (docs/protocol/threats.md#h6)."""

FRESH = 1.0
"""Seconds for which the same exposition answers all scrapes."""

_DECRYPTION = (Outcome.NO_BINDKEY, Outcome.WRONG_BINDKEY, Outcome.GUESSING, Outcome.DOWNGRADED)
_NAME = re.compile(r"[a-z][a-z0-9_]*")

Labels = Mapping[str, str]


def _listen(_settings: Any, _field: Any, value: str | None) -> None:
    if value is not None and split_endpoint(value) is None:
        raise ValueError('expected "host:port", such as "127.0.0.1:9750"')


@attrs.frozen
class Settings:
    """``[sink.prometheus]``: ``listen`` is ``host:port`` of a port of its own; without it metrics are the page's.

    ``token`` is compulsory on anything but loopback. ``rssi`` adds a series for each device and proxy that hears it.
    """

    listen: str | None = attrs.field(default=None, validator=_listen)
    token: Secret | None = None
    rssi: bool = False

    def __attrs_post_init__(self) -> None:
        bound = split_endpoint(self.listen) if self.listen is not None else None
        if bound is not None and not loopback(bound[0]):
            if self.token is None:
                raise ValueError("a token is compulsory when listen is not on loopback")
            if len(self.token) < SHORTEST_TOKEN:
                raise ValueError(f"token: {len(self.token)} characters, {TOO_SHORT}")


async def run(settings: Settings, journal: Journal, view: View) -> None:
    """Serve ``listen`` until cancelled. Without ``listen`` the page serves the metrics, and this only waits."""
    if settings.listen is not None:
        await _serve(settings, Metrics(view, journal, settings))
    await asyncio.Event().wait()


class Metrics:
    """Answers scrapes."""

    def __init__(self, view: View, journal: Journal, settings: Settings | None = None) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(view, journal, settings or Settings()))
        ProcessCollector(registry=self._registry)
        self._made = NEVER
        self._body = b""

    def exposition(self) -> tuple[str, bytes]:
        """Content type and body of a scrape, in text format 0.0.4, at most a second old."""
        now = time.monotonic()
        if now - self._made >= FRESH:
            self._body, self._made = generate_latest(self._registry), now
        return CONTENT_TYPE_PLAIN_0_0_4, self._body


class _Families:
    """Metrics by name, each with its samples, :data:`SERIES` in all."""

    def __init__(self) -> None:
        self.by_name: dict[str, Metric] = {}
        self.series = 0
        self.left_out = 0

    def gauge(self, name: str, help_: str, value: float | None, labels: Labels | None = None) -> None:
        """A value that rises and falls; it is left out where it is None."""
        self._add(name, help_, "gauge", value, labels)

    def counter(self, name: str, help_: str, value: float | None, labels: Labels | None = None) -> None:
        """A value that only rises; ``name`` without ``_total``."""
        self._add(name, help_, "counter", value, labels)

    def _add(self, name: str, help_: str, kind: str, value: float | None, labels: Labels | None) -> None:
        if value is None:
            return
        if self.series >= SERIES:
            self.left_out += 1
            return
        self.series += 1
        if name not in self.by_name:
            self.by_name[name] = Metric(name, help_, kind)
        sample = f"{name}_total" if kind == "counter" else name
        self.by_name[name].add_sample(sample, dict(labels or {}), float(value))


@attrs.frozen
class _Collector(Collector):
    view: View
    journal: Journal
    settings: Settings

    def describe(self) -> Iterable[Metric]:
        """None are known beforehand: which metrics there are depends on the devices."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The service, then proxies, then devices with an entry, then others: what is beyond the limit is left out."""
        families, now = _Families(), time.time()
        self._service(families)
        for proxy in self.view.proxies():
            if proxy.state not in NOT_EXPECTED:
                _proxy(families, proxy, now)
        for device in sorted(self.view.devices(), key=lambda device: not device.listed):
            _device(families, device, now)
            if self.settings.rssi:
                _rssi(families, device)
        families.series = 0
        families.gauge("proxy_listener_series_left_out", f"Series beyond the limit of {SERIES}.", families.left_out)
        return list(families.by_name.values())

    def _service(self, families: _Families) -> None:
        families.gauge("proxy_listener_build_info", "This service.", 1, {"version": __version__})
        outcomes = self.view.outcomes()
        for outcome, count in outcomes.items():
            families.counter(
                "proxy_listener_advertisements", "What became of advertisements.", count, {"outcome": outcome}
            )
        families.counter(
            "proxy_listener_frames_repeated", "Copies of known frames.", outcomes.get(str(Outcome.REPEAT), 0)
        )
        for reason in map(str, _DECRYPTION):
            families.counter(
                "proxy_listener_decrypt_failures",
                "Frames that a bindkey should have opened.",
                outcomes.get(reason, 0),
                {"reason": reason},
            )
        for result, count in self.view.reads().items():
            families.counter("proxy_listener_reads", "How active reads ended.", count, {"result": result})
        for sink, rows in self.view.behind().items():
            families.gauge("proxy_listener_sink_queue_length", "Rows that wait for a sink.", rows, {"sink": sink})
        storage = self.journal.storage
        families.gauge("proxy_listener_storage_up", "Whether the history is written.", storage.ok)
        families.gauge("proxy_listener_storage_waiting", "Readings not written yet.", storage.waiting)
        families.counter("proxy_listener_storage_lost", "Readings that storage took too long for.", storage.lost)
        families.counter("proxy_listener_storage_refused", "Readings that cannot be stored.", storage.refused)


def _proxy(families: _Families, proxy: ProxyStatus, now: float) -> None:
    labels = {"proxy": proxy.name}
    families.gauge("proxy_listener_proxy_up", "Whether the proxy listens.", proxy.state is ProxyState.LIVE, labels)
    info = {"mac": mac_text(proxy.mac) if proxy.mac is not None else "", "room": proxy.room}
    info |= {"version": proxy.version or "", "state": str(proxy.state)}
    families.gauge("proxy_listener_proxy_info", "What the proxy is, and how.", 1, labels | info)
    families.counter(
        "proxy_listener_proxy_advertisements", "Advertisements from the proxy.", proxy.advertisements, labels
    )
    families.gauge(
        "proxy_listener_proxy_last_advertisement_timestamp_seconds",
        "When the last advertisement came.",
        _when(proxy.heard_age, now),
        labels,
    )
    families.gauge("proxy_listener_proxy_uptime_seconds", "How long the stream is up.", proxy.uptime, labels)
    families.gauge("proxy_listener_proxy_slots_free", "Free connection slots.", proxy.slots_free, labels)
    families.gauge("proxy_listener_proxy_slots_limit", "Connection slots.", proxy.slots_limit, labels)
    families.gauge("proxy_listener_proxy_wifi_rssi_dbm", "The proxy's own WiFi.", proxy.wifi_rssi, labels)


def _device(families: _Families, device: DeviceStatus, now: float) -> None:
    labels = {"mac": mac_text(device.mac), "name": device.name}
    families.gauge("xiaomi_ble_available", "Whether the device is heard.", device.available, labels)
    families.counter("xiaomi_ble_readings", "Readings since the service started.", device.readings, labels)
    families.gauge(
        "xiaomi_ble_last_heard_timestamp_seconds",
        "When the device was last heard.",
        _when(device.heard_age, now),
        labels,
    )
    if not device.available:
        return
    info = {"model": device.model, "room": device.room or ""}
    families.gauge("xiaomi_ble_device_info", "What the device is, and where.", 1, labels | info)
    for quantity, (value, _) in device.values.items():
        if isinstance(value, str) or not _NAME.fullmatch(quantity):
            continue
        name, number = in_base_unit(quantity, value)
        families.gauge(f"xiaomi_ble_{name}", f"{quantity.replace('_', ' ').capitalize()}.", number, labels)


def _rssi(families: _Families, device: DeviceStatus) -> None:
    for heard in device.heard:
        labels = {"mac": mac_text(device.mac), "proxy": heard.proxy}
        families.gauge("xiaomi_ble_rssi_dbm", "How well a proxy hears the device.", heard.rssi, labels)


def in_base_unit(name: str, value: float) -> tuple[str, float]:
    """``("humidity", 46.7)`` -> ``("humidity_ratio", 0.467)``. Flags, and what has no unit, keep their name."""
    unit = quantity_of(name, value).unit
    return (f"{name}_{unit.base}", unit.to_base(value)) if unit.base else (name, float(value))


def _when(age: float | None, now: float) -> float | None:
    return None if age is None else round(now - age, 1)


async def _serve(settings: Settings, metrics: Metrics) -> None:
    """Until cancelled. Raises ProxyListenerError where the port cannot be opened."""
    bound = split_endpoint(settings.listen or "")
    assert bound is not None

    async def answer(_request: web.Request) -> web.Response:
        content_type, body = metrics.exposition()
        return web.Response(body=body, headers={"Content-Type": content_type, "X-Content-Type-Options": "nosniff"})

    app = web.Application(middlewares=[_guard(settings)])
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=5.0, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, *bound).start()
        log.info("metrics are served", listen=settings.listen, token=settings.token is not None)
        await asyncio.Event().wait()
    except OSError as error:
        text = error.strerror or str(error)
        raise ProxyListenerError(f"[sink.prometheus] listen: {settings.listen}: {text}") from error
    finally:
        await runner.cleanup()


def _guard(settings: Settings) -> Any:
    """Requires the token if one is set, and limits wrong ones; otherwise only accepts loopback Host headers (DNS
    rebinding).
    """
    guesses = GuessLimit()

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if settings.token is not None:
            address, now = request.remote or "", time.monotonic()
            if not guesses.allowed(address, now):
                raise web.HTTPTooManyRequests(headers={"Retry-After": "10"})
            credentials = request.headers.get("Authorization", "")
            scheme, _, given = credentials.partition(" ")
            expected = settings.token.reveal().encode()
            if scheme.lower() != "bearer" or not hmac.compare_digest(
                given.strip().encode("utf-8", "surrogateescape"), expected
            ):
                if credentials and guesses.wrong(address, now):
                    log.warning("many wrong tokens for the metrics", address=address)
                raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        elif not loopback(host_name(request.headers.get("Host", ""))):
            raise web.HTTPMisdirectedRequest
        return await handler(request)

    return middleware
