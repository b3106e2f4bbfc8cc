"""The parsed stream of old firmware, put together again as an advertising payload.

::

    service data of 16 bits:  [length][0x16][UUID, little endian][service data]
    manufacturer data:        [length][0xFF][company, little endian][data]
    name:                     [length][0x09][UTF-8]

The rule of this file: what does not fit an AD structure or the payload's limit makes the whole advertisement refused.
"""

from aioesphomeapi.model import BluetoothLEAdvertisement

from proxy_listener.model.advertisement import SERVICE_DATA_16

_MANUFACTURER, _NAME = 0xFF, 0x09
_BASE = "-0000-1000-8000-00805f9b34fb"
"""The Bluetooth base UUID: a 16-bit UUID in its long form is ``0000xxxx`` and this."""
_LIMIT = 255


def payload(advertisement: BluetoothLEAdvertisement) -> bytes | None:
    """The advertising payload as the radio may have sent it; None where no radio can have."""
    parts: list[bytes] = []
    for uuid, data in advertisement.service_data.items():
        short = _short(uuid)
        if short is not None:
            parts.append(_structure(SERVICE_DATA_16, short.to_bytes(2, "little") + data))
    for company, data in advertisement.manufacturer_data.items():
        if 0 <= company <= 0xFFFF:
            parts.append(_structure(_MANUFACTURER, company.to_bytes(2, "little") + data))
    name = advertisement.name
    if name:
        parts.append(_structure(_NAME, name.encode("utf-8", "replace")))
    whole = b"".join(parts)
    return whole if all(parts) and len(whole) <= _LIMIT else None


def _structure(kind: int, content: bytes) -> bytes:
    length = 1 + len(content)
    return bytes((length, kind)) + content if length <= _LIMIT else b""


def _short(uuid: str) -> int | None:
    lower = uuid.lower()
    if len(lower) == 36 and lower.startswith("0000") and lower.endswith(_BASE):
        return int(lower[4:8], 16)
    return None
