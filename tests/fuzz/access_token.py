"""Which credentials pass for an access token? A line is one as it is sent; two are header and claims, which get our signature.

Without the signature nothing would ever come to the checks behind it.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

from app.accounts.jwt import ALGORITHM, AUDIENCE, ISSUER, TYPE, Signer, key_id
from app.errors import Unauthenticated
from app.requests import bearer

SECRET = bytes(range(32))
SIGNER = Signer([SECRET])
HEADER = json.dumps({"alg": ALGORITHM, "kid": key_id(SECRET), "typ": TYPE}).encode()
CLAIMS = (
    b'{"iss": "openrouter-watcher", "aud": "openrouter-watcher", "sub": "1", "sid": "2", "jti": "x",'
    b' "iat": 1700000000, "exp": 4102444800}'
)
SEEDS = [
    HEADER + b"\n" + CLAIMS,
    HEADER.replace(b"}", b', "crit": ["exp"], "b64": false}') + b"\n" + CLAIMS,
    HEADER.replace(b"HS256", b"none") + b"\n" + CLAIMS,
    HEADER + b"\n" + CLAIMS.replace(b"}", b', "nbf": 1e400}'),
    HEADER + b"\n" + CLAIMS.replace(b"4102444800", b"1700000001"),
    HEADER + b"\n" + CLAIMS.replace(b'"1"', b'["1"]').replace(b"1700000000", b"NaN"),
    b"[" * 2000 + b"]" * 2000 + b"\n{}",
    b'{"kid": ["x"], "alg": {}, "typ": null}\n[]',
    b"eyJhbGciOiJIUzI1NiJ9.e30.x",
    b"W1tb.e30.",
]


def feed(data: bytes) -> None:
    """Ours and nothing else, or Unauthenticated."""
    lines = data.split(b"\n")
    credential = _signed(*lines) if len(lines) == 2 else data
    scope: Any = {"headers": [(b"authorization", b"Bearer " + credential)]}
    try:
        claims = SIGNER.read(bearer(scope))
    except Unauthenticated as error:
        assert error.detail == Unauthenticated.__doc__
        return
    header, payload = map(json.loads, lines)
    assert (header["alg"], header["typ"], header["kid"]) == (ALGORITHM, TYPE, key_id(SECRET))
    assert "crit" not in header
    assert (payload["iss"], payload["aud"]) == (ISSUER, AUDIENCE)
    assert payload.keys() >= {"exp", "iat", "jti"}
    assert (claims.user_id, claims.session_id) == (int(payload["sub"]), int(payload["sid"]))


def _signed(header: bytes, payload: bytes) -> bytes:
    text = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload))
    return text + b"." + urlsafe_b64encode(hmac.digest(SECRET, text, "sha256")).rstrip(b"=")
