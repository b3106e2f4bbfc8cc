"""Rows of the history that the engine works on."""

from typing import NamedTuple

from proxy_listener.model.advertisement import Address


class KnownFrame(NamedTuple):
    """What the duplicate rule needs of a reading: its identity, trust, wall time, and whether it was late."""

    identity: bytes
    trust: str
    time: float
    late: bool


class Reception(NamedTuple):
    """Frames of a device within one hour (``time // 3600``): those that this proxy ``heard``, those that only it heard
    (``alone``), and those that any proxy heard (``frames``).
    """

    proxy: str
    mac: Address
    hour: int
    heard: int
    alone: int
    frames: int
