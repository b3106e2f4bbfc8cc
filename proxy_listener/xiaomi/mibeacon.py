"""MiBeacon: the frame that Xiaomi devices send as service data 0xFE95. In: bytes. Out: a Frame, its objects in plain.

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

The rule of this file: nothing here is believed. A v4/v5 tag proves a frame; of v2/v3, which proves nothing, only button
presses of products known to use it come out.
"""

from hashlib import sha256
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from proxy_listener.advertisement import Address, mac_text
from proxy_listener.errors import DecodeError
from proxy_listener.outcome import Outcome
from proxy_listener.secret import Secret
from proxy_listener.xiaomi.models import model_of

ENCRYPTED: Final = 1 << 3
HAS_MAC: Final = 1 << 4
HAS_CAPABILITY: Final = 1 << 5
HAS_OBJECTS: Final = 1 << 6
MESH: Final = 1 << 7
CAPABILITY_IO: Final = 1 << 5

ASSOCIATED_DATA: Final = b"\x11"
LEGACY_MIDDLE: Final = bytes.fromhex("8d3d3c97")
"""The four bytes that Xiaomi puts in the middle of a 12-byte key (facts: xiaomi-encryption, section 4)."""

HHCCJCY01: Final = 0x0098

OBJECT_HEADER: Final = 3
SEALED_TAIL: Final = 7
"""Extended counter and tag of v4/v5."""
LEGACY_TAIL: Final = 4

PRESS = b"\x01\x10\x03"
"""Object 0x1001 with its 3 bytes: all that devices with v2/v3 encryption send in it."""

Scheme = Literal["plain", "legacy", "v4v5"]


class Bindkey:
    """A device's key with its ciphers prepared: 24 hex digits are a v2/v3 key, 32 a v4/v5 one.

    ``id``: four bytes that name the key in a history without revealing it.
    """

    __slots__ = ("_ccm", "_legacy", "id", "scheme")

    def __init__(self, secret: Secret) -> None:
        try:
            key = bytes.fromhex(secret.reveal())
        except ValueError:
            key = b""
        if len(key) not in {12, 16}:
            # From None: the original error quotes the text.
            raise ValueError(f"{len(secret)} characters, expected 24 or 32 hex digits") from None
        self.id = sha256(b"proxy-listener bindkey " + key).digest()[:4]
        self.scheme: Scheme = "legacy" if len(key) == 12 else "v4v5"
        self._legacy = AES(key[:6] + LEGACY_MIDDLE + key[6:]) if len(key) == 12 else None
        self._ccm = AESCCM(key, tag_length=4) if len(key) == 16 else None

    def unseal(self, nonce: bytes, sealed: bytes) -> bytes | None:
        """Ciphertext and tag of v4/v5 -> plaintext, None where the tag fails."""
        assert self._ccm is not None
        try:
            return self._ccm.decrypt(nonce, sealed, ASSOCIATED_DATA)
        except InvalidTag:
            return None

    def keystream(self, nonce: bytes, text: bytes) -> bytes:
        """v2/v3 ciphertext -> plaintext, or back. CCM's counter blocks: flags (1), nonce, a counter from 1 on."""
        assert self._legacy is not None
        stream = Cipher(self._legacy, CTR(b"\x01" + nonce + b"\x00\x01")).encryptor()
        return stream.update(text)

    def __repr__(self) -> str:
        return "***"


class Frame:
    """A frame whose header was read. ``body``: the objects, plain or ciphertext; empty where the frame has none.

    ``mac``: the one inside the frame, None where it has none. ``tag``: of v4/v5. ``start``: where in the service data
    the body begins; ``wide``: an I/O capability is before it, and the body may begin one byte later.
    """

    # Plain slots, not attrs: one is made for every frame heard, and a frozen attrs class sets each field in a call.
    __slots__ = (
        "body",
        "capability",
        "control",
        "counter",
        "encrypted",
        "extended",
        "mac",
        "product_id",
        "start",
        "tag",
        "version",
        "wide",
    )

    def __init__(
        self,
        control: int,
        product_id: int,
        counter: int,
        mac: Address | None,
        capability: int | None,
        start: int,
        wide: bool,
    ) -> None:
        self.control = control
        self.version = control >> 12
        self.encrypted = control & ENCRYPTED != 0 and control & HAS_OBJECTS != 0
        self.product_id = product_id
        self.counter = counter
        self.mac = mac
        self.capability = capability
        self.start = start
        self.wide = wide
        self.extended: int | None = None
        self.body = b""
        self.tag = b""

    @property
    def counter32(self) -> int:
        """The frame counter, with the extended counter, where there is one, as its upper 24 bits.

        CGG1-ENCRYPTED is said to fill the three bytes in another order; the one frame known (00 0E 00) reads the same
        either way, so it is read like every other product's.
        """
        return self.counter if self.extended is None else self.extended << 8 | self.counter

    @property
    def scheme(self) -> Scheme:
        """How the objects are encrypted: versions up to 3 the legacy way, from 4 with a tag."""
        if not self.encrypted:
            return "plain"
        return "legacy" if self.version <= 3 else "v4v5"


