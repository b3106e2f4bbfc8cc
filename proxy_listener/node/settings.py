"""The configuration of a node: name, MACs, keys."""

from ipaddress import ip_address

import attrs
from aioesphomeapi.noise import decode_noise_psk

from proxy_listener.model.advertisement import Address
from proxy_listener.model.secret import Secret


def _is_key(_settings: object, _attribute: object, value: Secret | None) -> None:
    if value is not None:
        decode_noise_psk(value.reveal())


def _is_address(_settings: object, _attribute: object, value: str | None) -> None:
    if value is not None:
        ip_address(value)


def _has_key(settings: "NodeSettings", _attribute: object, value: "DialOut | None") -> None:
    if value is not None and settings.noise_psk is None:
        raise ValueError("a node dials with a key only: nothing else tells who answers")


@attrs.frozen
class DialOut:
    """``api: outgoing_connection``. ``host``: an address; None for the client that declared itself a target last.

    ``delay``: seconds that such a client has to connect by itself, at the start and after its session.
    """

    host: str | None = attrs.field(default=None, validator=_is_address)
    port: int = 6054
    delay: float = 60.0


@attrs.frozen
class NodeSettings:
    """``mac`` is the Wi-Fi MAC, which identifies the node; that of the Bluetooth adapter is ``mac`` + 2.

    ``noise_psk``: base64 of 32 bytes (ValueError otherwise); if set, the node accepts Noise only. ``password``: of
    firmware that has one. ``wifi_rssi``: the state of its ``wifi_signal`` sensor, None if it has no such sensor.
    ``deep_sleep``: the node is built with deep sleep. ``dial``: it connects to its client by itself; needs a key.
    """

    name: str
    mac: Address
    friendly_name: str = ""
    noise_psk: Secret | None = attrs.field(default=None, validator=_is_key)
    password: Secret | None = None
    area: str = ""
    wifi_rssi: int | None = None
    deep_sleep: bool = False
    dial: DialOut | None = attrs.field(default=None, validator=_has_key)

    @property
    def bluetooth_mac(self) -> Address:
        """The adapter's."""
        return self.mac + 2
