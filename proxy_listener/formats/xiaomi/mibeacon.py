"""MiBeacon: the frame that Xiaomi devices send. In: service data 0xFE95, or manufacturer data 0x038F. Out: a frame, its
objects decrypted.

::

    [control u16][product id u16][counter u8]
    [MAC, reversed: 6]          if control bit 4
    [capability u8]             if control bit 5
    [I/O capability: 1 or 2]    if that and capability bit 5
    [objects]                   if control bit 6; encrypted if bit 3, and then behind them
        v4/v5:  [extended counter: 3][tag: 4]
        v2/v3:  [extended counter: 3][unused: 1]

    control: 3 encrypted, 4 MAC, 5 capability, 6 objects, 7 mesh, 8 bound, 9 asks to be bound, 10-11 authentication,
             12-15 version

    v4/v5   AES-128-CCM, tag of 4, associated data 0x11,
            nonce = MAC reversed, product id, counter, extended counter
    v2/v3   the CCM keystream alone, no tag; AES key = k[0:6] + 8d3d3c97 + k[6:12],
            nonce = control, product id, counter, extended counter, MAC reversed without its last byte

A v4/v5 tag proves its frame. The v2/v3 encryption proves nothing, so only button presses of products that are known to
use it are opened. See docs/protocol/mibeacon.md and docs/protocol/mibeacon-encryption.md.
"""

import struct
from typing import Final

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from proxy_listener.formats.bindkey import Bindkey
from proxy_listener.formats.format import Frame
from proxy_listener.formats.xiaomi.models import model_of
from proxy_listener.model.advertisement import Address, mac_text
from proxy_listener.model.errors import DecodeError
from proxy_listener.model.outcome import Outcome

UUID: Final = 0xFE95

ENCRYPTED: Final = 1 << 3
HAS_MAC: Final = 1 << 4
HAS_CAPABILITY: Final = 1 << 5
HAS_OBJECTS: Final = 1 << 6
MESH: Final = 1 << 7
CAPABILITY_IO: Final = 1 << 5

ASSOCIATED_DATA: Final = b"\x11"
LEGACY_MIDDLE: Final = bytes.fromhex("8d3d3c97")
"""The four bytes in the middle of a 12-byte key: docs/protocol/mibeacon-encryption.md."""

HHCCJCY01: Final = 0x0098

OBJECT_HEADER: Final = 3
SEALED_TAIL: Final = 7
"""Extended counter and tag of v4/v5."""
LEGACY_TAIL: Final = 4

PRESS = b"\x01\x10\x03"
"""Object 0x1001 with its 3 bytes: all that devices with v2/v3 encryption send in it."""


# Neither frozen nor made with arguments: one is made for every frame heard, and setting slots costs least.
@attrs.define(init=False, weakref_slot=False)
class MibeaconFrame(Frame):
    """A MiBeacon frame whose header was read.

    ``counter``: eight bits; of v4/v5 with the extended counter as the upper 24. ``start``: where in the service data
    the body begins.
    """

    control: int = attrs.field(init=False)
    product_id: int = attrs.field(init=False)
    capability: int | None = attrs.field(init=False)
    start: int = attrs.field(init=False)

    @property
    def silent(self) -> bool:
        """Version 0 is HHCCJCY01 with firmware up to 2.7, which sends headers only."""
        return self.control < 0x1000

    @property
    def wide(self) -> bool:
        """An I/O capability is before the body, which may begin one byte later."""
        return self.capability is not None and self.capability & CAPABILITY_IO != 0


_HEAD = struct.Struct("<HHBQ").unpack_from
"""Control, product id, counter; then eight bytes, of which the first six are the MAC, if it is there."""

_HEAD_SIZE = 13
_MAC_BITS = (1 << 48) - 1

_HEAD_ALONE = struct.Struct("<HHBIH").unpack_from
"""The same where the MAC ends the frame."""

_TAIL = struct.Struct("<I4s").unpack_from
"""The extended counter as the upper bytes of four, of which the lowest is the last of the ciphertext; the tag."""
_NONCE = struct.Struct("<QI").pack
"""v4/v5, 12 bytes: the product id is above the 48 bits of the MAC, the extended counter above the counter."""

_FORM = MESH | HAS_OBJECTS | HAS_CAPABILITY | HAS_MAC
_USUAL_FORM = HAS_OBJECTS | HAS_MAC


