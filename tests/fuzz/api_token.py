"""Which credentials pass for an API token? Each line is an `Authorization` header; 32 alphanumeric bytes get their checksum."""

from __future__ import annotations

import re
from typing import Any

from app.errors import Unauthenticated
from app.requests import bearer
from app.tokens import secret

TOKEN = b"or_api_" + b"0" * 32 + b"2wjyrI"
SEEDS = [
    b"Bearer " + TOKEN,
    b"bEARER " + TOKEN,
    b"Bearer " + TOKEN + b"\nBearer " + TOKEN,
    b"Bearer  " + TOKEN + b" ",
    b"Bearer\xa0" + TOKEN,
    b"Bearer or_api_" + b"z" * 38,
    b"Basic dTpw",
    b"Bearer",
    b"0123456789ABCDEFGHIJKLMNOPQRSTUV",
]


def feed(data: bytes) -> None:
    """Only the one spelling of a token is one, and whatever else comes is refused without a word about it."""
    if re.fullmatch(rb"[0-9A-Za-z]{32}", data):
        data = b"Bearer or_api_" + data + secret.checksum(data.decode("ascii")).encode("ascii")
    scope: Any = {"headers": [(b"authorization", line) for line in data.split(b"\n")]}
    try:
        token = bearer(scope)
    except Unauthenticated as error:
        assert error.detail == Unauthenticated.__doc__
        return
    if not secret.is_well_formed(token):
        return
    assert token.isascii()
    assert len(token) == secret.LENGTH
    random = token.removeprefix(secret.PREFIX)[: secret.RANDOM_LENGTH]
    assert token == secret.PREFIX + random + secret.checksum(random)
    assert data[len("bearer ") :] == token.encode("ascii")
    assert len(secret.digest(token)) == 32
    assert len(secret.hint(token)) == len("or_api_abcd…wxyz")
