"""How does a browser stay signed in? By a cookie that holds a random secret, of which the session's row keeps the hash.

The secret is not rotated, unlike refresh tokens: tabs send it at the same time, and one of them would be logged out. It is made
at sign-in, ends with the session on the server, and no script can read it. It is no credential of the API, nor is any of the
API's a cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from litestar.datastructures import Cookie

from app.requests import AnyConnection

COOKIE = "watcher_session"
PRIVATE_COOKIE = (
    f"__Host-{COOKIE}"  # browsers take that name only with Secure, for the whole host, and from the host itself
)
_SECRET = re.compile(r"or_session_[A-Za-z0-9_-]{43}", re.ASCII)


class Browsers:
    """Which cookie does a browser get, which does it send, and did its request come from our own pages?"""

    def __init__(self, public_url: str, keys: Sequence[bytes]) -> None:
        """`public_url` "" where the operator has not said how browsers reach the service; `keys` as for access tokens."""
        self._public = urlsplit(public_url) if public_url else None
        # keys of their own for this purpose
        self._form_keys = [hmac.digest(key, b"form token", "sha256") for key in keys]

    def is_private(self, connection: AnyConnection) -> bool:
        """Whether nobody can listen between the browser and us: https, or the same machine.

        Where the operator has not said how we are reached, the browser knows: it sends `Sec-Fetch-Site` to such places only.
        """
        if self._public is not None:
            return self._public.scheme == "https" or _is_loopback(self._public.hostname or "")
        return "sec-fetch-site" in connection.headers

    def sent_secret(self, connection: AnyConnection) -> str | None:
        """What the browser's cookie holds, if it could be a session's secret."""
        secret = connection.cookies.get(self._name(connection), "")
        return secret if _SECRET.fullmatch(secret) else None

    def cookie(self, connection: AnyConnection, secret: str, lifetime: timedelta) -> Cookie:
        """That keeps a session. Strict: no other site's page makes a browser send it."""
        return Cookie(
            key=self._name(connection),
            value=secret,
            max_age=int(lifetime.total_seconds()),
            path="/",
            secure=self.is_private(connection),
            httponly=True,
            samesite="strict",
        )

    def expired_cookie(self, connection: AnyConnection) -> Cookie:
        """That takes it away."""
        return self.cookie(connection, "", timedelta(0))

    def is_ours(self, connection: AnyConnection) -> bool:
        """Whether a request was made by a page of ours: the browser says so itself, in one header or the other."""
        if (site := connection.headers.get("sec-fetch-site")) is not None:
            return site == "same-origin"
        origin = urlsplit(connection.headers.get("origin", ""))
        if self._public is not None:
            return (origin.scheme, origin.netloc) == (self._public.scheme, self._public.netloc)
        return origin.scheme in {"http", "https"} and origin.netloc == connection.headers.get("host")

    def form_token(self, session_id: int) -> str:
        """What every form of a session carries, and nobody else can make."""
        return _token(self._form_keys[0], session_id)

    def is_form_token(self, session_id: int, token: str) -> bool:
        """Whether a form was made for this session; under any of the keys, while they are being changed."""
        return any(hmac.compare_digest(_token(key, session_id).encode(), token.encode()) for key in self._form_keys)

    def _name(self, connection: AnyConnection) -> str:
        return PRIVATE_COOKIE if self.is_private(connection) else COOKIE


def make_secret() -> str:
    """256 random bits."""
    return f"or_session_{secrets.token_urlsafe(32)}"


def digest(secret: str) -> bytes:
    """What is stored: so many random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).digest()


def _token(key: bytes, session_id: int) -> str:
    return hmac.digest(key, str(session_id).encode(), "sha256").hex()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