def parse_frame(data: bytes, address: Address | None = None) -> MibeaconFrame:
    """Service data 0xFE95 -> its frame. With an ``address``, a MAC inside that differs is WRONG_MAC.

    A frame without objects has an empty body: a sign of life. So has HHCCJCY01's with firmware up to 2.7, the only
    frames of version 0 that are known; other frames of versions 0 and 1 are NOT_A_FRAME.
    """
    # The fast path: it handles the usual forms, and leaves every other form and every refusal to _any_frame.
    if len(data) < _HEAD_SIZE:
        return _sign_of_life(data, address)
    control, product_id, counter, mac = _HEAD(data)
    start, mac, capability = 11, mac & _MAC_BITS, None
    if control & _FORM != _USUAL_FORM or control < 0x2000:
        optional = _optional(data, control, mac)
        if optional is None:
            return _any_frame(data, address)
        start, mac, capability = optional
    if mac != address and mac is not None and address is not None:
        return _any_frame(data, address)
    frame = MibeaconFrame()
    if not control & ENCRYPTED:
        frame.body = body = data[start:]
        frame.scheme = "plain"
        frame.counter = counter
        frame.tag = b""
    elif control >= 0x4000:
        frame.body = body = data[start:-7]
        frame.scheme = "ccm"
        word, frame.tag = _TAIL(data, -8)
        frame.counter = word & 0xFFFFFF00 | counter
    else:
        frame.body = body = data[start:-4]
        frame.scheme = "legacy"
        frame.counter = counter
        frame.tag = b""
    if len(body) < OBJECT_HEADER:
        return _any_frame(data, address)
    frame.control = control
    frame.product_id = product_id
    frame.model = model_of(product_id)
    frame.mac = mac
    frame.capability = capability
    frame.start = start
    return frame


def _optional(data: bytes, control: int, mac: Address) -> tuple[int, Address | None, int | None] | None:
    """Where the body starts, MAC and capability: Flora's form, and v5's without a MAC. None for forms rarely met."""
    if control < 0x2000 or control & (MESH | HAS_OBJECTS) != HAS_OBJECTS:
        return None
    start, found = (11, mac) if control & HAS_MAC else (5, None)
    if not control & HAS_CAPABILITY:
        return start, found, None
    capability = data[start]
    return None if capability & CAPABILITY_IO else (start + 1, found, capability)


def _sign_of_life(data: bytes, address: Address | None) -> MibeaconFrame:
    """A frame too short for a MAC and an object: usually a header with a MAC, and with a capability or not."""
    size = len(data)
    if size < 11:
        return _any_frame(data, address)
    control, product_id, counter, mac_low, mac_high = _HEAD_ALONE(data)
    if control & MESH or control < 0x2000:
        _check_version(control, product_id)
    mac, capability = mac_low | mac_high << 32, data[11] if size == 12 else None
    form = HAS_MAC if capability is None else HAS_MAC | HAS_CAPABILITY
    if (
        control & (HAS_MAC | HAS_CAPABILITY) != form
        or (capability is not None and capability & CAPABILITY_IO)
        or (mac != address and address is not None)
    ):
        return _any_frame(data, address)
    frame = MibeaconFrame()
    frame.control = control
    frame.product_id = product_id
    frame.model = model_of(product_id)
    frame.counter = counter
    frame.mac = mac
    frame.capability = capability
    frame.scheme = "plain"
    frame.start = size
    frame.body = frame.tag = b""
    return frame


def _any_frame(data: bytes, address: Address | None) -> MibeaconFrame:
    """The same for a frame of any form, and every refusal."""
    size = len(data)
    if size < 5:
        raise DecodeError(Outcome.MALFORMED, f"{size} bytes, a header has 5")
    frame = MibeaconFrame()
    control, frame.product_id, frame.counter, mac = _HEAD(data.ljust(_HEAD_SIZE, b"\x00"))
    frame.control, frame.model = control, model_of(frame.product_id)
    if control & MESH or control < 0x2000:
        _check_version(control, frame.product_id)
    start, frame.mac, frame.capability, wide = 5, None, None, False
    if control & HAS_MAC:
        start, frame.mac = 11, mac & _MAC_BITS
        if address is not None and frame.mac != address and size >= start:
            raise DecodeError(Outcome.WRONG_MAC, f"the frame says {mac_text(frame.mac)}")
    if control & HAS_CAPABILITY:
        frame.capability = capability = data[start] if start < size else 0
        wide = capability & CAPABILITY_IO != 0
        start += 2 if wide else 1
    if start > size:
        raise DecodeError(Outcome.MALFORMED, f"{size} bytes, the header says {start}")
    frame.start, frame.body, frame.tag, frame.scheme = start, b"", b"", "plain"
    if control & HAS_OBJECTS and start < size:
        if control & ENCRYPTED:
            _read_sealed(frame, data)
        else:
            frame.start = _start_of_plain(data, start, wide=wide)
            frame.body = data[frame.start :]
    return frame


