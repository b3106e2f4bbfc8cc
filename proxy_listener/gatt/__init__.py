"""Devices that are read over a connection."""
