"""What is made of any JSON body? The first line names what it is read as."""

from __future__ import annotations

import json

import msgspec

from app.accounts.addresses import parse_address
from app.accounts.passwords import is_too_long, weakness
from app.accounts.structs import Credentials
from app.encoding import decode, encode
from app.errors import AppError
from app.keys.structs import KeyChange, KeyRequest
from app.names import clean_name
from app.tokens.structs import TokenRequest

STRUCTS: dict[bytes, type[msgspec.Struct]] = {
    b"login": Credentials, b"token": TokenRequest, b"key": KeyRequest, b"change": KeyChange,
}  # fmt: skip
SHORTEST = 8  # no setting allows a password to be shorter
SEEDS = [
    b'login\n{"email": "alice@example.com", "password": "correct horse battery staple"}',
    b'login\n{"email": "\\"a b\\"@xn--bcher-kva.example", "password": "2026-08-24 qwertz 1qay2wsx"}',
    'login\n{"email": "ÄLİCE@bücher.example", "password": "ｐａｓｓ"}'.encode(),
    b'login\n{"email": "\\ud800", "password": "\\u0000"}',
    b'token\n{"name": " grafana ", "expires_in_days": 30}',
    b'token\n{"name": "\xff", "expires_in_days": 1e400, "x/~": [[[{}]]]}',
    b'key\n{"name": "production", "key": "sk-or-v1-0123456789abcdef"}',
    b'change\n{"name": null, "is_active": true}',
    b"change\n" + b'{"x":' + b"[" * 1200,
]


def feed(data: bytes) -> None:
    """A struct whose texts the database can hold, or an error whose problem details are JSON and name a field."""
    name, _, body = data.partition(b"\n")
    try:
        _use(decode(body, STRUCTS.get(name, Credentials)))
    except AppError as error:
        assert error.status in {400, 422}
        problem = json.loads(encode(error.problem()))
        assert all(wrong["pointer"].startswith("#") for wrong in problem.get("errors", []))


def _use(given: msgspec.Struct) -> None:
    for field in given.__struct_fields__:
        if isinstance(text := getattr(given, field), str):
            assert "\0" not in text
            text.encode()
    if isinstance(given, Credentials):
        address = parse_address(given.email)
        assert parse_address(address.email) == address
        if len(given.password) >= SHORTEST and not is_too_long(given.password):
            weakness(given.password, address)
    elif isinstance(name := getattr(given, "name", None), str):
        assert clean_name(clean_name(name)) == clean_name(name)
