"""What must every endpoint that takes JSON refuse, and how?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx

JSON = {"Content-Type": "application/json"}
NAMES_OF_ERRORS = {400: "malformed", 413: "too_large", 415: "unsupported_media_type", 422: "invalid"}


async def assert_refuses_bad_bodies(
    client: httpx.AsyncClient, method: str, path: str, good: dict[str, str], headers: dict[str, str] | None = None
) -> None:
    """`good` is a body that would be accepted; every field in it is a string that must be there."""
    wrong = {}
    for name, content, content_headers, status in bad_bodies(good):
        answer = await client.request(method, path, content=content, headers=(headers or {}) | content_headers)
        if answer.status_code != status:
            wrong[name] = answer.status_code, answer.text
        else:
            assert_problem(answer, status, NAMES_OF_ERRORS[status])
    assert wrong == {}


def bad_bodies(good: dict[str, str]) -> Iterator[tuple[str, bytes, dict[str, str], int]]:
    """Name, body, headers, and the status of the answer."""
    whole = json.dumps(good).encode()
    yield "text/plain", whole, {"Content-Type": "text/plain"}, 415
    yield "no content type", whole, {}, 415
    yield "a form", b"email=a", {"Content-Type": "application/x-www-form-urlencoded"}, 415
    yield "too large", json.dumps(good | {"unknown": "x" * 70_000}).encode(), JSON, 413
    yield "empty", b"", JSON, 400
    yield "broken", whole[:-1], JSON, 400
    yield "trailing bytes", whole + b"}", JSON, 400
    yield "byte order mark", b"\xef\xbb\xbf" + whole, JSON, 400
    yield "too deep", b'{"unknown":' + b"[" * 30_000 + b"]" * 30_000 + b"}", JSON, 400
    yield "null", b"null", JSON, 422
    yield "an array", b"[]", JSON, 422
    yield "a string", b'"x"', JSON, 422
    yield "unknown field", json.dumps(good | {"is_admin": True}).encode(), JSON, 422
    for field in good:
        yield f"{field} missing", json.dumps(_without(good, field)).encode(), JSON, 422
        for value in (1, 1.5, True, None, [], {}):
            yield f"{field} = {value!r}", json.dumps(good | {field: value}).encode(), JSON, 422
        yield f"{field} with NUL", _with_raw(good, field, rb'"a long enough text \u0000 with NUL"'), JSON, 422
        yield f"{field} NaN", _with_raw(good, field, b"NaN"), JSON, 400
        yield f"{field} with bad UTF-8", _with_raw(good, field, b'"\xff"'), JSON, 400
        yield f"{field} with a lone surrogate", _with_raw(good, field, rb'"\ud800"'), JSON, 400


def _without(good: dict[str, str], field: str) -> dict[str, str]:
    return {name: value for name, value in good.items() if name != field}


def _with_raw(good: dict[str, str], field: str, raw: bytes) -> bytes:
    return json.dumps(good | {field: "PLACE"}).encode().replace(b'"PLACE"', raw)


def assert_problem(answer: httpx.Response, status: int, code: str, pointer: str | None = None) -> dict[str, Any]:
    """An error as RFC 9457 and our contract have it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:openrouter-watcher:problem:{code}"
    assert problem["title"]
    assert problem["detail"]
    if pointer is not None:
        assert [error["pointer"] for error in problem["errors"]] == [pointer]
        assert problem["errors"][0]["detail"]
    return problem


def assert_unauthenticated(answer: httpx.Response, *, credential_sent: bool) -> None:
    """401 with the challenge that fits."""
    assert_problem(answer, 401, "unauthenticated")
    error = ', error="invalid_token"' if credential_sent else ""
    assert answer.headers["www-authenticate"] == f'Bearer realm="openrouter-watcher"{error}'
