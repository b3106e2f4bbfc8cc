r"""Builds what Xiaomi devices send: frames, encrypted or not, and whole advertisements. The inverse of ``formats/``.

::

    obj(0x1004, b"\x02\x01")              one object: id, length, data
    frame(0x055B, 7, objects, mac=...)     the service data: header in any of its forms, objects, encryption
    advertisement(service_data)            the whole payload, as a radio sends it

It is written from docs/protocol/mibeacon.md and not from the decoder, so that each checks the other.
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TypeAlias

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from proxy_listener.formats.layout import Field, ObjectRow
from proxy_listener.formats.xiaomi.mibeacon import UUID as MIBEACON
from proxy_listener.model.advertisement import COMPANY, MANUFACTURER_DATA, SERVICE_DATA_16, Address

FLAGS = b"\x02\x01\x06"
"""General discoverable, no BR/EDR: the first structure of every payload here."""

COMPLETE_NAME = 0x09


def obj(object_id: int, data: bytes) -> bytes:
    """One object of a payload."""
    return struct.pack("<HB", object_id, len(data)) + data


def values(object_id: int, row: ObjectRow, numbers: Iterable[float]) -> bytes:
    """An object of a plain layout, from its values in the row's order (fields that carry no bytes are left out)."""
    carried = [field for field in row.fields if field.format]
    return obj(object_id, b"".join(_packed(field, number) for field, number in zip(carried, numbers, strict=True)))


def _packed(field: Field, number: float) -> bytes:
    if field.format == "u24":
        return int(number).to_bytes(3, "little")
    if field.format in {"f", "?"}:
        return struct.pack(f"<{field.format}", number)
    return struct.pack(f"<{field.format}", round(number * field.per))


def frame(
    product_id: int,
    counter: int,
    objects: bytes,
    *,
    mac: Address,
    key: bytes | None = None,
    extended: int = 0,
    version: int = 5,
    include_mac: bool = True,
    capability: int | None = None,
    io: bytes = b"",
    header_bits: int = 0,
) -> bytes:
    """Service data 0xFE95.

    ``counter``: 8 bits; ``extended``: 24 more, of an encrypted frame. ``key``: 16 bytes for versions 4 and 5, 12 for 2
    and 3; None sends plain. ``capability``: the byte, and behind it ``io`` (none, one or two bytes). ``header_bits``:
    further bits of the control field, such as 0x0100 (bound). Without ``objects`` the frame is a sign of life.
    """
    control = version << 12 | header_bits
    optional = b""
    if include_mac:
        control |= 1 << 4
        optional += mac.to_bytes(6, "little")
    if capability is not None:
        control |= 1 << 5
        optional += bytes([capability]) + io
    if objects:
        control |= 1 << 6
    if objects and key is not None:
        control |= 1 << 3
    head = struct.pack("<HHB", control, product_id, counter)
    if not objects or key is None:
        return head + optional + objects
    tail = extended.to_bytes(3, "little")
    if version <= 3:
        return head + optional + _legacy(key, head, tail, mac, objects) + tail + b"\x00"
    nonce = mac.to_bytes(6, "little") + head[2:5] + tail
    sealed = AESCCM(key, tag_length=4).encrypt(nonce, objects, b"\x11")
    return head + optional + sealed[:-4] + tail + sealed[-4:]


def _legacy(key: bytes, head: bytes, tail: bytes, mac: Address, objects: bytes) -> bytes:
    nonce = head + tail + mac.to_bytes(6, "little")[:5]
    whole = key[:6] + bytes.fromhex("8d3d3c97") + key[6:]
    return Cipher(AES(whole), CTR(b"\x01" + nonce + b"\x00\x01")).encryptor().update(objects)


