"""Network endpoints as people write them: ``host:port`` in, its parts and whether only this machine can reach it out.

The rule of this file: text only. Nothing is resolved, and a name that is no address is foreign, but for ``localhost``.
"""

import ipaddress
import re


def split_endpoint(endpoint: str) -> tuple[str, int] | None:
    """``"[::1]:9750"`` -> ``("::1", 9750)``; None where it is no such thing."""
    parts = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})", endpoint)
    return (parts[1] or parts[2], int(parts[3])) if parts and int(parts[3]) <= 65_535 else None


def loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
