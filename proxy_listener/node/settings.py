"""What a node is told about itself: its name, its MACs, its key."""

import attrs

from proxy_listener.advertisement import Address
from proxy_listener.secret import Secret


@attrs.frozen
class NodeSettings:
    """``mac`` is the Wi-Fi MAC, by which a node is known; the Bluetooth adapter's is that plus 2.

    ``noise_psk`` is base64 of 32 bytes; with it the node speaks Noise only. ``password`` is the one of firmware
    before Noise.
    """

    name: str
    mac: Address
    friendly_name: str = ""
    noise_psk: Secret | None = None
    password: Secret | None = None
    area: str = ""

    @property
    def bluetooth_mac(self) -> Address:
        """The adapter's."""
        return self.mac + 2
