"""The services, characteristics and handles of HHCCJCY01, and the computation of its login.

Source: docs/protocol/miflora.md.
"""

from collections.abc import Sequence

import attrs
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher

from proxy_listener.model.advertisement import Address
from proxy_listener.node.air import (
    CLIENT_CONFIGURATION,
    NOTIFY,
    READ,
    WRITE,
    WRITE_WITHOUT_RESPONSE,
    Characteristic,
    Descriptor,
    GattService,
)

NAME, LOGIN, SESSION = 0x2A00, 0x0001, 0x0010
MODE, LIVE, BATTERY = 0x1A00, 0x1A01, 0x1A02
LOG_CONTROL, LOG_DATA, CLOCK = 0x1A10, 0x1A11, 0x1A12

LOGIN_HANDLE = 0x12

SERVICES = (
    GattService(0x1800, 0x01, (Characteristic(NAME, 0x03, READ),)),
    GattService(
        0xFE95,
        0x10,
        (
            Characteristic(LOGIN, LOGIN_HANDLE, WRITE | NOTIFY, (Descriptor(CLIENT_CONFIGURATION, 0x13),)),
            Characteristic(SESSION, 0x1B, WRITE),
        ),
    ),
    GattService(
        0x1204,
        0x31,
        (
            Characteristic(MODE, 0x33, READ | WRITE | WRITE_WITHOUT_RESPONSE),
            Characteristic(LIVE, 0x35, READ | NOTIFY, (Descriptor(CLIENT_CONFIGURATION, 0x36),)),
            Characteristic(BATTERY, 0x38, READ),
        ),
    ),
    GattService(
        0x1206,
        0x3A,
        (
            Characteristic(LOG_DATA, 0x3C, READ),
            Characteristic(LOG_CONTROL, 0x3E, READ | WRITE | NOTIFY, (Descriptor(CLIENT_CONFIGURATION, 0x3F),)),
            Characteristic(CLOCK, 0x41, READ),
        ),
    ),
)
"""UUIDs and handles of HHCCJCY01."""

_CHARACTERISTICS = [characteristic for service in SERVICES for characteristic in service.characteristics]
_UUIDS = {characteristic.handle: characteristic.uuid for characteristic in _CHARACTERISTICS} | {
    descriptor.handle: descriptor.uuid
    for characteristic in _CHARACTERISTICS
    for descriptor in characteristic.descriptors
}


def uuid_at(handle: int) -> int | None:
    """The UUID of that handle."""
    return _UUIDS.get(handle)


def moved(by: int) -> Sequence[GattService]:
    """The services with all handles moved, as in another firmware."""
    return [_shifted(service, by) for service in SERVICES]


def mixes(mac: Address, product_id: int) -> tuple[bytes, bytes]:
    """The pair mixA, mixB of the reversed MAC and the product id."""
    r, low, high = mac.to_bytes(6, "little"), product_id & 0xFF, product_id >> 8
    return (
        bytes((r[0], r[2], r[5], low, low, r[4], r[5], r[1])),
        bytes((r[0], r[2], r[5], high, r[4], r[0], r[5], low)),
    )


def rc4(key: bytes, data: bytes) -> bytes:
    """Encrypts and decrypts."""
    # cryptography accepts no key of 12 bytes. RC4 repeats its key, so the key twice is the same key.
    fitting = key if len(key) * 8 in ARC4.key_sizes else key * 2
    return Cipher(ARC4(fitting), mode=None).encryptor().update(data)


def _shifted(service: GattService, by: int) -> GattService:
    return attrs.evolve(
        service,
        handle=service.handle + by,
        characteristics=[
            attrs.evolve(
                characteristic,
                handle=characteristic.handle + by,
                descriptors=[attrs.evolve(d, handle=d.handle + by) for d in characteristic.descriptors],
            )
            for characteristic in service.characteristics
        ],
    )
