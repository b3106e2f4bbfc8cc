"""What a node is told about itself: its name, its MACs, its key."""

import attrs
from aioesphomeapi.noise import decode_noise_psk

from proxy_listener.model.advertisement import Address
from proxy_listener.model.secret import Secret


def _is_key(_settings: object, _attribute: object, value: Secret | None) -> None:
    if value is not None:
        decode_noise_psk(value.reveal())


@attrs.frozen
class NodeSettings:
    """``mac`` is the Wi-Fi MAC, by which a node is known; the Bluetooth adapter's is that plus 2.

    ``noise_psk`` is base64 of 32 bytes (ValueError otherwise); with it the node speaks Noise only. ``password`` is the
    one of firmware before Noise. ``wifi_rssi`` is what its ``wifi_signal`` sensor says, None where it has none.
    ``deep_sleep``: it is built with deep sleep.
    """

    name: str
    mac: Address
    friendly_name: str = ""
    noise_psk: Secret | None = attrs.field(default=None, validator=_is_key)
    password: Secret | None = None
    area: str = ""
    wifi_rssi: int | None = None
    deep_sleep: bool = False

    @property
    def bluetooth_mac(self) -> Address:
        """The adapter's."""
        return self.mac + 2
