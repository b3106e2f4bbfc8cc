"""Text from outside (mDNS, nodes, files, people): names that are safe to show, and network endpoints.

Out of :func:`printable` comes text without control characters, line breaks, escape sequences, direction overrides or
invisible characters, at most 64 characters long. Endpoints are parsed as text; nothing is resolved.
"""

import ipaddress
import re
import unicodedata

LIMIT = 64

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories: control, format (direction overrides, joiners), surrogate, private, unassigned, separators."""


def printable(text: str, limit: int = LIMIT) -> str:
    """``text`` cut to ``limit`` characters, each unprintable one replaced by ``?``."""
    return "".join("?" if unicodedata.category(c) in _UNSEEN else c for c in text[:limit])


def split_endpoint(endpoint: str) -> tuple[str, int] | None:
    """``"[::1]:9750"`` -> ``("::1", 9750)``; None where the text is no ``host:port``."""
    parts = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})", endpoint)
    return (parts[1] or parts[2], int(parts[3])) if parts and int(parts[3]) <= 65_535 else None


SHARED_BY = "shared_by"
"""The TXT record by which a shared node says that it is one."""


def host_name(header: str) -> str:
    """The name in a Host header: ``Kitchen.local:8099`` -> ``kitchen.local``, ``[::1]:8099`` -> ``::1``; empty for what
    is no host.
    """
    parts = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^:\[\]]+))(?::\d{1,5})?", header)
    return (parts[1] or parts[2].rstrip(".").lower()) if parts else ""


def loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``. Of names, only ``localhost`` counts."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
