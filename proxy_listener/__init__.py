"""proxy_listener: one pair of ears out of many ESPHome Bluetooth proxies.

Bytes from the air come in through :mod:`proxy_listener.proxies`, readings go out through
:mod:`proxy_listener.sinks` and :mod:`proxy_listener.web`; what lies between touches no socket and no clock.
"""

from importlib.metadata import version

__version__ = version("proxy-listener")