def _check_version(control: int, product_id: int) -> None:
    if control & MESH:
        raise DecodeError(Outcome.MESH, "a BLE Mesh frame")
    if control < 0x2000 and (control >= 0x1000 or product_id != HHCCJCY01 or control & HAS_OBJECTS):
        raise DecodeError(Outcome.NOT_A_FRAME, f"version {control >> 12}")


def _start_of_plain(data: bytes, start: int, *, wide: bool) -> int:
    if wide and not _walks(data, start) and _walks(data, start + 1):
        start += 1
    if len(data) - start < OBJECT_HEADER:
        raise DecodeError(Outcome.MALFORMED, f"{len(data) - start} bytes of objects, one has {OBJECT_HEADER} at least")
    return start


def _walks(data: bytes, at: int) -> bool:
    """Objects from here on fill the bytes exactly."""
    while at + OBJECT_HEADER <= len(data):
        at += OBJECT_HEADER + data[at + 2]
    return at == len(data)


def _read_sealed(frame: MibeaconFrame, data: bytes) -> None:
    v4v5 = frame.control >= 0x4000
    end = len(data) - (SEALED_TAIL if v4v5 else LEGACY_TAIL)
    if end - frame.start < OBJECT_HEADER:
        # MJYD02YL sends such frames with 8 bytes behind the MAC, which no decoder reads (ble_monitor #285, #322).
        # No key is tried on them, so they do not count as a wrong key.
        raise DecodeError(Outcome.MALFORMED, f"{len(data) - frame.start} encrypted bytes, too few to hold an object")
    frame.body = data[frame.start : end]
    if v4v5:
        frame.scheme = "ccm"
        frame.counter = int.from_bytes(data[end : end + 3], "little") << 8 | data[4]
        frame.tag = data[end + 3 :]
    else:
        frame.scheme = "legacy"


def open_frame(frame: MibeaconFrame, data: bytes, address: Address, key: Bindkey) -> bytes | None:
    """The decrypted objects of an encrypted frame; None where the key does not fit. ``data``: the same service data.

    DecodeError DOWNGRADED for a scheme that is not the key's, or v2/v3 from a product that is not known to use it.
    """
    unseal = key.unseal
    if unseal is None or frame.scheme != "ccm":
        return _open_legacy(frame, data, address, key)
    nonce = _NONCE(address | frame.product_id << 48, frame.counter or 0)
    try:
        return unseal(nonce, frame.body + frame.tag, ASSOCIATED_DATA)
    except InvalidTag:
        if not frame.wide or len(frame.body) <= OBJECT_HEADER:
            return None
    # The v5 document gives the I/O capability two bytes, the public decoders one. The tag knows.
    try:
        return unseal(nonce, frame.body[1:] + frame.tag, ASSOCIATED_DATA)
    except InvalidTag:
        return None


def keystream(key: Bindkey, nonce: bytes, text: bytes) -> bytes:
    """v2/v3 ciphertext -> plaintext, or back. CCM's counter blocks: flags (1), nonce, a counter from 1 on."""
    secret = key.reveal()
    cipher = Cipher(AES(secret[:6] + LEGACY_MIDDLE + secret[6:]), CTR(b"\x01" + nonce + b"\x00\x01"))
    return cipher.encryptor().update(text)


def _open_legacy(frame: MibeaconFrame, data: bytes, address: Address, key: Bindkey) -> bytes | None:
    if frame.scheme != "legacy" or key.scheme != "legacy":
        raise DecodeError(Outcome.DOWNGRADED, f"{frame.scheme} frame, {key.scheme} key")
    if not frame.model.legacy:
        raise DecodeError(Outcome.DOWNGRADED, f"product 0x{frame.product_id:04X} is not known to use v2/v3 encryption")
    nonce = data[:5] + data[-4:-1] + address.to_bytes(6, "little")[:5]
    for body in (frame.body, frame.body[1:]) if frame.wide else (frame.body,):
        plain = keystream(key, nonce, body)
        if len(plain) == 6 and plain.startswith(PRESS) and plain[5] <= 4:
            return plain
    return None
