"""A node's mDNS record, as its generation of ESPHome announces it. It does not say that the node is a proxy."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from types import MappingProxyType
from zlib import crc32

from zeroconf.asyncio import AsyncServiceInfo

from proxy_listener.node.firmware import Firmware
from proxy_listener.node.settings import NodeSettings

SERVICE_TYPE = "_esphomelib._tcp.local."
FRIENDLY_NAME_LIMIT = 60
"""Characters: one TXT string holds 255 bytes, its key included, and a character has up to four."""

_ENCRYPTION = "Noise_NNpsk0_25519_ChaChaPoly_SHA256"


def service_info(
    settings: NodeSettings,
    firmware: Firmware,
    addresses: Sequence[str],
    port: int,
    *,
    instance: str = "",
    more: Mapping[str, str] = MappingProxyType({}),
) -> AsyncServiceInfo:
    """The record of a node that listens on ``port``. ``instance``: its name in mDNS, where that is another; ``more``:
    further TXT records.
    """
    instance = instance or settings.name
    text = {
        "version": firmware.version,
        "mac": f"{settings.mac:012x}",
        "platform": "ESP32",
        "board": "esp32dev",
        "network": "wifi",
    }
    if settings.friendly_name:
        text["friendly_name"] = settings.friendly_name[:FRIENDLY_NAME_LIMIT]
    if firmware.announces_encryption:
        text["config_hash"] = f"{crc32(f'{settings.name}{firmware.version}'.encode()):08x}"
        text["api_encryption" if settings.noise_psk else "api_encryption_supported"] = _ENCRYPTION
    return AsyncServiceInfo(
        SERVICE_TYPE,
        f"{instance}.{SERVICE_TYPE}",
        server=f"{instance}.local.",
        addresses=[ip_address(address).packed for address in addresses],
        port=port,
        properties={**text, **more},
    )