def parse_frame(data: bytes, address: Address | None = None) -> Frame:  # noqa: C901  one step for each field
    """Service data 0xFE95 -> its frame. With an ``address``, a MAC inside that differs is WRONG_MAC.

    A frame without objects has an empty body: a sign of life. So has HHCCJCY01's with firmware up to 2.7, the only
    frames of version 0 that are known; other frames of versions 0 and 1 are NOT_A_FRAME.
    """
    size = len(data)
    if size < 5:
        raise DecodeError(Outcome.MALFORMED, f"{size} bytes, a header has 5")
    control = data[0] | data[1] << 8
    product_id = data[2] | data[3] << 8
    if control & MESH:
        raise DecodeError(Outcome.MESH, "a BLE Mesh frame")
    if control < 0x2000 and not (control < 0x1000 and product_id == HHCCJCY01 and not control & HAS_OBJECTS):
        raise DecodeError(Outcome.NOT_A_FRAME, f"version {control >> 12}")
    start = 5
    mac = capability = None
    wide = False
    if control & HAS_MAC:
        start = 11
        mac = int.from_bytes(data[5:11], "little")
    if control & HAS_CAPABILITY and start < size:
        capability = data[start]
        start += 1
        if capability & CAPABILITY_IO:
            start += 1
            wide = True
    elif control & HAS_CAPABILITY:
        start += 1
    if start > size:
        raise DecodeError(Outcome.MALFORMED, f"{size} bytes, the header says {start}")
    if address is not None and mac is not None and mac != address:
        raise DecodeError(Outcome.WRONG_MAC, f"the frame says {mac_text(mac)}")
    frame = Frame(control, product_id, data[4], mac, capability, start, wide)
    if not control & HAS_OBJECTS or start == size:
        return frame
    if control & ENCRYPTED:
        _split_sealed(frame, data, size)
    else:
        _split_plain(frame, data, size)
    return frame


def _split_plain(frame: Frame, data: bytes, size: int) -> None:
    start = frame.start
    if frame.wide and not _walks(data, start) and _walks(data, start + 1):
        start = frame.start = start + 1
    if size - start < OBJECT_HEADER:
        raise DecodeError(Outcome.MALFORMED, f"{size - start} bytes of objects, one has {OBJECT_HEADER} at least")
    frame.body = data[start:]


def _split_sealed(frame: Frame, data: bytes, size: int) -> None:
    tail = LEGACY_TAIL if frame.version <= 3 else SEALED_TAIL
    start = frame.start
    if size - start < tail + OBJECT_HEADER:
        # MJYD02YL sends such frames with 8 bytes behind the MAC, which nobody can read (ble_monitor #285, #322). No key
        # was tried on them, so they are no sign of a wrong one.
        raise DecodeError(Outcome.MALFORMED, f"{size - start} encrypted bytes, too few to hold an object")
    end = size - tail
    frame.body = data[start:end]
    frame.extended = data[end] | data[end + 1] << 8 | data[end + 2] << 16
    if tail == SEALED_TAIL:
        frame.tag = data[-4:]


def _walks(data: bytes, at: int) -> bool:
    """Objects from here on fill the bytes exactly."""
    while at + OBJECT_HEADER <= len(data):
        at += OBJECT_HEADER + data[at + 2]
    return at == len(data)


def open_frame(frame: Frame, data: bytes, address: Address, key: Bindkey) -> bytes | None:
    """The objects of an encrypted frame in plain; None where the key does not fit. ``data``: the same service data.

    DecodeError DOWNGRADED for a scheme that is not the key's, or v2/v3 from a product that is not known to use it.
    """
    if frame.scheme != key.scheme:
        raise DecodeError(Outcome.DOWNGRADED, f"{frame.scheme} frame, {key.scheme} key")
    if key.scheme == "legacy":
        return _open_legacy(frame, data, address, key)
    nonce = address.to_bytes(6, "little") + data[2:5] + data[-7:-4]
    plain = key.unseal(nonce, frame.body + frame.tag)
    if plain is None and frame.wide and len(frame.body) > OBJECT_HEADER:
        # The v5 document gives the I/O capability two bytes, the public decoders one. The tag knows.
        plain = key.unseal(nonce, frame.body[1:] + frame.tag)
    return plain


def _open_legacy(frame: Frame, data: bytes, address: Address, key: Bindkey) -> bytes | None:
    if not model_of(frame.product_id).legacy:
        raise DecodeError(Outcome.DOWNGRADED, f"product 0x{frame.product_id:04X} is not known to use v2/v3 encryption")
    nonce = data[:5] + data[-4:-1] + address.to_bytes(6, "little")[:5]
    for body in (frame.body, frame.body[1:]) if frame.wide else (frame.body,):
        plain = key.keystream(nonce, body)
        if len(plain) == 6 and plain.startswith(PRESS) and plain[5] <= 4:
            return plain
    return None
