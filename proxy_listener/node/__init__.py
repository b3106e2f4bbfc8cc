"""The device half of ESPHome's native API: what a Bluetooth proxy is made of, so that one can be served from here.

Advertisements and an :class:`~proxy_listener.node.air.Air` go in; a TCP server comes out that any client of the
native API takes for an ESPHome node.
"""
