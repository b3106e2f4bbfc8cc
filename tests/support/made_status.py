"""Made devices, proxies and readings, and a view of them."""

from typing import Any

from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.history import Row
from proxy_listener.model.advertisement import Address
from proxy_listener.model.reading import Reading
from proxy_listener.model.status import DeviceStatus, Heard, KeyState, ProxyState, ProxyStatus, View

MAC = 0xA4C1380283F4
ID = "a4c1380283f4"
PROXY_MAC = 0xA0B1C2D3E4F5
NOW = 1_795_370_645.0

SALT = "0123456789abcdef" * 2
"""The salt of the session's cookie."""


def proxy(**changes: Any) -> ProxyStatus:
    fields: dict[str, Any] = {
        "name": "kitchen-proxy",
        "room": "Kitchen",
        "mac": PROXY_MAC,
        "state": ProxyState.LIVE,
        "cause": "hears",
        "advice": "",
        "address": "192.0.2.10:6053",
        "version": "2026.10.0",
        "encrypted": True,
        "active": True,
        "scanner": "running, passive",
        "advertisements": 12_345,
        "rate": 42.5,
        "heard_age": 0.2,
        "uptime": 3600.0,
        "slots_free": 3,
        "slots_limit": 3,
        "connecting": False,
        "wifi_rssi": -55,
    }
    return ProxyStatus(**(fields | changes))


def device(**changes: Any) -> DeviceStatus:
    fields: dict[str, Any] = {
        "mac": MAC,
        "name": "Bedroom climate",
        "model": "LYWSD03MMC",
        "kind": "Temperature/Humidity Sensor",
        "listed": True,
        "room": "Bedroom",
        "available": True,
        "heard_age": 4.0,
        "key": KeyState.VERIFIED,
        "trust": "authenticated",
        "values": {"temperature": (21.3, NOW - 4), "battery": (87, NOW - 3600)},
        "heard": [Heard("kitchen-proxy", "Kitchen", -61.4, 4.0, 0.93, 0)],
        "readings": 1234,
        "sleepy": False,
        "interval": 3600.0,
        "product_id": 0x055B,
        "counter": 9808,
    }
    fields |= changes
    return DeviceStatus(**({"product": model_of(fields["product_id"])} | fields))


def view(devices: list[DeviceStatus] | None = None, proxies: list[ProxyStatus] | None = None, **more: Any) -> View:
    return View(
        lambda: [device()] if devices is None else devices,
        lambda: [proxy()] if proxies is None else proxies,
        lambda: {"decoded": 10, "repeat": 20, "wrong_bindkey": 3},
        **more,
    )


def reading(mac: Address = MAC, **changes: Any) -> Reading:
    fields: dict[str, Any] = {
        "time": NOW,
        "mac": mac,
        "name": "Bedroom climate",
        "model": "LYWSD03MMC",
        "source": "advertisement",
        "proxy": "bedroom-proxy",
        "room": "Bedroom",
        "rssi": -61,
        "counter": 9808,
        "trust": "authenticated",
        "late": False,
        "values": {"temperature": 21.3},
    }
    return Reading(**(fields | changes))


def row(id_: int, **changes: Any) -> Row:
    return Row(id_, reading(**changes))
