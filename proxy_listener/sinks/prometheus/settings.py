"""``[sink.prometheus]`` of ``devices.toml``, as a value that has been checked."""

from typing import Any

import attrs

from proxy_listener.model.secret import Secret
from proxy_listener.model.text import loopback, split_endpoint


def _listen(_settings: Any, _field: Any, value: str | None) -> None:
    if value is not None and split_endpoint(value) is None:
        raise ValueError('expected "host:port", such as "127.0.0.1:9750"')


@attrs.frozen
class Settings:
    """``[sink.prometheus]``: ``listen`` is ``host:port`` of a port of its own; without it metrics are the page's.

    ``token`` is compulsory on anything but loopback. ``rssi`` adds a series for each device and proxy that hears it.
    """

    listen: str | None = attrs.field(default=None, validator=_listen)
    token: Secret | None = None
    rssi: bool = False

    def __attrs_post_init__(self) -> None:
        bound = split_endpoint(self.listen) if self.listen is not None else None
        if bound is not None and self.token is None and not loopback(bound[0]):
            raise ValueError("a token is compulsory when listen is not on loopback")
