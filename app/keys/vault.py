"""How is a secret kept so that only this service can read it? AES-256-GCM; no I/O.

A record says which encryption key it is under, and decrypts only where it was put: user, row and purpose are authenticated.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

OPENROUTER_KEY = "openrouter_keys.secret"  # a purpose

KEY_BYTES = 32
KEY_ID_BYTES = 4
NONCE_BYTES = 12  # random; NIST SP 800-38D allows 2^32 of them under one key
TAG_BYTES = 16
VERSION = b"\x01"
HEAD_BYTES = len(VERSION) + KEY_ID_BYTES + NONCE_BYTES


class CannotDecrypt(Exception):
    """A record cannot be read; the text says why and holds no secret."""


def key_id(key: bytes) -> bytes:
    """The public name of an encryption key: the first 8 hex digits of its SHA-256, as 4 bytes."""
    return hashlib.sha256(key).digest()[:KEY_ID_BYTES]


def key_id_of(record: bytes) -> bytes:
    """The name of the key that a record is under. Raises CannotDecrypt for what is no record."""
    if len(record) < HEAD_BYTES + TAG_BYTES or not record.startswith(VERSION):
        raise CannotDecrypt("This is no encrypted record.")
    return record[len(VERSION) : len(VERSION) + KEY_ID_BYTES]


class Vault:
    """Encrypts under the first of its keys, and decrypts what any of them has encrypted."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Raises ValueError when there is no key, one that is not 32 bytes long, or two of the same name."""
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"encryption keys have exactly {KEY_BYTES} bytes, and there is at least one")
        self._key_id = key_id(keys[0])
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        if len(self._ciphers) != len(keys):
            raise ValueError("two encryption keys have the same name, so a record could not say which it is under")

    def __repr__(self) -> str:
        """The names of the keys, which are public."""
        return f"Vault({', '.join(name.hex() for name in self._ciphers)})"

    @property
    def key_id(self) -> bytes:
        """The name of the key that encrypts."""
        return self._key_id

    @property
    def key_ids(self) -> frozenset[bytes]:
        """The names of all keys."""
        return frozenset(self._ciphers)

    def encrypt(self, plaintext: str, *, user_id: int, row_id: int, purpose: str) -> bytes:
        """A record for this place and no other."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        place = _place(self._key_id, user_id, row_id, purpose)
        return VERSION + self._key_id + nonce + self._ciphers[self._key_id].encrypt(nonce, plaintext.encode(), place)

    def decrypt(self, record: bytes, *, user_id: int, row_id: int, purpose: str) -> str:
        """Raises CannotDecrypt."""
        name = key_id_of(record)
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise CannotDecrypt(f"The encryption key {name.hex()} is not among ENCRYPTION_KEYS.")
        nonce = record[HEAD_BYTES - NONCE_BYTES : HEAD_BYTES]
        try:
            return cipher.decrypt(nonce, record[HEAD_BYTES:], _place(name, user_id, row_id, purpose)).decode()
        except InvalidTag:
            raise CannotDecrypt("The record was changed, or belongs elsewhere.") from None


def _place(name: bytes, user_id: int, row_id: int, purpose: str) -> bytes:
    """Fixed lengths first, so that no two places look the same."""
    return VERSION + name + struct.pack(">qq", user_id, row_id) + purpose.encode()
