"""The services, characteristics and handles of LYWSD02.

The UUIDs are from a dump (docs/protocol/lywsd02.md#characteristics). So are the handles of live values; the other
handles are made up.
"""

from collections.abc import Sequence

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

NAME, FIRMWARE = 0x2A00, 0x2A26


def _own(last: int) -> int:
    return (0xEBE0_CC00 | last) << 96 | 0x7A0A_4B0C_8A1A_6FF2_997D_A3A6


TIME, COUNT, FIRST, RECORDS = _own(0xB7), _own(0xB9), _own(0xBA), _own(0xBC)
UNIT, LIVE, BATTERY, ERASE = _own(0xBE), _own(0xC1), _own(0xC4), _own(0xD1)

RECORDS_HANDLE, LIVE_HANDLE = 0x44, 0x4B
RECORDS_SWITCH, LIVE_SWITCH = 0x45, 0x4C
"""Handles of the descriptors that turn notifications on."""

_SET = READ | WRITE | WRITE_WITHOUT_RESPONSE

SERVICES: Sequence[GattService] = (
    GattService(0x1800, 0x01, (Characteristic(NAME, 0x03, READ),)),
    GattService(0x180A, 0x10, (Characteristic(FIRMWARE, 0x16, READ),)),
    GattService(
        _own(0xB0),
        0x3C,
        (
            Characteristic(TIME, 0x3E, _SET),
            Characteristic(COUNT, 0x40, READ),
            Characteristic(FIRST, 0x42, _SET),
            Characteristic(RECORDS, RECORDS_HANDLE, READ | NOTIFY, (Descriptor(CLIENT_CONFIGURATION, RECORDS_SWITCH),)),
            Characteristic(UNIT, 0x48, _SET),
            Characteristic(LIVE, LIVE_HANDLE, READ | NOTIFY, (Descriptor(CLIENT_CONFIGURATION, LIVE_SWITCH),)),
            Characteristic(BATTERY, 0x4E, READ),
            Characteristic(ERASE, 0x50, WRITE | WRITE_WITHOUT_RESPONSE),
        ),
    ),
)

UUIDS = {one.handle: one.uuid for service in SERVICES for one in service.characteristics}
"""Handle of a characteristic's value -> UUID."""
