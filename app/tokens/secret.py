"""What is an API token made of? No I/O.

`or_api_`, 32 characters drawn from `0-9A-Za-z`, and the CRC-32 of those 32 in the same alphabet, so that a typing mistake, or a
scanner's false alarm, is recognised without asking anybody.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib

PREFIX = "or_api_"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_LENGTH = 32
CHECKSUM_LENGTH = 6  # 62^6 > 2^32
HINT_LENGTH = 4
LENGTH = len(PREFIX) + RANDOM_LENGTH + CHECKSUM_LENGTH
SHAPE = f"{PREFIX}([0-9A-Za-z]{{{RANDOM_LENGTH}}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"

_SHAPE = re.compile(SHAPE, re.ASCII)


def make() -> str:
    """A new token: 190 random bits."""
    random = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return PREFIX + random + checksum(random)


def checksum(random: str) -> str:
    """CRC-32 (zlib's) of the ASCII characters, big-endian in base 62, padded with zeros."""
    rest, digits = zlib.crc32(random.encode("ascii")), ""
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def is_well_formed(token: str) -> bool:
    """Whether it could be a token at all; says nothing about whether there is one."""
    match = _SHAPE.fullmatch(token)
    return match is not None and checksum(match[1]) == match[2]


def digest(token: str) -> bytes:
    """What is stored: SHA-256 of the whole. So many random bits need no slow hash."""
    return hashlib.sha256(token.encode("ascii")).digest()


def hint(token: str) -> str:
    """What people recognise it by afterwards."""
    return f"{PREFIX}{token[len(PREFIX) :][:HINT_LENGTH]}…{token[-HINT_LENGTH:]}"
