"""``[web]`` in, the URL under which other machines reach the page out.

Home Assistant links to it from each device. Nothing is sent to find the own address.
"""

import socket

from proxy_listener.model.settings import WebSettings
from proxy_listener.model.text import loopback

ELSEWHERE = ("192.0.2.1", 9)
"""An address that nobody has (RFC 5737): a UDP socket that is connected to it has the address of the default route."""

WILDCARDS = {"", "*", "0.0.0.0", "::"}  # noqa: S104  these are compared with, not bound


def page_url(settings: WebSettings) -> str | None:
    """``http://name:port``: the first of ``hosts``, or the address that it listens on. None where the page is off, only
    this machine can reach it, or this machine has no address.
    """
    host, colon, port = (settings.listen or "").rpartition(":")
    host = host.strip("[]")
    if not colon or loopback(host):
        return None
    if settings.hosts:
        host = settings.hosts[0].partition(":")[0]
    elif host in WILDCARDS:
        host = _own_address()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}" if host else None


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)
        except OSError:
            return ""
        return str(probe.getsockname()[0])
