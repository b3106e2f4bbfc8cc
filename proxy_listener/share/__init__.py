"""Proxies served again: each one that is in use as an ESPHome node of its own, for any number of clients at once."""
