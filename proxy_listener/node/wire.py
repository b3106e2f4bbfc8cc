"""Bytes of a TCP stream <-> numbered messages, the node's side of it. No IO: bytes in, bytes out.

::

    plaintext:  00 | varint length | varint number | payload
    Noise:      01 | length 16 bits, big endian | body

    client ->   01 0000                        an empty hello, and at once
    client ->   01 len | 00 | NNpsk0 message   the handshake
    node   ->   01 len | 01 name 00 mac 00     the node's hello
    node   ->   01 len | 00 | NNpsk0 message   or 01 | reason, and the end
    after it    01 len | encrypted(number 16 bits, length 16 bits, payload)

A node that opened the connection sends its hello at once, so that the client can choose the key by the MAC in it.

Invariant: :meth:`Wire.receive` yields complete messages and raises :class:`WireError` at the first invalid byte; the
error message for the peer, if any, is in :meth:`Wire.outgoing` by then.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from aioesphomeapi.noise import decode_noise_psk
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from noise.connection import NoiseConnection

from proxy_listener.model.errors import ProxyListenerError
from proxy_listener.model.secret import Secret

Packet: TypeAlias = tuple[int, bytes]

PLAIN, NOISE = 0x00, 0x01
MESSAGE_LIMIT = 32_768
"""Bytes. Longer than any request to a node; aioesphomeapi's own limit is twice that."""
HANDSHAKE_LIMIT = 128
"""Bytes of a frame before the session is encrypted, as in the firmware."""
ZERO_KEY = Secret("A" * 43 + "=")
"""Base64 of 32 zero bytes: the key that an unprovisioned node of 2026.10 accepts."""


class WireError(ProxyListenerError):
    """The peer's bytes are not valid. Nothing after them can be read."""


class Wire(ABC):
    """The framing of one session: buffers incoming and outgoing bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._outgoing = bytearray()

    def outgoing(self) -> bytes:
        """Remove and return the bytes to send."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    @abstractmethod
    def receive(self, data: bytes) -> Iterator[Packet]:
        """The messages that are complete with ``data``."""

    @abstractmethod
    def pack(self, packets: Sequence[Packet]) -> bytes:
        """Messages as bytes to send."""


class PlainWire(Wire):
    """The unencrypted form."""

    def receive(self, data: bytes) -> Iterator[Packet]:
        """As :meth:`Wire.receive`."""
        self._buffer += data
        while self._buffer:
            if self._buffer[0] != PLAIN:
                self._outgoing += b"\x00Bad indicator byte"
                raise WireError("not a plaintext frame")
            length, at = _read_varint(self._buffer, 1)
            number, at = _read_varint(self._buffer, at) if at else (0, 0)
            if length > MESSAGE_LIMIT:
                raise WireError("message too long")
            if not at or len(self._buffer) < at + length:
                return
            payload = bytes(self._buffer[at : at + length])
            del self._buffer[: at + length]
            yield number, payload

    def pack(self, packets: Sequence[Packet]) -> bytes:
        """As :meth:`Wire.pack`."""
        return b"".join(b"\x00" + _varint(len(payload)) + _varint(number) + payload for number, payload in packets)


class Cipher:
    """One direction of a session after the handshake. The library's own does the same in
    more layers: 6.5 us for 130 bytes, in place of 4.4.

    The nonce is a counter: Noise Protocol Framework, revision 34, 5.1 and 12.3.
    """

    __slots__ = ("_count", "_decrypt", "_encrypt")

    def __init__(self, key: bytes) -> None:
        cipher = ChaCha20Poly1305(key)
        self._encrypt, self._decrypt = cipher.encrypt, cipher.decrypt
        self._count = 0

    def seal(self, plain: bytes) -> bytes:
        """Encrypt the next message."""
        sealed = self._encrypt(_nonce(self._count), plain, None)
        self._count += 1
        return sealed

    def open(self, sealed: bytes) -> bytes:
        """Decrypt the next message. InvalidTag where it is not that."""
        plain = self._decrypt(_nonce(self._count), sealed, None)
        self._count += 1
        return plain


