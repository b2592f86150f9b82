"""What is made of any answer of OpenRouter's? The first line: what was asked, the status, the headers; the rest is the body."""

from __future__ import annotations

import asyncio
import atexit
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import msgspec

from app.usage.money import is_money
from app.usage.openrouter import COUNT_MAX, TEXT_MAX, OpenRouter, OpenRouterError

KEY = "sk-or-v1-0123456789abcdef"
NOW = datetime(2026, 11, 11, 12, tzinfo=UTC)
NUMBERS = (
    b'"usage": 1.5, "usage_daily": 0.25, "byok_usage": 0, "byok_usage_daily": 0, "limit": 10, "limit_remaining": -0.5'
)
OWN_KEY = (
    b'{"data": {"label": "sk-or-v1-012...def", %s, "is_management_key": true, "expires_at": "2027-01-01T00:00:00Z"}}'
    % NUMBERS
)
LISTED = b'{"data": [{"hash": "%s", "name": "a", "label": "b", %s, "disabled": false, "last_used_at": null}]}' % (
    b"0a" * 32,
    NUMBERS,
)
ACTIVITY = (
    b'{"data": [{"date": "2026-11-10 00:00:00", "model": "openai/gpt-5", "model_permaslug": "openai/gpt-5-2026", '
    b'"provider_name": "Azure", "usage": 0.000153, "byok_usage_inference": 0, "requests": 5.0, "prompt_tokens": 264, '
    b'"completion_tokens": 84, "reasoning_tokens": null, "cached_tokens": 1e3}]}'
)
SEEDS = [
    b"own_key 200 date=Wed, 11 Nov 2026 12:00:00 GMT\n" + OWN_KEY,
    b"listed_keys 200 date=Wed, 11 Nov 2026 23:59:59 +2359\n" + LISTED,
    b"activity 200\n" + ACTIVITY,
    b"activity 200 date=Wed, 11 Nov 2026 00:10:00 -0000\n"
    + ACTIVITY.replace(b"264", b"1e999999999").replace(b"84", b"NaN"),
    b'credits 200\n{"data": {"total_credits": 10, "total_usage": 1e-7}}',
    b'credits 200\n{"data": {"total_credits": 1e1000000, "total_usage": -0}}',
    b'workspaces 200\n{"data": [{"id": "b7a1", "name": "w"}, {"id": "b7a1\\u0000"}]}',
    b"clock 404 date=Wed, 31 Feb 2026 25:00:00 GMT\n",
    b"own_key 429 retry-after=Wed, 11 Nov 2026 12:00:30 GMT\n"
    + b'{"error": {"message": "wait, %s", "code": 429}}' % KEY.encode(),
    b"own_key 503 retry-after=120;content-encoding=gzip\n\x1f\x8b",
    b"own_key 301 location=http://elsewhere.example/\n",
    b"own_key 200\n" + b'{"data":' + b"[" * 1200,
]


class _Answers(httpx.AsyncBaseTransport):
    """An OpenRouter that always says the same."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._answer = (status, headers, body)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "openrouter.example"
        status, headers, body = self._answer
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))


async def _all_pages(client: OpenRouter) -> list[Any]:
    return [key async for page in client.listed_keys(KEY, None) for key in page]


CALLS: dict[bytes, Callable[[OpenRouter], Awaitable[Any]]] = {
    b"clock": lambda client: client.clock(),
    b"own_key": lambda client: client.own_key(KEY),
    b"credits": lambda client: client.credits(KEY),
    b"workspaces": lambda client: client.workspaces(KEY),
    b"listed_keys": _all_pages,
    b"activity": lambda client: client.activity(KEY, None),
}
_CLIENT = OpenRouter("http://openrouter.example/api/v1", lambda: NOW)
_LOOP = asyncio.new_event_loop()
atexit.register(_LOOP.close)


def feed(data: bytes) -> None:
    """Something that the database can hold and sums can bear, or a sentence without the key."""
    head, _, body = data.partition(b"\n")
    call, _, head = head.partition(b" ")
    status, _, head = head.partition(b" ")
    headers = [(name, value) for name, _, value in (line.partition(b"=") for line in head.split(b";")) if name]
    number = int(status) if re.fullmatch(b"[2-5][0-9]{2}", status) else 200
    _CLIENT._http._transport = _Answers(number, headers, body)
    try:
        told = _LOOP.run_until_complete(CALLS.get(call, CALLS[b"own_key"])(_CLIENT))
    except OpenRouterError as error:
        assert KEY not in str(error)
        str(error).encode()
        assert "\0" not in str(error)
        return
    for value in _values(told):
        _check(value)


def _values(told: Any) -> Iterator[Any]:
    """Everything in it that is no container."""
    if isinstance(told, msgspec.Struct):
        told = msgspec.structs.astuple(told)
    if isinstance(told, dict):
        told = [*told.keys(), *told.values()]
    if isinstance(told, list | tuple):
        for inner in told:
            yield from _values(inner)
    else:
        yield told


def _check(value: Any) -> None:
    match value:
        case str():
            assert len(value.encode()) <= 4 * (TEXT_MAX + len("default of "))
            assert "\0" not in value
        case Decimal():
            assert is_money(value)
        case bool() | None:
            pass
        case int():
            assert 0 <= value <= COUNT_MAX * 100
        case datetime():
            assert value.tzinfo
            value.astimezone(UTC)
        case date():
            assert value.year == 2026
        case _:
            raise AssertionError(type(value))
