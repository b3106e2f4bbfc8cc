"""proxy_listener: one pair of ears out of many ESPHome Bluetooth proxies.

Bytes from the air come in through :mod:`proxy_listener.proxies`, readings go out through
:mod:`proxy_listener.sinks` and :mod:`proxy_listener.web`; what lies between touches no socket and no clock.
"""

__version__ = "0.2.0"
"""Written here, because to ask the installed package costs 40 ms and 2 MB at every start."""
