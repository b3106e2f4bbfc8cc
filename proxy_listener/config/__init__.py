"""``devices.toml``: read, checked, and turned into frozen values by ``load(path)``."""

from proxy_listener.config.document import Config, doubts, find, load, places

__all__ = ["Config", "doubts", "find", "load", "places"]
