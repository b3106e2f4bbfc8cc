"""A device's bindkey with its cipher prepared. In: the configured secret. Out: what opens a frame, never the key.

24 hex digits (12 bytes) are a key of MiBeacon's legacy encryption, which has no tag. 32 hex digits (16 bytes) are an
AES-128-CCM key with a tag of four bytes, as MiBeacon v4/v5 and other formats use it
(docs/protocol/mibeacon-encryption.md#the-scheme-belongs-to-the-key).
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Literal, TypeAlias

from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from proxy_listener.model.secret import Secret

Scheme: TypeAlias = Literal["plain", "legacy", "ccm"]
"""How a frame is protected. ``ccm``: encrypted with a tag, which proves the sender. ``legacy``: encrypted without one,
which proves nothing."""

LEGACY_BYTES, CCM_BYTES = 12, 16

PADDING = "ffffffff"
"""Behind a 12-byte key it makes the 16-byte key of dimmers that send v5 frames (YLYKQ-0004, YLYKQ-0005)."""


class Bindkey:
    """``id``: four bytes that name the key in a history without revealing it.

    ``padded``: it was made of a 12-byte key, for products that have such keys (:func:`bindkeys`).
    ``unseal(nonce, ciphertext and tag, associated data)`` raises InvalidTag; None for a legacy key.
    """

    __slots__ = ("_key", "id", "padded", "scheme", "unseal")

    def __init__(self, secret: Secret, *, padded: bool = False) -> None:
        try:
            key = bytes.fromhex(secret.reveal())
        except ValueError:
            key = b""
        if len(key) not in {LEGACY_BYTES, CCM_BYTES}:
            # From None: the original error quotes the text.
            raise ValueError(f"{len(secret)} characters, expected 24 or 32 hex digits") from None
        self._key = key
        self.padded = padded
        self.id = sha256(b"proxy-listener bindkey " + key).digest()[:4]
        self.scheme: Scheme = "legacy" if len(key) == LEGACY_BYTES else "ccm"
        self.unseal = AESCCM(key, tag_length=4).decrypt if len(key) == CCM_BYTES else None

    def reveal(self) -> bytes:
        """The key's bytes, for a cipher that is not prepared here."""
        return self._key

    def __repr__(self) -> str:
        return "***"


def bindkeys(secrets: Iterable[Secret]) -> tuple[Bindkey, ...]:
    """The keys to try for these secrets, in their order. A 12-byte key is two: first as 16 bytes, whose tag proves that
    it is the right one.
    """
    return tuple(_forms(secrets))


def _forms(secrets: Iterable[Secret]) -> Iterator[Bindkey]:
    for secret in secrets:
        key = Bindkey(secret)
        if key.scheme == "legacy":
            yield Bindkey(Secret(secret.reveal() + PADDING), padded=True)
        yield key