def advertisement(service_data: bytes, uuid: int = MIBEACON, flags: bool = True, name: str | None = None) -> bytes:
    """The whole advertising payload: flags, the service data, a name. ``uuid`` COMPANY | company: manufacturer data."""
    payload = FLAGS if flags else b""
    kind = MANUFACTURER_DATA if uuid >= COMPANY else SERVICE_DATA_16
    payload += structure(kind, (uuid & 0xFFFF).to_bytes(2, "little") + service_data)
    if name is not None:
        payload += structure(COMPLETE_NAME, name.encode())
    return payload


def structure(kind: int, data: bytes) -> bytes:
    """One length-type-data structure of an advertising payload."""
    return bytes([len(data) + 1, kind]) + data


def scale_v1(raw: int, when: datetime, control: int = 0x22) -> bytes:
    """Service data 0x181D. ``raw``: 1/200 kg, or 1/100 lb with control bit 0; 0x22 is kg and stabilized."""
    return struct.pack("<BH", control, raw) + _clock(when)


def scale_v2(raw: int, when: datetime, impedance: int = 0, controls: tuple[int, int] = (0x02, 0x26)) -> bytes:
    """Service data 0x181B. The second control byte 0x26 is stabilized with impedance, 0x24 without."""
    return bytes(controls) + _clock(when) + struct.pack("<HH", impedance, raw)


def _clock(when: datetime) -> bytes:
    return struct.pack("<HBBBBB", when.year, when.month, when.day, when.hour, when.minute, when.second)


def pvvx(
    mac: Address, counter: int, celsius: float, humidity: float, battery: int, volts: float, flags: int = 0
) -> bytes:
    """Service data 0x181A, pvvx's 15 bytes."""
    numbers = struct.pack(
        "<hHHBBB", round(celsius * 100), round(humidity * 100), round(volts * 1000), battery, counter, flags
    )
    return mac.to_bytes(6, "little") + numbers


def atc1441(mac: Address, counter: int, celsius: float, humidity: int, battery: int, volts: float) -> bytes:
    """Service data 0x181A, atc1441's 13 bytes."""
    return mac.to_bytes(6, "big") + struct.pack(
        ">hBBHB", round(celsius * 10), humidity, battery, round(volts * 1000), counter
    )


def pvvx_sealed(
    mac: Address, counter: int, celsius: float, humidity: float, battery: int, flags: int, key: bytes
) -> bytes:
    """Service data 0x181A, pvvx's 11 encrypted bytes."""
    body = struct.pack("<hHBB", round(celsius * 100), round(humidity * 100), battery, flags)
    return _sealed_181a(mac, counter, body, key)


def atc1441_sealed(mac: Address, counter: int, celsius: float, humidity: float, battery: int, key: bytes) -> bytes:
    """Service data 0x181A, atc1441's 8 encrypted bytes."""
    return _sealed_181a(mac, counter, bytes((round(celsius * 2) + 80, round(humidity * 2), battery)), key)


def _sealed_181a(mac: Address, counter: int, body: bytes, key: bytes) -> bytes:
    head = bytes((1 + 2 + 1 + len(body) + 4, 0x16, 0x1A, 0x18, counter))
    nonce = mac.to_bytes(6, "little") + head
    return bytes((counter,)) + AESCCM(key, tag_length=4).encrypt(nonce, body, b"\x11")


def qingping(
    mac: Address,
    device_id: int,
    measured: Mapping[str, float] = MappingProxyType({}),
    *,
    packet: int | None = None,
    control: int = 0x08,
) -> bytes:
    """Service data 0xFDCD. ``measured``: by quantity; ``door_left_open`` is an open door. 0x48: an event frame."""
    body = bytes((control, device_id)) + mac.to_bytes(6, "little")
    for kind, names, pack in _QINGPING:
        if names <= measured.keys() and not (kind == 0x09 and "motion" in measured):
            body += _tlv(kind, pack(measured))
    return body if packet is None else body + _tlv(0x0F, bytes((packet,)))


def _tlv(kind: int, data: bytes) -> bytes:
    return bytes((kind, len(data))) + data