class NoiseWire(Wire):
    """The encrypted form: Noise_NNpsk0_25519_ChaChaPoly_SHA256, the node as responder."""

    def __init__(self, key: Secret, name: str, mac: str) -> None:
        """``mac`` is twelve lower-case hex digits, or empty for firmware that does not send it."""
        super().__init__()
        self._key = key
        self._hello = b"\x01" + name.encode() + b"\x00" + (mac.encode() + b"\x00" if mac else b"")
        self._noise: NoiseConnection | None = None
        self._greeted = False
        self._seal: Cipher | None = None
        self._unseal: Cipher | None = None

    @property
    def _ready(self) -> bool:
        """The handshake is done."""
        return self._seal is not None

    def greet_first(self) -> None:
        """The node opened the connection: its hello goes out before the client's came."""
        self._greeted = True
        self._outgoing += _frame(self._hello)

    def receive(self, data: bytes) -> Iterator[Packet]:
        """As :meth:`Wire.receive`."""
        self._buffer += data
        while len(self._buffer) >= 3:
            if self._buffer[0] != NOISE:
                raise self._refuse("Bad indicator byte")
            length = int.from_bytes(self._buffer[1:3], "big")
            if not self._ready and length > HANDSHAKE_LIMIT:
                raise self._refuse("Bad handshake packet len")
            if len(self._buffer) < 3 + length:
                return
            body = bytes(self._buffer[3 : 3 + length])
            del self._buffer[: 3 + length]
            if self._ready:
                yield self._open(body)
            elif self._noise is None:
                self._greet(body)
            else:
                self._shake(body)
        if self._buffer and self._buffer[0] != NOISE:
            raise self._refuse("Bad indicator byte")

    def pack(self, packets: Sequence[Packet]) -> bytes:
        """As :meth:`Wire.pack`."""
        assert self._seal is not None
        seal = self._seal.seal
        return b"".join(
            _frame(seal((number << 16 | len(payload)).to_bytes(4, "big") + payload)) for number, payload in packets
        )

    def _greet(self, hello: bytes) -> None:
        noise = NoiseConnection.from_name(b"Noise_NNpsk0_25519_ChaChaPoly_SHA256")
        noise.set_as_responder()
        noise.set_psks(decode_noise_psk(self._key.reveal()))
        noise.set_prologue(b"NoiseAPIInit" + len(hello).to_bytes(2, "big") + hello)
        noise.start_handshake()
        self._noise = noise
        if not self._greeted:
            self.greet_first()

    def _shake(self, body: bytes) -> None:
        assert self._noise is not None
        if not body or body[0] != 0:
            raise self._refuse("Bad handshake error byte")
        try:
            self._noise.read_message(body[1:])
            answer = bytes(self._noise.write_message())
        except Exception as error:  # the noise library passes on any exception of its cryptography
            raise self._refuse("Handshake MAC failure") from error
        self._outgoing += _frame(b"\x00" + answer)
        state = self._noise.noise_protocol
        self._seal = Cipher(state.cipher_state_encrypt.k)
        self._unseal = Cipher(state.cipher_state_decrypt.k)
        self._noise = None

    def _open(self, body: bytes) -> Packet:
        assert self._unseal is not None
        try:
            plain = self._unseal.open(body)
        except InvalidTag as error:
            raise WireError("frame does not decrypt") from error
        if len(plain) < 4:
            raise WireError("frame too short")
        return int.from_bytes(plain[:2], "big"), plain[4:]

    def _refuse(self, reason: str) -> WireError:
        if not self._ready:
            self._outgoing += _frame(b"\x01" + reason.encode())
        return WireError(reason)


def _frame(body: bytes) -> bytes:
    return b"\x01" + len(body).to_bytes(2, "big") + body


def _nonce(count: int) -> bytes:
    return b"\x00\x00\x00\x00" + count.to_bytes(8, "little")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(buffer: bytearray, at: int) -> tuple[int, int]:
    """The value and where it ends; (0, 0) while it is not complete."""
    value = 0
    for index in range(at, min(len(buffer), at + 5)):
        value |= (buffer[index] & 0x7F) << 7 * (index - at)
        if not buffer[index] & 0x80:
            return value, index + 1
    if len(buffer) - at >= 5:
        raise WireError("a number of more than five bytes")
    return 0, 0
