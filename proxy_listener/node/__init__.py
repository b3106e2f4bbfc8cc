"""An ESPHome node with a Bluetooth proxy, as a server of the native API.

Advertisements and an :class:`~proxy_listener.node.air.Air` go in; a TCP server comes out that clients of the native API
cannot distinguish from an ESPHome node.
"""
