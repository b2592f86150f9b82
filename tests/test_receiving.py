"""Has a client time enough to send a body, and no more than that?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.errors import TooSlow
from app.receiving import in_time

GRACE_SECONDS = 0.3


def sent(*pieces: tuple[float, bytes]) -> Callable[[], Awaitable[Any]]:
    """A client that takes so many seconds before each piece."""
    rest = [*pieces]

    async def receive() -> Any:
        seconds, body = rest.pop(0)
        await asyncio.sleep(seconds)
        return {"type": "http.request", "body": body, "more_body": bool(rest)}

    return receive


async def receive_all(receive: Callable[[], Awaitable[Any]], seconds_between: float = 0.0) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            return body
        await asyncio.sleep(seconds_between)


async def test_body_that_stops_coming_is_not_waited_for() -> None:
    with pytest.raises(TooSlow):
        await receive_all(in_time(sent((0, b"a"), (3600, b"b")), GRACE_SECONDS))


async def test_body_that_drips_is_not_waited_for() -> None:
    drops = [(0.01, b"x")] * 10_000
    with pytest.raises(TooSlow):
        await receive_all(in_time(sent(*drops), GRACE_SECONDS, bytes_per_second_min=1000))


async def test_large_body_has_the_time_that_its_size_takes() -> None:
    body = await receive_all(in_time(sent((0, b"x" * 1000), (3 * GRACE_SECONDS, b"y")), GRACE_SECONDS, 10))
    assert body == b"x" * 1000 + b"y"


async def test_time_that_we_take_ourselves_does_not_count() -> None:
    pieces = [(0.0, b"x")] * 3
    assert await receive_all(in_time(sent(*pieces), GRACE_SECONDS), seconds_between=2 * GRACE_SECONDS) == b"xxx"
