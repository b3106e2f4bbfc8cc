"""The configuration of a node: name, MACs, keys."""

import attrs
from aioesphomeapi.noise import decode_noise_psk

from proxy_listener.model.advertisement import Address
from proxy_listener.model.secret import Secret


def _is_key(_settings: object, _attribute: object, value: Secret | None) -> None:
    if value is not None:
        decode_noise_psk(value.reveal())


@attrs.frozen
class NodeSettings:
    """``mac`` is the Wi-Fi MAC, which identifies the node; that of the Bluetooth adapter is ``mac`` + 2.

    ``noise_psk``: base64 of 32 bytes (ValueError otherwise); if set, the node accepts Noise only. ``password``: of
    firmware that has one. ``wifi_rssi``: the state of its ``wifi_signal`` sensor, None if it has no such sensor.
    ``deep_sleep``: the node is built with deep sleep.
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
