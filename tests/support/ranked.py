"""A proxy's status, for tests of the ranking."""

from proxy_listener.model.status import ProxyState, ProxyStatus


def proxy(name, **more):
    facts = {
        "name": name,
        "room": name.title(),
        "mac": 1,
        "state": ProxyState.LIVE,
        "cause": "",
        "advice": "",
        "address": None,
        "version": "2026.10.0",
        "encrypted": True,
        "active": True,
        "scanner": None,
        "advertisements": 1,
        "rate": 1.0,
        "heard_age": 0.1,
        "uptime": 60.0,
        "slots_free": 3,
        "slots_limit": 3,
        "connecting": False,
        "wifi_rssi": None,
    }
    return ProxyStatus(**(facts | more))
