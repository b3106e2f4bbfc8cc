"""Devices that are read over a connection: one module each, and :mod:`~proxy_listener.gatt.readers`, their table."""
