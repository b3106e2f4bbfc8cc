"""``devices.toml``: read, checked, and turned into frozen values. ``load(path)`` is the way in."""

from proxy_listener.config.document import Config, doubts, load
from proxy_listener.config.places import find, places, state_directory

__all__ = ["Config", "doubts", "find", "load", "places", "state_directory"]
