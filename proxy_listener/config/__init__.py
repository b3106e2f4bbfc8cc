"""``devices.toml``: ``load(path)`` gives frozen values, or raises ConfigError with every problem and its place."""

from proxy_listener.config.document import Config, doubts, find, load, places

__all__ = ["Config", "doubts", "find", "load", "places"]
