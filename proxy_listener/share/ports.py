"""Which port each shared proxy has, for ever: clients remember it.

In: the MACs of proxies. Out: ports. The file ``shared-ports.json`` of the state directory keeps them; one that cannot
be read is begun anew.
"""

import json
from pathlib import Path

import structlog

from proxy_listener.model.advertisement import Address, mac_text, parse_mac
from proxy_listener.state import read_regular, write_private

log = structlog.get_logger()

NAME = "shared-ports.json"
LARGEST = 1_000_000
LAST = 65_535


class Ports:
    """The ports of shared nodes. ``state``: the state directory; None: nothing is kept."""

    def __init__(self, state: Path | None) -> None:
        self._path = state / NAME if state is not None else None
        self._ports = self._read()

    def of(self, mac: Address, first: int) -> int:
        """The port of a proxy: its own, or the lowest from ``first`` on that is nobody's. ValueError where none is."""
        if mac not in self._ports:
            self.next(mac, first)
        return self._ports[mac]

    def next(self, mac: Address, first: int) -> int:
        """Another port for a proxy whose port something else uses."""
        taken = set(self._ports.values())
        port = next((port for port in range(first, LAST + 1) if port not in taken), None)
        if port is None:
            raise ValueError(f"no port from {first} on is free")
        self._ports[mac] = port
        self._write()
        return port

    def _read(self) -> dict[Address, int]:
        if self._path is None:
            return {}
        try:
            kept = json.loads(read_regular(self._path, LARGEST))
            return {parse_mac(mac): port for mac, port in kept.items() if isinstance(port, int) and 0 < port <= LAST}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            log.warning("the ports of shared nodes are not known any more", file=str(self._path), error=str(error))
            return {}

    def _write(self) -> None:
        if self._path is not None:
            text = json.dumps({mac_text(mac): port for mac, port in self._ports.items()}, indent=1)
            try:
                write_private(self._path, text + "\n")
            except OSError as error:
                log.warning("the ports of shared nodes cannot be kept", file=str(self._path), error=error.strerror)