_Measured: TypeAlias = Mapping[str, float]
_QINGPING: tuple[tuple[int, set[str], Callable[[_Measured], bytes]], ...] = (
    (
        0x01,
        {"temperature", "humidity"},
        lambda m: struct.pack("<hH", round(m["temperature"] * 10), round(m["humidity"] * 10)),
    ),
    (0x02, {"battery"}, lambda m: struct.pack("B", round(m["battery"]))),
    (0x04, {"door"}, lambda m: b"\x02" if m.get("door_left_open") else b"\x00" if m["door"] else b"\x01"),
    (0x07, {"pressure"}, lambda m: struct.pack("<H", round(m["pressure"] * 10))),
    (
        0x08,
        {"motion", "illuminance"},
        lambda m: bytes((bool(m["motion"]),)) + round(m["illuminance"]).to_bytes(3, "little"),
    ),
    (0x09, {"illuminance"}, lambda m: struct.pack("<I", round(m["illuminance"]))),
    (0x11, {"light"}, lambda m: struct.pack("B", bool(m["light"]))),
    (0x12, {"pm25", "pm10"}, lambda m: struct.pack("<HH", round(m["pm25"]), round(m["pm10"]))),
    (0x13, {"carbon_dioxide"}, lambda m: struct.pack("<H", round(m["carbon_dioxide"]))),
    (0x15, {"voc_index"}, lambda m: struct.pack("<H", round(m["voc_index"]))),
    (0x19, {"sound_pressure"}, lambda m: struct.pack("B", round(m["sound_pressure"]))),
)
"""Type of an object, the quantities in it, its data."""


def bthome_v2(
    objects: bytes,
    *,
    mac: Address = 0,
    counter: int = 0,
    key: bytes | None = None,
    include_mac: bool = False,
    triggered: bool = False,
) -> bytes:
    """Service data 0xFCD2: objects as they are, or encrypted with a key."""
    info = 2 << 5 | (key is not None) | include_mac << 1 | triggered << 2
    head = bytes((info,)) + (mac.to_bytes(6, "little") if include_mac else b"")
    if key is None:
        return head + objects
    tail = counter.to_bytes(4, "little")
    sealed = AESCCM(key, tag_length=4).encrypt(
        mac.to_bytes(6, "big") + b"\xd2\xfc" + bytes((info,)) + tail, objects, None
    )
    return head + sealed[:-4] + tail + sealed[-4:]


def bthome_v1(objects: bytes, *, mac: Address, counter: int, key: bytes) -> bytes:
    """Service data 0x181E, encrypted; the plain 0x181C is its objects."""
    tail = counter.to_bytes(4, "little")
    sealed = AESCCM(key, tag_length=4).encrypt(mac.to_bytes(6, "big") + b"\x1e\x18" + tail, objects, b"\x11")
    return sealed[:-4] + tail + sealed[-4:]


def hhccjcy10(temperature: float, moisture: int, illuminance: int, battery: int, conductivity: int) -> bytes:
    """Service data 0xFD50."""
    return (
        struct.pack(">Bh", moisture, round(temperature * 10))
        + illuminance.to_bytes(3, "big")
        + struct.pack(">BH", battery, conductivity)
    )


def lock(action: int, method: int, key_id: int, when: int) -> bytes:
    """The data of object 0x000B; ``when`` is seconds since 1970."""
    return struct.pack("<BII", method << 4 | action, key_id, when)


def s400(profile: int, mass: float, heart_rate: int, impedance: float, when: int) -> bytes:
    """The data of object 0x6E16: kg, beats a minute (0: none), Ω, seconds since 1970."""
    beats = heart_rate - 50 if heart_rate else 0
    return struct.pack("<BII", profile, round(mass * 10) | beats << 11 | round(impedance * 10) << 18, when)


def s200(profile: int, mass: float, when: int) -> bytes:
    """The data of object 0x4E16 of an S200: kg, seconds since 1970."""
    return struct.pack("<BII", profile, round(mass * 100), when)
