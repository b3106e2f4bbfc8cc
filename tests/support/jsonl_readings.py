"""Readings for the JSON Lines sink's tests."""

from proxy_listener.model.reading import Reading


def reading(number, **changes):
    fields = {
        "time": 1_700_000_000.0 + number,
        "mac": 0xA4C1380283F4,
        "name": "Bedroom climate",
        "model": "LYWSD03MMC",
        "source": "advertisement",
        "proxy": "bedroom-proxy",
        "room": "Wohnküche",
        "rssi": -61,
        "counter": number,
        "trust": "claimed",
        "late": False,
        "values": {"temperature": 20.5},
    }
    return Reading(**{**fields, **changes})
