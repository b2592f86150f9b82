"""How are access tokens and refresh tokens made and read? No I/O."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import msgspec

from app.errors import Unauthenticated

ALGORITHM = "HS256"  # fixed here; what a token says about it is only compared
TYPE = "at+jwt"  # RFC 9068: nothing else signed with the same key passes for an access token
ISSUER = AUDIENCE = "openrouter-watcher"
ACCESS_LIFETIME = timedelta(minutes=15)
MAX_LENGTH = 4096
REFRESH_PREFIX = "or_refresh_"

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_REFRESH_SHAPE = re.compile(rf"{REFRESH_PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)
_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "sid", "jti"]


class AccessClaims(msgspec.Struct, frozen=True):
    """Whom an access token names; whether they are still there is for the database to say."""

    user_id: int
    session_id: int


class Signer:
    """Signs with the first secret, reads with all of them, so that secrets can be changed without logging anybody out."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys` of at least 32 bytes each (RFC 7518, 3.2)."""
        self._keys = {key_id(key): key for key in keys}
        self._first = key_id(keys[0])
        self._jwt = jwt.PyJWT(options={"enforce_minimum_key_length": True})
        # keys of their own for each purpose
        self._refresh_keys = [hmac.digest(key, b"refresh token successor", "sha256") for key in keys]

    def sign(self, user_id: int, session_id: int, now: datetime | None = None) -> str:
        """An access token for ACCESS_LIFETIME."""
        issued_at = now or datetime.now(UTC)
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "jti": secrets.token_urlsafe(16),
            "iat": issued_at,
            "exp": issued_at + ACCESS_LIFETIME,
        }
        headers = {"kid": self._first, "typ": TYPE}
        return self._jwt.encode(claims, self._keys[self._first], algorithm=ALGORITHM, headers=headers)

    def read(self, token: str) -> AccessClaims:
        """Raises Unauthenticated for anything but an access token of ours that has not expired."""
        try:
            return self._read(token)
        # RecursionError: a header of brackets within brackets is parsed before its signature could be checked
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise Unauthenticated(credential_sent=True) from error

    def _read(self, token: str) -> AccessClaims:
        if len(token) > MAX_LENGTH or not _SHAPE.fullmatch(token):
            raise ValueError("not a JWT")
        header = jwt.get_unverified_header(token)
        if header.get("typ") != TYPE or header.get("alg") != ALGORITHM or "crit" in header:
            raise ValueError("not an access token of ours")
        claims = self._jwt.decode(
            token,
            self._keys[header["kid"]],
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": _CLAIMS, "strict_aud": True},
        )
        return AccessClaims(user_id=int(claims["sub"]), session_id=int(claims["sid"]))

    def successors(self, refresh_token: str) -> dict[bytes, str]:
        """The refresh token that follows this one, by its digest; then those that would follow it under the other keys.

        Derived, so that a lost answer can be given again from hashes alone.
        """
        tokens = [_refresh_token(hmac.digest(key, refresh_token.encode(), "sha256")) for key in self._refresh_keys]
        return {digest_refresh_token(token): token for token in tokens}


def key_id(key: bytes) -> str:
    """The name of a secret in tokens and records: tells which, not what."""
    return hashlib.sha256(key).hexdigest()[:8]


def make_refresh_token() -> str:
    """256 random bits."""
    return _refresh_token(secrets.token_bytes(32))


def is_refresh_token(text: str) -> bool:
    """Whether it has the shape of one."""
    return _REFRESH_SHAPE.fullmatch(text) is not None


def digest_refresh_token(refresh_token: str) -> bytes:
    """What is stored of a refresh token: 256 random bits need no slow hash."""
    return hashlib.sha256(refresh_token.encode()).digest()


def _refresh_token(bits: bytes) -> str:
    return REFRESH_PREFIX + urlsafe_b64encode(bits).rstrip(b"=").decode()
